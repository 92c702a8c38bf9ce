"""Good stands only where clients accept a certificate: shapes that CAs have issued, each asked of OpenSSL and of the strict client."""

import ipaddress
import time
from pathlib import Path

import pytest
from cryptography import x509

from common.codes import ChainState, StatusCode
from common.pki import der
from common.pki.certificate import decode
from common.pki.frame import read_frame
from common.pki.oids import DIGESTS
from common.pki.pem import pem_of
from common.pki.signature import RSA_PSS, unusual
from common.pki.strict import OWN_CONSTRAINTS, StrictClient
from manager.domain.alarms import AlarmKind
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from manager.pki.judge.headline import headline
from manager.pki.judge.lint import Circumstances, covers, lint
from manager.pki.judge.status import statuses
from tests import odd, pki
from tests.attacks.issued_shapes import (
    ACCEPTED,
    AS_A_SERVER,
    CA_KEY,
    CA_NAME,
    CLIENT,
    HOST,
    LOOSE,
    MIDDLE,
    ROOT,
    SENT,
    SERVER,
    SHAPES,
    plain,
)
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.pki import DAY_S, NOW_S, make_leaf, make_root
from tests.unit.pki.openssl import accepts

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("slots", [(), ("server",)], ids=["unassigned", "assigned"])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_is_good_that_openssl_or_a_strict_client_refuses(tmp_path: Path, shape, slots):
    leaf, sent = decode(SHAPES[shape]), SENT.get(shape, [])
    below = [decode(each.certificate_der) for each in sent]
    chain = build_chain(leaf, Issuers(trusted=[decode(ROOT.certificate_der)]), uploaded=below, now_s=NOW_S)
    found = lint(leaf, now_s=NOW_S, circumstances=Circumstances(slots=slots, chain=chain))
    leading = headline(statuses(leaf, now_s=NOW_S), chain.state, found)
    by_openssl = accepts(
        leaf.pem,
        *("-auth_level", "2", "-verify_hostname", HOST),
        trusted=ROOT.certificate_pem,
        sent="".join(each.certificate_pem for each in sent),
        cwd=tmp_path,
    )
    strict = StrictClient([decode(ROOT.certificate_der)]).ask(leaf, below, now_s=NOW_S, name=HOST)
    print(
        f"{shape}: {leading.text} ({leading.severity}); OpenSSL {by_openssl}, strict {strict.accepted} {strict.reason}"
    )
    assert (leading.code is StatusCode.GOOD) is (shape in ACCEPTED)
    if slots and leading.severity == "error":
        assert not strict.accepted
        assert strict.reason
    if slots and not by_openssl:
        assert leading.severity == "error"


@pytest.mark.parametrize("is_critical", [True, False])
def test_a_leaf_with_name_constraints_is_accepted_as_clients_do(tmp_path: Path, is_critical: bool):
    wide = x509.NameConstraints([x509.DNSName("example.com")], None)
    leaf = decode(plain(MIDDLE, extensions=[(wide, is_critical)]))
    below = decode(MIDDLE.certificate_der)
    strict = StrictClient([decode(ROOT.certificate_der)]).ask(leaf, [below], now_s=NOW_S, name=HOST)
    strictly = accepts(
        leaf.pem,
        "-x509_strict",
        trusted=ROOT.certificate_pem,
        sent=MIDDLE.certificate_pem,
        cwd=tmp_path,
    )
    print(f"strict {strict}, OpenSSL {strictly}")
    assert strict.accepted is strictly is True


def subtrees(*names: str) -> list[x509.GeneralName]:
    return [x509.DNSName(name) for name in names]


DIRECTORY = [x509.DirectoryName(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "X")]))]
CONSTRAINTS = {
    "its name": (subtrees("example.com"), None),
    "another name": (subtrees("elsewhere.example"), None),
    "all but its name": (None, subtrees("example.com")),
    "all but another name": (None, subtrees("elsewhere.example")),
    "its name, with a dot before it": (subtrees(".example.com"), None),
    "its name, with a dot behind it": (subtrees("example.com."), None),
    "all but its name, with a dot behind it": (None, subtrees("example.com.")),
    "all but another name, with a dot before it": (None, subtrees(".elsewhere.example")),
    "another directory": (DIRECTORY, None),
    "all but another directory": (None, DIRECTORY),
    "a network": ([x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))], None),
    "its name and no network": (subtrees("example.com"), [x509.IPAddress(ipaddress.ip_network("0.0.0.0/0"))]),
    "a mail domain": ([x509.RFC822Name("elsewhere.example")], None),
    "a site": ([x509.UniformResourceIdentifier(".elsewhere.example")], None),
}


@pytest.mark.parametrize("where", ["its CA", "itself"])
@pytest.mark.parametrize("what", CONSTRAINTS)
def test_good_under_name_constraints_is_what_both_openssl_and_a_strict_client_accept(
    tmp_path: Path, what: str, where: str
):
    extension = (x509.NameConstraints(*CONSTRAINTS[what]), True)
    sent = [pki.make_intermediate(ROOT, "Constrained", extensions=[extension])] if where == "its CA" else []
    leaf = decode(plain(*sent, extensions=[] if sent else [extension]))
    below = [decode(each.certificate_der) for each in sent]
    chain = build_chain(leaf, Issuers(trusted=[decode(ROOT.certificate_der)]), uploaded=below, now_s=NOW_S)
    found = lint(leaf, now_s=NOW_S, circumstances=Circumstances(chain=chain))
    leading = headline(statuses(leaf, now_s=NOW_S), chain.state, found)
    by_openssl = accepts(
        leaf.pem,
        "-x509_strict",
        trusted=ROOT.certificate_pem,
        sent="".join(each.certificate_pem for each in sent),
        cwd=tmp_path,
    )
    strict = StrictClient([decode(ROOT.certificate_der)]).ask(leaf, below, now_s=NOW_S, name=HOST)
    print(
        f"{where} permits {what}: {leading.text}; OpenSSL {by_openssl}, strict {strict.accepted} {strict.reason}"
    )
    assert (leading.code is StatusCode.GOOD) is (by_openssl and strict.accepted)
    assert by_openssl or leading.severity == "error"
    if where == "itself" and not strict.accepted and "cannot be applied" not in strict.reason:
        assert strict.reason == OWN_CONSTRAINTS


