"""Certificates that products issue and a strict builder would not make: put together part by part and signed."""

from collections.abc import Sequence

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.pki import der

KEY = ec.generate_private_key(ec.SECP256R1())

UTF8, PRINTABLE, T61, IA5, BMP, UNIVERSAL = 0x0C, 0x13, 0x14, 0x16, 0x1E, 0x1C
UTC, GENERALIZED = 0x17, 0x18
CN, ORG, EMAIL = "2.5.4.3", "2.5.4.10", "1.2.840.113549.1.9.1"
SAN, BASIC, KEY_USAGE, EKU, AKI, SKI = (
    "2.5.29.17",
    "2.5.29.19",
    "2.5.29.15",
    "2.5.29.37",
    "2.5.29.35",
    "2.5.29.14",
)
ECDSA_SHA256 = der.encode(der.SEQUENCE, der.encode_object_id("1.2.840.10045.4.3.2"))
TRUE, FALSE, ONE = b"\x01\x01\xff", b"\x01\x01\x00", b"\x01\x01\x01"


def seq(*parts: bytes) -> bytes:
    return der.encode(der.SEQUENCE, b"".join(parts))


def attribute(oid: str, value: bytes | str, tag: int = UTF8) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return seq(der.encode_object_id(oid), der.encode(tag, content))


def tagged(tag: int, content: bytes) -> bytes:
    return der.encode(tag, content)


def rdn(*attributes: bytes) -> bytes:
    return der.encode(der.SET, b"".join(attributes))


def name(common_name: bytes | str = "odd.example.com", tag: int = UTF8) -> bytes:
    return seq(rdn(attribute(CN, common_name, tag)))


def extension(oid: str, value: bytes, critical: bytes = b"") -> bytes:
    return seq(der.encode_object_id(oid), critical, der.encode(der.OCTET_STRING, value))


def dns(*names: str) -> bytes:
    return seq(*(der.encode(0x82, each.encode()) for each in names))


NAMES = extension(SAN, dns("odd.example.com", "www.example.com"))


def spki(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def certificate(
    *,
    version: bytes = b"\xa0\x03\x02\x01\x02",
    serial: bytes = b"\x02\x02\x10\x01",
    inner: bytes | None = None,
    outer: bytes = ECDSA_SHA256,
    issuer: bytes | None = None,
    not_before: tuple[int, str] = (UTC, "260101000000Z"),
    not_after: tuple[int, str] = (UTC, "280101000000Z"),
    subject: bytes | None = None,
    public_key: bytes | None = None,
    extensions: Sequence[bytes] | None = (NAMES,),
    unique_ids: Sequence[bytes] = (),
    after: bytes = b"",
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = KEY,
    unused_bits: int = 0,
) -> bytes:
    """Put a certificate together and sign it; `issuer` None makes it self-issued."""
    subject = subject if subject is not None else name()
    validity = seq(*(der.encode(tag, text.encode()) for tag, text in (not_before, not_after)))
    fields = [
        version,
        serial,
        inner if inner is not None else outer,
        issuer if issuer is not None else subject,
        validity,
        subject,
        public_key if public_key is not None else spki(key),
    ]
    fields += [der.encode(0x81 + place, b"\x00" + each) for place, each in enumerate(unique_ids)]
    if extensions is not None:
        fields.append(der.encode(0xA3, seq(*extensions)))
    signed = seq(*fields)
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(signed, PKCS1v15(), hashes.SHA256())
    else:
        signature = key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return seq(signed, outer, der.encode(der.BIT_STRING, bytes([unused_bits]) + signature)) + after
