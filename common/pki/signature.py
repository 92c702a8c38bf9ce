"""Signature checks: whether a signature was made with a key.

Decides by the signature alone: names, dates and uses are the chain's affair. Old hashes (SHA-1, MD5) verify here,
because "signed with SHA-1" must be told from "not signed by it"; whether they are good enough is the status's affair.
Invariant: what is verified is the bytes of the certificate or request itself, whatever a strict parser thinks of them.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from common.pki import der
from common.pki.oids import ALGORITHMS, DIGESTS

_T = TypeVar("_T")

DECODING_ERRORS = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    x509.ExtensionNotFound,
    OverflowError,
    KeyError,
    # only in a process that turns warnings into errors
    Warning,
)
"""What the library's readers and accessors may raise."""

RSA_PSS = "1.2.840.113549.1.1.10"

_HASHES: dict[str, Callable[[], hashes.HashAlgorithm]] = {
    "md5": hashes.MD5,
    "sha1": hashes.SHA1,
    "sha224": hashes.SHA224,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
    "sha512-224": hashes.SHA512_224,
    "sha512-256": hashes.SHA512_256,
    "sha3-224": hashes.SHA3_224,
    "sha3-256": hashes.SHA3_256,
    "sha3-384": hashes.SHA3_384,
    "sha3-512": hashes.SHA3_512,
}
_SIGNATURES = {
    "1.2.840.113549.1.1.2": "md2",
    "1.2.840.113549.1.1.3": "md4",
    "1.2.840.113549.1.1.4": "md5",
    "1.2.840.113549.1.1.5": "sha1",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
    "1.2.840.113549.1.1.14": "sha224",
    "1.2.840.113549.1.1.15": "sha512-224",
    "1.2.840.113549.1.1.16": "sha512-256",
    "1.3.14.3.2.3": "md5",
    "1.3.14.3.2.27": "sha1",
    "1.3.14.3.2.29": "sha1",
    "1.2.840.10040.4.3": "sha1",
    "1.2.840.10045.4.1": "sha1",
    "1.2.840.10045.4.3.1": "sha224",
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
    "2.16.840.1.101.3.4.3.1": "sha224",
    "2.16.840.1.101.3.4.3.2": "sha256",
    "2.16.840.1.101.3.4.3.3": "sha384",
    "2.16.840.1.101.3.4.3.4": "sha512",
    "2.16.840.1.101.3.4.3.9": "sha3-224",
    "2.16.840.1.101.3.4.3.10": "sha3-256",
    "2.16.840.1.101.3.4.3.11": "sha3-384",
    "2.16.840.1.101.3.4.3.12": "sha3-512",
    "2.16.840.1.101.3.4.3.13": "sha3-224",
    "2.16.840.1.101.3.4.3.14": "sha3-256",
    "2.16.840.1.101.3.4.3.15": "sha3-384",
    "2.16.840.1.101.3.4.3.16": "sha3-512",
}
"""The hash of each signature algorithm that has one."""

_WITHOUT_HASH = frozenset(
    {
        "1.3.101.112",
        "1.3.101.113",
        "2.16.840.1.101.3.4.3.17",
        "2.16.840.1.101.3.4.3.18",
        "2.16.840.1.101.3.4.3.19",
    }
)
_PSS_DEFAULT_SALT = 20

