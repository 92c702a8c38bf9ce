"""Decryption by passphrase (RFC 8018 6, RFC 7292 B and C), which gives the plain bytes that a library's loader keeps to itself.

Decides how a key is derived and which cipher it is for. What it costs has been checked before (`kdf`).
Invariant: what comes out is what was sealed, or an error; whether it was the right passphrase, only a digest or the content can tell.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7

from common.errors import PkiError, Reason
from common.pki import der
from manager.pki.read.kdf import MAX_SCRYPT_BYTES, small_integer

_T = TypeVar("_T")

PBMAC1: Final = "1.2.840.113549.1.5.14"
_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_HMACS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1.2.840.113549.2.7": "sha1",
        "1.2.840.113549.2.8": "sha224",
        "1.2.840.113549.2.9": "sha256",
        "1.2.840.113549.2.10": "sha384",
        "1.2.840.113549.2.11": "sha512",
    }
)
_DIGESTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1.3.14.3.2.26": "sha1",
        "2.16.840.1.101.3.4.2.4": "sha224",
        "2.16.840.1.101.3.4.2.1": "sha256",
        "2.16.840.1.101.3.4.2.2": "sha384",
        "2.16.840.1.101.3.4.2.3": "sha512",
    }
)
_Cipher = tuple[Callable[[bytes], CipherAlgorithm], int, int]
"""The algorithm, the octets of its key, the octets of its block."""

_PBES2_CIPHERS: Final[Mapping[str, _Cipher]] = MappingProxyType(
    {
        "2.16.840.1.101.3.4.1.2": (AES, 16, 16),
        "2.16.840.1.101.3.4.1.22": (AES, 24, 16),
        "2.16.840.1.101.3.4.1.42": (AES, 32, 16),
        "1.2.840.113549.3.7": (TripleDES, 24, 8),
    }
)
_PKCS12_CIPHERS: Final[Mapping[str, _Cipher]] = MappingProxyType(
    {
        "1.2.840.113549.1.12.1.3": (TripleDES, 24, 8),
        "1.2.840.113549.1.12.1.4": (TripleDES, 16, 8),
        "1.2.840.113549.1.12.1.5": (RC2, 16, 8),
    }
)
_TWO_KEYS: Final = "1.2.840.113549.1.12.1.4"
_PBES1_DES: Final[Mapping[str, str]] = MappingProxyType(
    {"1.2.840.113549.1.5.3": "md5", "1.2.840.113549.1.5.10": "sha1"}
)
_KEY_ID, _IV_ID, MAC_ID = 1, 2, 3
_DES_OCTETS: Final = 8


_derived: ContextVar[dict[tuple[object, ...], bytes] | None] = ContextVar("_derived", default=None)


@contextmanager
def deriving_once() -> Iterator[None]:
    """Derive the key of each passphrase, salt and count once in this block: the parts of one file often share them."""
    if _derived.get() is not None:
        yield
        return
    token = _derived.set({})
    try:
        yield
    finally:
        _derived.reset(token)


class UnknownSchemeError(PkiError):
    """A scheme that is not ours to open; the library may know it."""

    reason = Reason.UNSUPPORTED


def unseal(algorithm: bytes, ciphertext: bytes, passphrase: str) -> bytes:
    """Decrypt what an AlgorithmIdentifier says how to. Raises PkiError INVALID (passphrase), UnknownSchemeError, DerError."""
    scheme, parameters = der.sequence(algorithm, 2)[:2]
    name = der.object_id(scheme)
    if name == _PBES2:
        make, key, iv = _pbes2(parameters, passphrase)
    elif name in _PKCS12_CIPHERS:
        make, key_octets, block = _PKCS12_CIPHERS[name]
        salt, count = _salt_and_count(parameters)
        password = bmp(passphrase)
        key = derive_pkcs12("sha1", password, salt, count, purpose=_KEY_ID, octets=key_octets)
        if name == _TWO_KEYS:
            key += key[:_DES_OCTETS]
        iv = derive_pkcs12("sha1", password, salt, count, purpose=_IV_ID, octets=block)
    elif name in _PBES1_DES:
        salt, count = _salt_and_count(parameters)
        derived = _pbkdf1(_PBES1_DES[name], passphrase.encode(), salt, count)
        make, key, iv = TripleDES, derived[:_DES_OCTETS] * 3, derived[_DES_OCTETS : 2 * _DES_OCTETS]
    else:
        raise UnknownSchemeError(f"the encryption scheme {name} is not supported")
    return _decrypt(make(key), iv, ciphertext)


def pbkdf2_of(algorithm: bytes) -> bytes | None:
    """Return what PBES2 derives its key by and for which cipher, None if it is not PBKDF2. Raises DerError.

    Equal ones are derived once (`deriving_once`).
    """
    scheme, parameters = der.sequence(algorithm, 2)[:2]
    if der.object_id(scheme) != _PBES2:
        return None
    derivation, cipher = der.members(parameters, der.SEQUENCE, 2)[:2]
    if der.object_id(der.members(derivation, der.SEQUENCE, 1)[0]) != _PBKDF2:
        return None
    return derivation.raw + der.members(cipher, der.SEQUENCE, 1)[0].raw


def mac_matches(mac: der.Element, content: bytes, passphrase: str) -> bool:
    """Tell whether a PKCS#12 file's MacData (RFC 7292 A, RFC 9579) is that of this content and passphrase.

    Raises PkiError UNSUPPORTED, DerError.
    """
    parts = der.members(mac, der.SEQUENCE, 2)
    algorithm, wanted = der.members(parts[0], der.SEQUENCE, 2)[:2]
    kind = der.members(algorithm, der.SEQUENCE, 1)
    name = der.object_id(kind[0])
    if name == PBMAC1:
        derivation, scheme = der.members(kind[1], der.SEQUENCE, 2)[:2]
        digest = _known(_HMACS, der.object_id(der.members(scheme, der.SEQUENCE, 1)[0]))
        key = _pbkdf2(derivation, passphrase.encode(), hashlib.new(digest).digest_size)
    else:
        digest = _known(_DIGESTS, name)
        count = small_integer(parts[2]) if len(parts) > 2 else 1
        octets = hashlib.new(digest).digest_size
        key = derive_pkcs12(digest, bmp(passphrase), parts[1].content, count, purpose=MAC_ID, octets=octets)
    return hmac.compare_digest(hmac.new(key, content, digest).digest(), wanted.content)


def bmp(passphrase: str) -> bytes:
    """Write a passphrase as PKCS#12's older schemes take it (RFC 7292 B.1)."""
    return passphrase.encode("utf-16-be", errors="surrogatepass") + b"\x00\x00"


