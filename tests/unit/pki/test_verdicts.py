"""What the library's verifier says is put into words: no quoted objects, no dotted identifiers, no talk of how it searched."""

import re

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.pki.certificate import decode
from common.pki.strict import StrictClient
from common.pki.verdicts import in_words
from tests.pki import NOW_S, make_intermediate, make_leaf, make_root, make_rsa_key

ROOT = make_root()
QUOTED = re.compile(r"[<>]|Certificate\(|candidates|interior|processing|\b\d+\.\d+\.\d+\.\d+\b|^[A-Z]|\.$")


def constrained(name):
    return x509.NameConstraints([x509.DNSName(name)], None)


def client_auth(issuer):
    return make_leaf(issuer, usages=[ExtendedKeyUsageOID.CLIENT_AUTH])


WEAK = make_root("Weak", key=make_rsa_key(1024))
LONG = make_root("Long", key=ec.generate_private_key(ec.SECP256K1()))
NARROW = make_intermediate(ROOT, "Narrow", extensions=[(constrained("elsewhere.example"), True)])
SHORT = make_root("Short", path_length=0)
FOR_CLIENTS = make_intermediate(
    ROOT, "For Clients", extensions=[(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), False)]
)
BELOW = make_intermediate(SHORT, "Below")
STRANGE = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
POLICY = x509.PolicyConstraints(0, None)

# leaf, intermediates, root -> words
REFUSED = {
    "nobody issued it": (make_leaf(make_root("Other")), (), ROOT, "there is no way to a trusted root"),
    "another name": (
        make_leaf(ROOT, ["other.example"]),
        (),
        ROOT,
        "none of its subject alternative names is the name asked for",
    ),
    "expired": (
        make_leaf(ROOT, not_after_s=NOW_S - 5),
        (),
        ROOT,
        "'CN=node.example.com': it is expired or not yet valid",
    ),
    "for clients": (client_auth(ROOT), (), ROOT, "its extended key usage does not allow TLS servers"),
    "no alternative name": (
        make_leaf(ROOT, alternatives=False),
        (),
        ROOT,
        "it has no subject alternative name",
    ),
    "CA for clients": (
        make_leaf(FOR_CLIENTS),
        (FOR_CLIENTS,),
        ROOT,
        "the extended key usage of a CA does not allow this use",
    ),
    "short key": (make_leaf(WEAK), (), WEAK, "its issuer's key is too short"),
    "odd curve": (
        make_leaf(LONG),
        (),
        LONG,
        "its issuer's key is of a kind that strict clients do not accept",
    ),
    "outside of constraints": (
        make_leaf(NARROW),
        (NARROW,),
        ROOT,
        "a name is outside what a CA above may sign for",
    ),
    "path too long": (
        make_leaf(BELOW),
        (BELOW,),
        SHORT,
        "a CA allows fewer intermediates below it than there are",
    ),
    "strange critical": (
        make_leaf(ROOT, extensions=[(STRANGE, True)]),
        (),
        ROOT,
        "it has a critical extension that clients do not know",
    ),
    "policy constraints": (
        make_leaf(ROOT, extensions=[(POLICY, True)]),
        (),
        ROOT,
        "that clients do not know (policy constraints)",
    ),
    "CA as server": (make_intermediate(ROOT, "node.example.com"), (), ROOT, None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_why_a_strict_client_refuses_is_said_in_words(case):
    leaf, sent, root, words = REFUSED[case]
    client = StrictClient([decode(root.certificate_der)])
    chain = [decode(one.certificate_der) for one in sent]
    verdict = client.ask(decode(leaf.certificate_der), chain, now_s=NOW_S, name="node.example.com")
    assert not verdict.accepted
    assert not QUOTED.search(verdict.reason.replace("'CN=Test Root'", "")), verdict.reason
    if words is not None:
        assert words in verdict.reason


def test_what_there_are_no_words_for_is_said_in_the_verifiers():
    assert in_words("something new (encountered processing <Certificate(subject=<Name(CN=x)>, ...)>)") == (
        "'CN=x': a strict client refuses it: something new"
    )
    said = in_words("Something <Object(1)> new { oid: 1.2.3.4.5 } about 1.2.3.4.5.")
    assert said == "a strict client refuses it: something new about"
    assert in_words("") == "a strict client refuses it"
    searched = in_words("validation failed: candidates exhausted: something new")
    assert searched == "a strict client refuses it: something new"


def test_a_name_that_no_host_has_is_no_fault_of_the_certificate():
    verdict = StrictClient([decode(ROOT.certificate_der)]).ask(
        decode(make_leaf(ROOT, ["a_b.example"]).certificate_der), [], now_s=NOW_S, name="a_b.example"
    )
    assert verdict.reason == "the name asked for is not a host name"


def test_algorithms_are_named():
    forbidden = (
        "Forbidden signature algorithm: AlgorithmIdentifier { oid: Marker, params: RsaWithSha1(Some(())) }"
    )
    assert in_words(forbidden) == "its signature is made with SHA-1, which strict clients do not accept"
    said = "Forbidden signature algorithm: AlgorithmIdentifier { oid: 1.2.840.113549.1.1.5, params: Null }"
    assert in_words(said) == (
        "its signature is of a kind that strict clients do not accept (sha1WithRSAEncryption)"
    )


def test_a_self_signed_certificate_is_called_that_unless_it_is_trusted_itself():
    own, issued = decode(make_leaf(None).certificate_der), decode(make_leaf(ROOT).certificate_der)
    root = decode(ROOT.certificate_der)
    said = StrictClient([root]).ask(own, (), now_s=NOW_S).reason
    assert said == "it is self-signed, and not among the trusted roots"
    assert "self-signed" not in StrictClient([own]).ask(own, (), now_s=NOW_S).reason
    assert StrictClient([root]).ask(issued, (), now_s=NOW_S).accepted
