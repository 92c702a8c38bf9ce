"""Public keys as they stand in certificates and requests.

Decides what a SubjectPublicKeyInfo is called, how long its key is, and which keys are the same. Leaves what a kind is worth to others.
Invariant: a key of any kind has a name; two encodings of one key have one `key_id`, and what is odd about an encoding is said.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from common.ids import digest_of
from common.pki import der
from common.pki.oids import CURVES, algorithm_name
from common.pki.signature import DECODING_ERRORS, RSA_PSS, despite_warnings

EXPLICIT_EC = "EC explicit parameters"
"""The kind of a key whose curve is written out instead of named, which RFC 5480 2.1.1 forbids and OpenSSL refuses in a chain."""

RSA, EC = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"

_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_PRIME_FIELD = "1.2.840.10045.1.1"
_NULL = b"\x05\x00"
_RSA_ALGORITHM = der.encode(der.SEQUENCE, bytes.fromhex("06092a864886f70d010101") + _NULL)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """A public key. `key_id` as `spki_id`; `loaded` is None for a kind that the library does not know; `oddity` is a sentence or ""."""

    kind: str
    bits: int
    key_id: str
    loaded: PublicKeyTypes | None
    oddity: str = ""


def read_public_key(raw: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo. Raises DerError if it does not have the frame of one."""
    algorithm, value = der.sequence(raw, 2)[:2]
    parts = der.members(algorithm, der.SEQUENCE, 1)
    oid = der.object_id(parts[0])
    parameters = parts[1] if len(parts) > 1 else None
    loaded = _load(raw, oid, value)
    explicit = oid == EC and parameters is not None and parameters.tag == der.SEQUENCE
    if loaded is None:
        kind, bits = _name(oid, parameters, value)
        return PublicKey(
            kind=kind, bits=bits, key_id=digest_of(raw), loaded=None, oddity=_EXPLICIT if explicit else ""
        )
    kind, bits = key_kind(loaded)
    key_id = spki_id(loaded)
    if explicit:
        return PublicKey(kind=EXPLICIT_EC, bits=bits, key_id=key_id, loaded=loaded, oddity=_EXPLICIT)
    odd = key_id != digest_of(raw) and oid != RSA_PSS
    return PublicKey(
        kind=kind,
        bits=bits,
        key_id=key_id,
        loaded=loaded,
        oddity="Its public key is not encoded as usual." if odd else "",
    )


def spki_id(key: CertificatePublicKeyTypes | PublicKeyTypes) -> str:
    """Return the SHA-256 of a public key's SubjectPublicKeyInfo in its usual encoding, 64 hex digits: it identifies the key's value."""
    return digest_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def key_kind(key: CertificatePublicKeyTypes | PublicKeyTypes) -> tuple[str, int]:
    """Name a public key's type ("RSA", "EC P-256", "Ed25519") and give its size in bits."""
    match key:
        case rsa.RSAPublicKey():
            return "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return f"EC {_CURVES.get(key.curve.name, key.curve.name)}", key.curve.key_size
        case ed25519.Ed25519PublicKey():
            return "Ed25519", 256
        case ed448.Ed448PublicKey():
            return "Ed448", 456
        case dsa.DSAPublicKey():
            return "DSA", key.key_size
        case mldsa.MLDSA44PublicKey():
            return "ML-DSA-44", 0
        case mldsa.MLDSA65PublicKey():
            return "ML-DSA-65", 0
        case mldsa.MLDSA87PublicKey():
            return "ML-DSA-87", 0
        case _:
            return type(key).__name__.removesuffix("PublicKey"), 0


_EXPLICIT = "Its key writes the curve's parameters out instead of naming the curve."


def _load(raw: bytes, oid: str, value: der.Element) -> PublicKeyTypes | None:
    try:
        return despite_warnings(lambda: load_der_public_key(raw))
    except DECODING_ERRORS:
        pass
    if oid != RSA:
        return None
    try:
        # other products leave out, or add, what stands beside the key
        usual = der.encode(der.SEQUENCE, _RSA_ALGORITHM + value.raw)
        return despite_warnings(lambda: load_der_public_key(usual))
    except DECODING_ERRORS:
        return None


def _name(oid: str, parameters: der.Element | None, value: der.Element) -> tuple[str, int]:
    """Name a key that the library does not load, as well as its encoding tells."""
    try:
        if oid in {RSA, RSA_PSS}:
            modulus = der.sequence(der.bits(value)[1], 1)[0]
            return "RSA", int.from_bytes(modulus.content, "big").bit_length()
        if oid == EC and parameters is not None and parameters.tag == der.OBJECT_ID:
            curve = der.object_id(parameters)
            name, bits = CURVES.get(curve, (curve, 0))
            return f"EC {name}", bits
        if oid == EC and parameters is not None and parameters.tag == der.SEQUENCE:
            return EXPLICIT_EC, _field_bits(parameters)
    except der.DerError:
        return algorithm_name(oid), 0
    return algorithm_name(oid), 0


def _field_bits(parameters: der.Element) -> int:
    """Return the size of the field of explicit parameters (RFC 3279 2.3.5)."""
    kind, size = der.members(der.members(parameters, der.SEQUENCE, 2)[1], der.SEQUENCE, 2)[:2]
    if der.object_id(kind) == _PRIME_FIELD:
        return der.integer(size).bit_length()
    return der.integer(der.members(size, der.SEQUENCE, 1)[0])