@pytest.mark.parametrize("lacking", LOOSE)
def test_a_chain_whose_ca_strict_openssl_refuses_is_not_good(tmp_path: Path, lacking):
    parts = [each for each in LOOSE[lacking].values() if each]
    root_name = read_frame(ROOT.certificate_der).subject
    ca = odd.certificate(
        subject=CA_NAME, issuer=root_name, public_key=odd.spki(), extensions=parts, key=ROOT.key
    )
    own = [*AS_A_SERVER, odd.extension(odd.AKI, odd.seq(odd.tagged(0x80, b"K" * 20)))]
    leaf = decode(
        odd.certificate(
            subject=odd.name(HOST), issuer=CA_NAME, public_key=odd.spki(), extensions=own, key=CA_KEY
        )
    )
    trusted = Issuers(trusted=[decode(ROOT.certificate_der)])
    chain = build_chain(leaf, trusted, uploaded=[decode(ca)], now_s=NOW_S)
    found = lint(leaf, now_s=NOW_S, circumstances=Circumstances(chain=chain))
    leading = headline(statuses(leaf, now_s=NOW_S), chain.state, found)
    strictly = accepts(leaf.pem, "-x509_strict", trusted=ROOT.certificate_pem, sent=pem_of(ca), cwd=tmp_path)
    print(f"{lacking}: {leading.text}; OpenSSL {strictly} {[each.message for each in found]}")
    assert chain.state is ChainState.COMPLETE
    assert (leading.code is StatusCode.GOOD) is strictly is (lacking == "as it should be")


@pytest.mark.parametrize(
    ("hash_name", "mask", "salt", "name"),
    [
        ("sha256", "sha256", 32, ""),
        ("sha512", "sha512", 64, ""),
        ("sha256", "sha256", 0, "RSA-PSS with sha256 and 0 octets of salt"),
        ("sha256", "sha1", 32, "RSA-PSS with sha256 and sha1 and 32 octets of salt"),
    ],
)
def test_an_rsa_pss_signature_that_tls_does_not_have_is_named(hash_name, mask, salt, name):
    def digest(of: str) -> bytes:
        (oid,) = (oid for oid, known in DIGESTS.items() if known == of)
        return odd.seq(der.encode_object_id(oid))

    masked = odd.seq(der.encode_object_id("1.2.840.113549.1.1.8"), digest(mask))
    octets = odd.tagged(2, bytes([salt]))
    parameters = odd.seq(
        odd.tagged(0xA0, digest(hash_name)), odd.tagged(0xA1, masked), odd.tagged(0xA2, octets)
    )
    assert unusual(odd.seq(der.encode_object_id(RSA_PSS), parameters)) == name


def test_a_name_with_a_dot_behind_it_is_not_the_nodes_name(tmp_path: Path):
    leaf = decode(plain(names=[f"{HOST}."]))
    by_openssl = accepts(leaf.pem, "-verify_hostname", HOST, trusted=ROOT.certificate_pem, cwd=tmp_path)
    assert covers(leaf, HOST) is by_openssl is False
    assert covers(decode(plain()), f"{HOST}.")


@pytest.fixture
async def api(tmp_path):
    async with real_api(tmp_path, InPlace()) as client:
        yield client


async def test_a_certificate_for_clients_only_that_a_server_gets_raises_an_alarm(api: ApiClient):
    root, issuer = pki.current_ca("Green")
    await api.call("POST", "trusted-cas", {"certificates": root.certificate_pem})
    await api.add_node("n1")
    kept = []
    for usages in ([CLIENT], [SERVER]):
        leaf = make_leaf(
            issuer,
            ["n1.example.test"],
            usages=usages,
            not_before_s=int(time.time()) - DAY_S,
            not_after_s=int(time.time()) + 100 * DAY_S,
        )
        text = leaf.certificate_pem + issuer.certificate_pem
        status, made = await api.call(
            "POST", "certificates", {"certificate": text, "private_key": leaf.key_pem}
        )
        assert status == 201
        kept.append(made)
    assert [each["headline"]["severity"] for each in kept] == ["warning", "note"]
    raised = []
    for each in kept:
        assert (await api.call("POST", f"certificates/{each['id']}/assign", {"nodes": ["n1"]}))[0] == 200
        await api.use_cases.alarms.evaluator.evaluate(api.fleet)
        raised.append(
            {
                found.subject.key
                for found in await api.use_cases.alarms.active()
                if found.subject.kind is AlarmKind.CERTIFICATE_REFUSED
            }
        )
    assert raised == [{f"certificate:{kept[0]['id']}"}, set()]


async def test_a_root_whose_signature_on_itself_is_damaged_is_named(api: ApiClient):
    whole, _ = pki.current_ca("Whole")
    damaged = make_root("Damaged").certificate_der
    damaged = damaged[:-1] + bytes([damaged[-1] ^ 1])
    for pem in (whole.certificate_pem, pem_of(damaged)):
        assert (await api.call("POST", "trusted-cas", {"certificates": pem}))[0] == 201
    _, found = await api.call("GET", "trusted-cas")
    (shown,) = found["warnings"]
    assert "CN=Damaged on itself" in shown
    assert "-check_ss_sig" in shown
