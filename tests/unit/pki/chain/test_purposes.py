"""What a CA may be used for, by its extensions: OpenSSL is asked the same question, and both our answers must be its."""

from dataclasses import dataclass

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.api.codes import ChainState
from common.pki.certificate import decode
from common.pki.path import LinkProblem, Purpose
from common.pki.pem import read_blocks
from common.pki.strict import StrictClient
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from tests.pki import NOW_S, chain_pem, make_intermediate, make_key, make_leaf, make_root
from tests.unit.pki.openssl import accepts, openssl

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
MAIL, ANY = ExtendedKeyUsageOID.EMAIL_PROTECTION, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
ROOT = make_root()
KEY = make_key()


def usable_for(*usages, name="Issuing CA", issuer=ROOT):
    return make_intermediate(issuer, name, key=KEY, extensions=[(x509.ExtendedKeyUsage(usages), False)])


@dataclass(frozen=True)
class Answers:
    state: ChainState
    problems: set
    served: list
    strict: bool
    openssl: bool


def ask(leaf, *sent, tmp_path, purpose=Purpose.SERVER):
    chain = build_chain(
        decode(leaf.certificate_der),
        Issuers(trusted=[decode(ROOT.certificate_der)]),
        uploaded=[decode(one.certificate_der) for one in sent],
        now_s=NOW_S,
        purpose=purpose,
    )
    client = StrictClient([decode(ROOT.certificate_der)])
    return Answers(
        state=chain.state,
        problems={problem for link in chain.links for problem in link.problems},
        served=[one.der for one in chain.serving],
        strict=client.ask(decode(leaf.certificate_der), chain.serving, now_s=NOW_S, purpose=purpose).accepted,
        openssl=accepts(
            leaf.certificate_pem,
            trusted=ROOT.certificate_pem,
            sent="".join(one.pem for one in chain.serving),
            purpose=purpose,
            cwd=tmp_path,
        ),
    )


@pytest.mark.parametrize(
    ("usages", "good"),
    [
        ([SERVER], True),
        ([SERVER, MAIL], True),
        ([MAIL], False),
        ([CLIENT], False),
        ([ANY], False),
        ([ANY, MAIL], False),
    ],
)
def test_a_cas_extended_key_usage_binds_what_is_below_it(tmp_path, usages, good):
    low = usable_for(*usages)
    answers = ask(make_leaf(low), low, tmp_path=tmp_path)
    assert (answers.state is ChainState.COMPLETE) is good
    assert answers.problems == (set() if good else {LinkProblem.PURPOSE})
    assert answers.strict is answers.openssl is good


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_cas_of_one_name_and_key_the_one_for_servers_is_served(tmp_path, order):
    for_mail, for_servers = usable_for(MAIL), usable_for(SERVER, CLIENT)
    answers = ask(make_leaf(for_mail), *[for_mail, for_servers][::order], tmp_path=tmp_path)
    assert answers.state is ChainState.COMPLETE
    assert answers.served == [for_servers.certificate_der]
    assert answers.strict is answers.openssl is True


def test_a_thousand_cas_for_mail_do_not_hide_the_one_for_servers(tmp_path):
    crowd = [usable_for(MAIL) for _ in range(1000)]
    right = usable_for(SERVER)
    answers = ask(make_leaf(right), *crowd, right, tmp_path=tmp_path)
    assert answers.served == [right.certificate_der]
    assert answers.openssl


def test_a_certificate_of_the_client_slot_is_judged_for_clients(tmp_path):
    low = usable_for(CLIENT)
    leaf = make_leaf(low, usages=[CLIENT])
    answers = ask(leaf, low, tmp_path=tmp_path, purpose=Purpose.CLIENT)
    assert answers.state is ChainState.COMPLETE
    assert answers.strict is answers.openssl is True
    as_server = ask(leaf, low, tmp_path=tmp_path)
    assert as_server.state is ChainState.INVALID
    assert as_server.strict is as_server.openssl is False


def test_a_mail_address_in_the_subject_is_bound_by_name_constraints(tmp_path):
    permitted = x509.NameConstraints([x509.RFC822Name("example.com")], None)
    low = make_intermediate(ROOT, "NC CA", extensions=[(permitted, True)])
    for address, good in (("admin@example.com", True), ("admin@other.test", False)):
        subject = x509.Name(
            [
                x509.NameAttribute(NameOID.COMMON_NAME, "node.example.com"),
                x509.NameAttribute(NameOID.EMAIL_ADDRESS, address),
            ]
        )
        answers = ask(make_leaf(low, subject=subject), low, tmp_path=tmp_path)
        assert (answers.state is ChainState.COMPLETE) is good
        assert answers.openssl is good


def test_a_directory_name_is_compared_as_openssl_compares_names(tmp_path):
    def named(*texts):
        return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text) for text in texts])

    permitted = x509.NameConstraints([x509.DirectoryName(named("Example  Company"))], None)
    low = make_intermediate(ROOT, "NC CA", extensions=[(permitted, True)])
    for organisation, good in (("EXAMPLE company", True), ("Example Company Ltd", False)):
        answers = ask(make_leaf(low, subject=named(organisation, "Nodes")), low, tmp_path=tmp_path)
        assert (answers.state is ChainState.COMPLETE) is good
        assert answers.openssl is good