_COMMON_DIGESTS = {"sha256": 32, "sha384": 48, "sha512": 64}
"""Hashes that all TLS clients verify a certificate's signature with, and the octets of each (RFC 8446 4.2.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAlgorithm:
    """How something was signed. `hash_name` is "" where the algorithm has none, None where it is not known; `salt` only with RSA-PSS."""

    oid: str
    hash_name: str | None
    mask_hash: str | None = None
    salt: int = 0

    @property
    def name(self) -> str:
        """What people call it."""
        return ALGORITHMS.get(self.oid, self.oid)


def despite_warnings(reader: Callable[[], _T]) -> _T:
    """Call the library's `reader`, also in a process that turns warnings into errors.

    Some public roots have a serial number of zero or below, some products write PKCS#12 as BER: the library warns of these as
    yet, and people have them.
    """
    try:
        return reader()
    except Warning:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return reader()


def read_algorithm(raw: bytes) -> SignatureAlgorithm:
    """Read an AlgorithmIdentifier of a signature. Raises DerError."""
    parts = der.sequence(raw, 1)
    oid = der.object_id(parts[0])
    if oid == RSA_PSS:
        return _read_pss(oid, parts[1] if len(parts) > 1 else None)
    return SignatureAlgorithm(oid=oid, hash_name="" if oid in _WITHOUT_HASH else _SIGNATURES.get(oid))


def unusual(raw: bytes) -> str:
    """Name the signature algorithm that this AlgorithmIdentifier means if TLS 1.3 has it not for certificates, or browsers do not; "" if both do.

    RSA-PSS has to use one hash throughout, and as many octets of salt as that hash has (RFC 8446 4.2.3).
    """
    try:
        how = read_algorithm(raw)
    except der.DerError:
        return ""
    octets = _COMMON_DIGESTS.get(how.hash_name or "")
    if how.oid != RSA_PSS:
        return "" if octets is not None or how.hash_name is None else how.name
    if octets is not None and how.mask_hash == how.hash_name and how.salt == octets:
        return ""
    hashes_named = " and ".join(
        dict.fromkeys(each or "an unknown hash" for each in (how.hash_name, how.mask_hash))
    )
    return f"RSA-PSS with {hashes_named} and {how.salt} octets of salt"


def verify(*, algorithm: bytes, signed: bytes, signature: bytes, key: PublicKeyTypes | None) -> bool | None:
    """Whether `key` made this signature on `signed`; None where the algorithm or the key is not known here."""
    try:
        how = read_algorithm(algorithm)
    except der.DerError:
        return None
    if key is None or (how.hash_name != "" and how.hash_name not in _HASHES):
        return None
    try:
        _verify(how, signed, signature, key)
    except InvalidSignature:
        return False
    except DECODING_ERRORS:
        return None
    return True


def _verify(how: SignatureAlgorithm, signed: bytes, signature: bytes, key: PublicKeyTypes) -> None:
    match key:
        case rsa.RSAPublicKey() if how.oid == RSA_PSS:
            mask = padding.MGF1(_hash(how.mask_hash))
            key.verify(signature, signed, padding.PSS(mask, how.salt), _hash(how.hash_name))
        case rsa.RSAPublicKey() if how.hash_name:
            key.verify(signature, signed, padding.PKCS1v15(), _hash(how.hash_name))
        case ec.EllipticCurvePublicKey() if how.hash_name:
            key.verify(signature, signed, ec.ECDSA(_hash(how.hash_name)))
        case dsa.DSAPublicKey() if how.hash_name:
            key.verify(signature, signed, _hash(how.hash_name))
        case (
            ed25519.Ed25519PublicKey()
            | ed448.Ed448PublicKey()
            | mldsa.MLDSA44PublicKey()
            | mldsa.MLDSA65PublicKey()
            | mldsa.MLDSA87PublicKey()
        ) if how.hash_name == "":
            key.verify(signature, signed)
        case _:
            raise InvalidSignature


def _hash(name: str | None) -> hashes.HashAlgorithm:
    if name not in _HASHES:
        raise ValueError("an unknown hash")
    return _HASHES[name]()


def _read_pss(oid: str, parameters: der.Element | None) -> SignatureAlgorithm:
    """Read RSASSA-PSS-params (RFC 4055 3.1), whose defaults are SHA-1 and 20 octets of salt."""
    hash_name: str | None = "sha1"
    mask_hash: str | None = "sha1"
    salt = _PSS_DEFAULT_SALT
    for part in der.members(parameters, der.SEQUENCE) if parameters is not None else ():
        inner = der.first(part.content)
        if part.tag == 0xA0:
            hash_name = DIGESTS.get(der.object_id(der.members(inner, der.SEQUENCE, 1)[0]))
        elif part.tag == 0xA1:
            mask_hash = DIGESTS.get(
                der.object_id(der.members(der.members(inner, der.SEQUENCE, 2)[1], der.SEQUENCE, 1)[0])
            )
        elif part.tag == 0xA2:
            salt = der.integer(inner)
    return SignatureAlgorithm(oid=oid, hash_name=hash_name, mask_hash=mask_hash, salt=salt)