def derive_pkcs12(
    digest: str, password: bytes, salt: bytes, count: int, *, purpose: int, octets: int
) -> bytes:
    """Derive a key, an initial vector or a MAC's key (RFC 7292 B.2)."""
    hashed = getattr(hashlib, digest)
    block = hashed().block_size
    state = bytearray(_filled(salt, block) + _filled(password, block))
    made = b""
    while len(made) < octets:
        value = hashed(bytes([purpose]) * block + state).digest()
        for _ in range(1, count):
            value = hashed(value).digest()
        made += value
        add = int.from_bytes(_filled(value, block)[:block], "big") + 1
        for start in range(0, len(state), block):
            total = int.from_bytes(state[start : start + block], "big") + add
            state[start : start + block] = (total % (1 << 8 * block)).to_bytes(block, "big")
    return made[:octets]


def _filled(value: bytes, block: int) -> bytes:
    """Repeat a value to a whole number of blocks."""
    if not value:
        return b""
    size = block * -(-len(value) // block)
    return (value * -(-size // len(value)))[:size]


def _pbes2(
    parameters: der.Element, passphrase: str
) -> tuple[Callable[[bytes], CipherAlgorithm], bytes, bytes]:
    derivation, scheme = der.members(parameters, der.SEQUENCE, 2)[:2]
    name, iv = der.members(scheme, der.SEQUENCE, 2)[:2]
    make, octets, _ = _known(_PBES2_CIPHERS, der.object_id(name))
    return make, _pbkdf2(derivation, passphrase.encode(), octets), iv.content


def _pbkdf2(derivation: der.Element, password: bytes, octets: int) -> bytes:
    """Derive a key with PBKDF2 (RFC 8018 A.2) or scrypt (RFC 7914 7)."""
    kind, parameters = der.members(derivation, der.SEQUENCE, 2)[:2]
    fields = der.members(parameters, der.SEQUENCE, 2)
    salt = fields[0].content
    match der.object_id(kind):
        case "1.3.6.1.4.1.11591.4.11":
            cost, size, parallel = (small_integer(one) for one in fields[1:4])
            return hashlib.scrypt(
                password, salt=salt, n=cost, r=size, p=parallel, maxmem=2 * MAX_SCRYPT_BYTES, dklen=octets
            )
        case name if name == _PBKDF2:
            chosen = [one for one in fields[2:] if one.tag == der.SEQUENCE]
            name = der.object_id(der.members(chosen[0], der.SEQUENCE, 1)[0]) if chosen else next(iter(_HMACS))
            return _pbkdf2_once(_known(_HMACS, name), password, salt, small_integer(fields[1]), octets)
        case other:
            raise UnknownSchemeError(f"the key derivation {other} is not supported")


def _pbkdf2_once(digest: str, password: bytes, salt: bytes, count: int, octets: int) -> bytes:
    known, wanted = _derived.get(), (digest, password, salt, count, octets)
    if known is not None and wanted in known:
        return known[wanted]
    made = hashlib.pbkdf2_hmac(digest, password, salt, count, dklen=octets)
    if known is not None:
        known[wanted] = made
    return made


def _pbkdf1(digest: str, password: bytes, salt: bytes, count: int) -> bytes:
    value = password + salt
    for _ in range(count):
        value = hashlib.new(digest, value, usedforsecurity=False).digest()
    return value


def _salt_and_count(parameters: der.Element) -> tuple[bytes, int]:
    salt, count = der.members(parameters, der.SEQUENCE, 2)[:2]
    return salt.content, small_integer(count)


def _decrypt(cipher: CipherAlgorithm, iv: bytes, ciphertext: bytes) -> bytes:
    block = getattr(cipher, "block_size", 0)
    try:
        decryptor = Cipher(cipher, modes.CBC(iv)).decryptor()
        padded = decryptor.update(ciphertext) + decryptor.finalize()
        unpadder = PKCS7(block).unpadder()
        return unpadder.update(padded) + unpadder.finalize()
    except UnsupportedAlgorithm as error:
        raise UnknownSchemeError("the cipher is not supported") from error
    except ValueError as error:
        raise PkiError(
            "the passphrase is wrong, or what it opens is damaged", reason=Reason.INVALID
        ) from error


def _known(table: Mapping[str, _T], name: str) -> _T:
    if name not in table:
        raise UnknownSchemeError(f"the algorithm {name} is not supported")
    return table[name]