@pytest.mark.parametrize(
    ("low_policies", "leaf_policies", "skipped", "good"),
    [
        (["1.2.3"], ["1.2.3"], 0, True),
        (["1.2.3"], ["1.2.4"], 0, False),
        (["1.2.3"], [], 0, False),
        (["2.5.29.32.0"], ["1.2.4"], 0, True),
        (["1.2.3"], [], 1, False),
        (["1.2.3"], [], 5, True),
    ],
)
def test_a_policy_that_a_ca_demands_must_be_common_to_the_path(
    tmp_path, low_policies, leaf_policies, skipped, good
):
    def policies(oids):
        infos = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
        return [(x509.CertificatePolicies(infos), False)] if infos else []

    demand = (x509.PolicyConstraints(require_explicit_policy=skipped, inhibit_policy_mapping=None), True)
    low = make_intermediate(ROOT, "Low", extensions=[*policies(low_policies), demand])
    leaf = make_leaf(low, extensions=policies(leaf_policies))
    answers = ask(leaf, low, tmp_path=tmp_path)
    assert answers.problems == (set() if good else {LinkProblem.POLICY})
    assert good is accepts(
        leaf.certificate_pem,
        *("-policy_check", "-policy", "2.5.29.32.0"),
        trusted=ROOT.certificate_pem,
        sent=low.certificate_pem,
        cwd=tmp_path,
    )


def explicit(tmp_path, *, subject, issuer=None, ca=False):
    """Make a certificate whose public key spells out its curve, as openssl does when asked to; return PEM and key."""
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "named.key", cwd=tmp_path)
    openssl("ec", "-in", "named.key", "-param_enc", "explicit", "-out", f"{subject}.key", cwd=tmp_path)
    openssl("req", "-new", "-key", f"{subject}.key", "-subj", f"/CN={subject}", "-out", "csr", cwd=tmp_path)
    extensions = "basicConstraints=critical,CA:TRUE\n" if ca else f"subjectAltName=DNS:{subject}\n"
    (tmp_path / "ext").write_text(extensions)
    signer = ("-signkey", f"{subject}.key")
    if issuer is not None:
        (tmp_path / "ca.pem").write_text(issuer.certificate_pem)
        (tmp_path / "ca.key").write_text(issuer.key_pem)
        signer = ("-CA", "ca.pem", "-CAkey", "ca.key")
    text = openssl(
        *("x509", "-req", "-in", "csr", *signer, "-set_serial", "7", "-days", "30", "-extfile", "ext"),
        cwd=tmp_path,
    )
    return decode(read_blocks(text).blocks[0].der), text


def test_a_leaf_that_spells_out_its_curve_is_refused_as_openssl_does(tmp_path):
    leaf, text = explicit(tmp_path, subject="leaf.example.com", issuer=ROOT)
    chain = build_chain(leaf, Issuers(trusted=[decode(ROOT.certificate_der)]), now_s=leaf.not_before_s + 60)
    assert (chain.state, chain.links[0].problems) == (ChainState.INVALID, (LinkProblem.EXPLICIT_CURVE,))
    assert "spells out the curve" in chain.explanation
    client = StrictClient([decode(ROOT.certificate_der)])
    verdict = client.ask(leaf, [], now_s=leaf.not_before_s + 60)
    assert "spells out its curve" in verdict.reason
    assert not accepts(text, trusted=ROOT.certificate_pem, cwd=tmp_path, now_s=leaf.not_before_s + 60)


def test_a_root_that_spells_out_its_curve_makes_no_good_chain(tmp_path):
    root, text = explicit(tmp_path, subject="Spelled Root", ca=True)
    openssl("req", "-new", "-key", "named.key", "-subj", "/CN=x.example.com", "-out", "csr", cwd=tmp_path)
    (tmp_path / "root.pem").write_text(text)
    (tmp_path / "ext").write_text("subjectAltName=DNS:x.example.com\n")
    signed = openssl(
        *("x509", "-req", "-in", "csr", "-CA", "root.pem", "-CAkey", "Spelled Root.key", "-set_serial", "8"),
        *("-days", "30", "-extfile", "ext"),
        cwd=tmp_path,
    )
    leaf = decode(read_blocks(signed).blocks[0].der)
    now_s = leaf.not_before_s + 60
    chain = build_chain(leaf, Issuers(trusted=[root]), now_s=now_s)
    assert (chain.state, chain.links[1].problems) == (ChainState.INVALID, (LinkProblem.EXPLICIT_CURVE,))
    assert not StrictClient([root]).ask(leaf, [], now_s=now_s).accepted
    assert not accepts(signed, trusted=text, cwd=tmp_path, now_s=now_s)


def test_a_complete_chain_is_what_openssl_accepts(tmp_path):
    high = make_intermediate(ROOT, "High")
    low = make_intermediate(high, "Low")
    leaf = make_leaf(low)
    answers = ask(leaf, high, low, tmp_path=tmp_path)
    assert answers.state is ChainState.COMPLETE
    assert answers.strict is answers.openssl is True
    assert accepts(
        leaf.certificate_pem, trusted=ROOT.certificate_pem, sent=chain_pem(low, high), cwd=tmp_path
    )
