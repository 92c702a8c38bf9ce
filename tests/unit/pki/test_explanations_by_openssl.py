"""The OpenSSL column of the reference table: the real openssl is asked about a certificate for each row, and must say the same."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.api.codes import ChainState, StatusCode
from common.explained.explanation import ClientFamily
from common.explained.statuses import CHAIN_STATES, FINDINGS, STATUSES, explain
from common.pki.certificate import Certificate, decode
from common.pki.finding import LintCode, Severity
from common.pki.pem import pem_of, read_blocks
from manager.pki.chain.chain import build_chain
from manager.pki.chain.search import Issuers
from manager.pki.judge.lint import lint
from tests import odd
from tests.pki import DAY_S, NOW_S, Made, make_intermediate, make_leaf, make_root, make_rsa_key
from tests.unit.pki.openssl import accepts, openssl

HOST = "node.example.com"
ROOT, STRANGER = make_root(), make_root("Somebody's Root")
NAMELESS = make_root("x")
ELSEWHERE_ONLY = x509.NameConstraints([x509.DNSName("elsewhere.example")], None)
MUST_STAPLE = x509.TLSFeature([x509.TLSFeatureType.status_request])
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

OF_ITS_PLACE = {
    *(LintCode.NODE_NAME_MISMATCH, LintCode.NO_CLIENT_AUTH, LintCode.CHAIN),
    *(LintCode.LOOSE_FORM, LintCode.CA_KEY, LintCode.KEY_SHARED, LintCode.UNASSIGNED),
}
"""Not to be seen in the certificate alone."""


@dataclass(frozen=True)
class Served:
    """What a server sends, and what its client trusts."""

    leaf: str
    sent: tuple[Made, ...] = ()
    trusted: str = ROOT.certificate_pem
    host: str = HOST
    purpose: str = "server"


Row = LintCode | StatusCode | ChainState


def by_hand(*, issuer: Made = ROOT, **parts) -> str:
    """Sign a certificate that no builder makes, for the node's name unless other extensions are given."""
    parts.setdefault("extensions", [odd.extension(odd.SAN, odd.dns(HOST))])
    name = issuer.certificate.subject.public_bytes()
    made = odd.certificate(
        **{"subject": odd.name(HOST), "issuer": name, "public_key": odd.spki()} | parts, key=issuer.key
    )
    return pem_of(made)


def usage(*named: str) -> list[tuple[x509.ExtensionType, bool]]:
    kinds = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    )
    kinds += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return [(x509.KeyUsage(**{kind: kind in named for kind in kinds}), True)]


def plain(*, sent: tuple[Made, ...] = (), trusted: Made = ROOT, host: str = HOST, **parts) -> Served:
    """Serve a leaf of the last that is sent, or of the root."""
    leaf = make_leaf(sent[0] if sent else trusted, **{"names": [HOST], **parts})
    return Served(leaf.certificate_pem, sent, trusted.certificate_pem, host)


def below(**parts) -> Served:
    return plain(sent=(make_intermediate(ROOT, "Issuing", **parts),))


def explicit_curve(folder: Path) -> Served:
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "curve.key", cwd=folder)
    pem = openssl("ec", "-in", "curve.key", "-pubout", "-param_enc", "explicit", cwd=folder)
    return Served(by_hand(public_key=base64.b64decode("".join(pem.splitlines()[1:-1]))))


def nameless(_: Path) -> Served:
    empty = {"subject": odd.seq(), "issuer": odd.seq(), "public_key": odd.spki(NAMELESS.key)}
    ca = odd.extension(odd.BASIC, odd.seq(odd.TRUE), odd.TRUE)
    root = pem_of(odd.certificate(**empty, extensions=[ca], key=NAMELESS.key))
    leaf = odd.certificate(
        subject=odd.name(HOST),
        issuer=odd.seq(),
        extensions=[odd.extension(odd.SAN, odd.dns(HOST))],
        key=NAMELESS.key,
        public_key=odd.spki(),
    )
    return Served(pem_of(leaf), trusted=root)


def read(pem: str) -> Certificate:
    return decode(read_blocks(pem).blocks[0].der)


def self_signed() -> str:
    return make_leaf(None, [HOST]).certificate_pem


WEAK_CA = make_intermediate(ROOT, "Issuing", key=make_rsa_key(1024))

