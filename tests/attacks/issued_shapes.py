"""Shapes of certificates that CAs have issued: what is in them, and which of them every client accepts."""

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from common.pki.certificate import decode
from common.pki.frame import read_frame
from tests import odd
from tests.pki import DAY_S, NOW_S, make_intermediate, make_leaf, make_root, make_rsa_key

HOST = "node.example.com"
ROOT = make_root()
ROOT_KEY = bytes.fromhex((decode(ROOT.certificate_der).key_id or "").replace(":", ""))
NARROW = make_intermediate(
    ROOT, "Narrow", extensions=[(x509.NameConstraints([x509.DNSName("elsewhere.example")], None), True)]
)
SHORT = make_intermediate(ROOT, "Short", path_length=0)
BELOW_SHORT = make_intermediate(SHORT, "Below")
SERVER, CLIENT, MAIL, ANY = (
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.EMAIL_PROTECTION,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
)


def usage(*named: str) -> tuple[x509.ExtensionType, bool]:
    kinds = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
    )
    kinds += ("key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    return x509.KeyUsage(**{kind: kind in named for kind in kinds}), True


def plain(issuer=ROOT, **parts) -> bytes:
    return make_leaf(issuer, **{"names": [HOST], **parts}).certificate_der


def by_hand(**parts) -> bytes:
    """Sign what no builder makes; for the node's name and for servers unless other extensions are given."""
    server = odd.extension(odd.EKU, odd.seq(bytes.fromhex("06082b06010505070301")))
    made = {
        "subject": odd.name(HOST),
        "issuer": read_frame(ROOT.certificate_der).subject,
        "public_key": odd.spki(),
        "extensions": [odd.extension(odd.SAN, odd.dns(HOST)), server],
    } | parts
    made["extensions"] = [*made["extensions"], odd.extension(odd.AKI, odd.seq(odd.tagged(0x80, ROOT_KEY)))]
    return odd.certificate(**made, key=ROOT.key)


def raw(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def names(*every: str) -> bytes:
    return plain(names=[HOST, *every])


def below(*, key: bytes | None = None, issuer: bytes | None = None, serial: bytes | None = None) -> bytes:
    """Sign a leaf below `MIDDLE` whose authority key identifier says this."""
    said = [odd.tagged(0x80, key)] if key is not None else []
    said += [odd.tagged(0xA1, odd.tagged(0xA4, issuer))] if issuer is not None else []
    said += [odd.tagged(0x82, serial)] if serial is not None else []
    extensions = [
        odd.extension(odd.SAN, odd.dns(HOST)),
        odd.extension(odd.EKU, odd.seq(bytes.fromhex("06082b06010505070301"))),
        odd.extension(odd.AKI, odd.seq(*said)),
    ]
    issued_by = read_frame(MIDDLE.certificate_der).subject
    return odd.certificate(
        subject=odd.name(HOST),
        issuer=issued_by,
        public_key=odd.spki(),
        extensions=extensions,
        key=MIDDLE.key,
    )


MIDDLE = make_intermediate(ROOT, "Middle")
_NUMBER = MIDDLE.certificate.serial_number
# one octet more where it would look negative
MIDDLE_NUMBER = _NUMBER.to_bytes(_NUMBER.bit_length() // 8 + 1)
MIDDLE_KEY = bytes.fromhex((decode(MIDDLE.certificate_der).key_id or "").replace(":", ""))
ROOT_NAME, MIDDLE_NAME = (read_frame(each.certificate_der).subject for each in (ROOT, MIDDLE))
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
AS_A_SERVER = (
    odd.extension(odd.SAN, odd.dns(HOST)),
    odd.extension(odd.EKU, odd.seq(bytes.fromhex("06082b06010505070301"))),
)
POLICY, OTHER_POLICY = (odd.seq(odd.tagged(6, bytes.fromhex(f"67810c010{last}"))) for last in (1, 2))
PRINTABLE_ROOT_NAME = odd.name("Test Root", 0x13)
CA_KEY, CA_NAME = odd.KEY, odd.name("Loose")
CA = {
    "basic": odd.extension(odd.BASIC, odd.seq(odd.TRUE), odd.TRUE),
    "usage": odd.extension(odd.KEY_USAGE, b"\x03\x02\x01\x06", odd.TRUE),
    "subject key": odd.extension(odd.SKI, odd.tagged(4, b"K" * 20)),
    "authority key": odd.extension(odd.AKI, odd.seq(odd.tagged(0x80, ROOT_KEY))),
}
LOOSE = {
    "as it should be": CA,
    "no key usage": {**CA, "usage": b""},
    "basic constraints not critical": {**CA, "basic": odd.extension(odd.BASIC, odd.seq(odd.TRUE))},
    "no subject key identifier": {**CA, "subject key": b""},
    "no authority key identifier": {**CA, "authority key": b""},
}
SHAPES = {
    "SHA-224": plain(hash_=hashes.SHA224()),
    "SHA3-256": plain(hash_=hashes.SHA3_256()),
    "as it should be": plain(),
    "for mail only": plain(usages=[MAIL]),
    "for clients only": plain(usages=[CLIENT]),
    "for any purpose": plain(usages=[ANY]),
    "no CA, and may sign": plain(extensions=[usage("digital_signature", "key_cert_sign")]),
    "no digital signature": plain(extensions=[usage("key_agreement")]),
    "a CA": make_intermediate(ROOT, HOST).certificate_der,
    "version 1 with extensions": by_hand(version=b""),
    "negative serial number": by_hand(serial=b"\x02\x01\x80"),
    "serial number of 24 octets": by_hand(serial=odd.tagged(2, b"\x11" * 24)),
    "empty subject, names not critical": by_hand(subject=odd.seq()),
    "names critical beside a subject": by_hand(
        extensions=[
            odd.extension(odd.SAN, odd.dns(HOST), odd.TRUE),
            odd.extension(odd.EKU, odd.seq(bytes.fromhex("06082b06010505070301"))),
        ]
    ),
    "names twice": by_hand(
        extensions=[odd.extension(odd.SAN, odd.dns(HOST)), odd.extension(odd.SAN, odd.dns("b.example"))]
    ),
    "the same names twice": by_hand(extensions=[odd.extension(odd.SAN, odd.dns(HOST))] * 2),
    "an address among host names": names("192.0.2.7"),
    "a wildcard alone": by_hand(extensions=[odd.extension(odd.SAN, odd.dns(HOST, "*"))]),
    "two wildcards": by_hand(extensions=[odd.extension(odd.SAN, odd.dns(HOST, "*.*.example.com"))]),
    "a wildcard in a label": by_hand(extensions=[odd.extension(odd.SAN, odd.dns(HOST, "f*.example.com"))]),
    "a wildcard of a top level": by_hand(extensions=[odd.extension(odd.SAN, odd.dns(HOST, "*.com"))]),
    "excluded by its CA": plain(NARROW),
    "path too long": plain(BELOW_SHORT),
    "unknown critical extension": plain(extensions=[(UNKNOWN, True)]),
    "RSA 1024": plain(key=make_rsa_key(1024)),
    "P-192": plain(key=ec.generate_private_key(ec.SECP192R1())),
    "brainpoolP256r1": plain(key=ec.generate_private_key(ec.BrainpoolP256R1())),
    "secp256k1": plain(key=ec.generate_private_key(ec.SECP256K1())),
    "P-224": plain(key=ec.generate_private_key(ec.SECP224R1())),
    "P-521": plain(key=ec.generate_private_key(ec.SECP521R1())),
    "Ed25519": by_hand(public_key=raw(ed25519.Ed25519PrivateKey.generate())),
    "Ed448": by_hand(public_key=raw(ed448.Ed448PrivateKey.generate())),
    "begins tomorrow": plain(not_before_s=NOW_S + DAY_S, not_after_s=NOW_S + 30 * DAY_S),
    "lives for 900 days": plain(not_after_s=NOW_S + 890 * DAY_S),
    "without seconds": by_hand(not_after=(odd.UTC, "2801010000Z")),
    "its CA by key, issuer and number": below(key=MIDDLE_KEY, issuer=ROOT_NAME, serial=MIDDLE_NUMBER),
    "another key of its CA": below(key=b"B" * 20),
    "another number of its CA": below(key=MIDDLE_KEY, issuer=ROOT_NAME, serial=b"\x11\x22"),
    "its CA named as that CA's issuer": below(key=MIDDLE_KEY, issuer=MIDDLE_NAME, serial=MIDDLE_NUMBER),
    "a signature of no whole octets": odd.certificate(
        subject=odd.name(HOST),
        issuer=ROOT_NAME,
        public_key=odd.spki(),
        extensions=[odd.extension(odd.SAN, odd.dns(HOST))],
        key=ROOT.key,
        unused_bits=1,
    ),
    "CRL points unreadable": by_hand(extensions=[*AS_A_SERVER, odd.extension("2.5.29.31", b"\x05\x00")]),
    "Netscape type unreadable": by_hand(
        extensions=[*AS_A_SERVER, odd.extension("2.16.840.1.113730.1.1", b"\x05\x00")]
    ),
    "no CRL points named": by_hand(extensions=[*AS_A_SERVER, odd.extension("2.5.29.31", odd.seq())]),
    "a policy twice": by_hand(extensions=[*AS_A_SERVER, odd.extension("2.5.29.32", odd.seq(POLICY, POLICY))]),
    "two policies": by_hand(
        extensions=[*AS_A_SERVER, odd.extension("2.5.29.32", odd.seq(POLICY, OTHER_POLICY))]
    ),
    "its issuer's name written otherwise": by_hand(issuer=PRINTABLE_ROOT_NAME),
    "no purpose": plain(usages=None),
    "no names": plain(alternatives=False),
    "basic constraints unreadable": by_hand(
        extensions=[odd.extension(odd.SAN, odd.dns(HOST)), odd.extension(odd.BASIC, b"\x05\x00")]
    ),
}
ACCEPTED = {
    "as it should be",
    "two policies",
    "no CRL points named",
    "its CA by key, issuer and number",
    # no client that was tried refuses these, only the library behind the strict client
    "names critical beside a subject",
    "serial number of 24 octets",
}
SENT = {
    "excluded by its CA": [NARROW],
    "path too long": [BELOW_SHORT, SHORT],
    "its CA by key, issuer and number": [MIDDLE],
    "another key of its CA": [MIDDLE],
    "another number of its CA": [MIDDLE],
    "its CA named as that CA's issuer": [MIDDLE],
}