ROWS: tuple[tuple[Row, Served | Callable[[Path], Served]], ...] = (
    # no mapping: codes of two kinds may be spelled alike, and are then equal
    (LintCode.NOT_YET_VALID, plain(not_before_s=NOW_S + DAY_S)),
    (
        LintCode.BACKWARDS_VALIDITY,
        Served(by_hand(not_before=(odd.UTC, "280101000000Z"), not_after=(odd.UTC, "260101000000Z"))),
    ),
    (LintCode.WEAK_KEY, plain(key=make_rsa_key(1024))),
    (LintCode.UNUSUAL_KEY, plain(key=ec.generate_private_key(ec.SECP521R1()))),
    (LintCode.EXPLICIT_CURVE, explicit_curve),
    (LintCode.KEY_USAGE, plain(key=make_rsa_key(), extensions=usage("key_encipherment"))),
    (LintCode.UNUSUAL_SIGNATURE, plain(hash_=hashes.SHA224())),
    (LintCode.LOOSE_FORM, Served(by_hand())),
    (LintCode.NAME_CONSTRAINTS, plain(extensions=[(ELSEWHERE_ONLY, True)])),
    (LintCode.MUST_STAPLE, plain(extensions=[(MUST_STAPLE, False)])),
    (LintCode.OLD_VERSION, Served(by_hand(version=b"", extensions=None))),
    (LintCode.SERIAL_NUMBER, Served(by_hand(serial=b"\x02\x01\x80"))),
    (LintCode.EMPTY_ISSUER, nameless),
    (LintCode.LONG_LIFETIME, plain(not_after_s=NOW_S + 3000 * DAY_S)),
    (LintCode.UNDECODABLE, Served(by_hand(extensions=[odd.extension(odd.SAN, b"\x05\x00")]))),
    (LintCode.ODD_ENCODING, Served(by_hand(not_before=(odd.UTC, "2601010000Z")))),
    (LintCode.NO_SAN, plain(alternatives=False)),
    (LintCode.NAME_NOT_IN_SAN, plain(names=["other.example.com"], common_name=HOST)),
    (LintCode.ODD_NAME, plain(names=[HOST, "a_b.example.com"], host="a_b.example.com")),
    (LintCode.WILDCARD, plain(names=["*.example.com"])),
    (LintCode.NODE_NAME_MISMATCH, plain(names=["other.example.com"])),
    (LintCode.NO_PURPOSE, plain(usages=None)),
    (LintCode.NO_SERVER_AUTH, plain(usages=[CLIENT])),
    (
        LintCode.NO_CLIENT_AUTH,
        Served(make_leaf(ROOT, [HOST], usages=[SERVER]).certificate_pem, purpose="client"),
    ),
    (LintCode.IS_CA, Served(make_intermediate(ROOT, HOST).certificate_pem)),
    (LintCode.CA_USAGE, plain(extensions=usage("digital_signature", "key_cert_sign"))),
    (LintCode.CHAIN, Served(make_leaf(STRANGER, [HOST]).certificate_pem)),
    (LintCode.CA_KEY, plain(key=ROOT.key)),
    (LintCode.KEY_SHARED, plain()),
    (LintCode.UNASSIGNED, plain()),
    (StatusCode.UNREADABLE, Served(by_hand(not_after=(odd.UTC, "281301000000Z")))),
    (StatusCode.EXPIRED, plain(not_after_s=NOW_S - DAY_S)),
    (StatusCode.EXPIRING, plain(not_after_s=NOW_S + DAY_S)),
    (StatusCode.TEMPORARY, Served(self_signed())),
    (StatusCode.EMPTY_SUBJECT, plain(subject=x509.Name([]))),
    (StatusCode.GOOD, plain()),
    (ChainState.COMPLETE, below()),
    (ChainState.WEAK, plain(sent=(WEAK_CA,))),
    (ChainState.NOT_YET_VALID, below(not_before_s=NOW_S + DAY_S)),
    (ChainState.EXPIRED, below(not_after_s=NOW_S - DAY_S)),
    (
        ChainState.INVALID,
        below(extensions=[(x509.NameConstraints([x509.DNSName("elsewhere.example")], None), True)]),
    ),
    (ChainState.UNTRUSTED, Served(make_leaf(STRANGER, [HOST]).certificate_pem, (STRANGER,))),
    (ChainState.INCOMPLETE, Served(make_leaf(make_intermediate(ROOT, "Issuing"), [HOST]).certificate_pem)),
    (ChainState.SELF_SIGNED, Served(self_signed())),
)
ELSEWHERE = (
    LintCode.BAD_EXPONENT,  # the handshake fails, not the verification of the certificate
    LintCode.UNLOADABLE,  # found by asking OpenSSL itself
    StatusCode.WEAK_SIGNATURE,  # the library that makes these signs nothing with SHA-1
    ChainState.UNDETERMINED,  # a limit of ours
)


@pytest.mark.parametrize(("row", "made"), ROWS, ids=[f"{type(row).__name__}-{row}" for row, _ in ROWS])
def test_openssl_refuses_what_its_row_says_and_accepts_the_rest(tmp_path, row, made):
    served = made(tmp_path) if callable(made) else made
    accepted = accepts(
        served.leaf,
        *("-auth_level", "2", "-verify_hostname", served.host),
        trusted=served.trusted,
        sent="".join(one.certificate_pem for one in served.sent),
        purpose=served.purpose,
        cwd=tmp_path,
    )
    assert accepted is (ClientFamily.OPENSSL not in explain(row).refused_by)
    leaf = read(served.leaf)
    if isinstance(row, LintCode) and row not in OF_ITS_PLACE:
        assert row in {finding.code for finding in lint(leaf, now_s=NOW_S)}
    if isinstance(row, ChainState):
        sent = [decode(one.certificate_der) for one in served.sent]
        issuers = Issuers(trusted=[read(served.trusted)])
        assert build_chain(leaf, issuers, uploaded=sent, now_s=NOW_S).state is row


def test_every_row_is_tried_or_says_why_not():
    known = [row.code for row in (*FINDINGS, *STATUSES, *CHAIN_STATES)]
    tried = [*(row for row, _ in ROWS), *ELSEWHERE]
    assert sorted((type(row).__name__, row) for row in tried) == sorted(
        (type(row).__name__, row) for row in known
    )


@pytest.mark.parametrize("oid", ["14", "15", "17", "19", "30", "35", "37"])
def test_an_extension_that_openssl_cannot_read_is_an_error(tmp_path, oid):
    rest = [] if oid == "17" else [odd.extension(odd.SAN, odd.dns(HOST))]
    leaf = by_hand(extensions=[odd.extension(f"2.5.29.{oid}", b"\x05\x00"), *rest])
    assert not accepts(leaf, trusted=ROOT.certificate_pem, cwd=tmp_path)
    (found,) = [one for one in lint(read(leaf), now_s=NOW_S) if one.code is LintCode.UNDECODABLE]
    assert found.severity is Severity.ERROR
