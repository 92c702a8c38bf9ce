"""Decryption by passphrase (RFC 8018 6, RFC 7292 B and C) to plain bytes, which the library does not return.

Decides how a key is derived, and for which cipher. `kdf` has checked the cost before. Invariant: the result
is the original plaintext, or an error; only a digest or the content shows whether the passphrase was right.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import RC2, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7

from common.errors import PkiError, Reason
from common.pki import der
from manager.pki.read.kdf import MAX_SCRYPT_BYTES, small_integer
from manager.pki.read.schemes import UnknownSchemeError, cipher_name, hmac_name, scheme_name

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


def _single_des(key: bytes) -> CipherAlgorithm:
    return TripleDES(key * 3)


_Cipher = tuple[Callable[[bytes], CipherAlgorithm], int, int]
"""The algorithm, the octets of its key, the octets of its block."""

_PBES2_CIPHERS: Final[Mapping[str, _Cipher]] = MappingProxyType(
    {
        "2.16.840.1.101.3.4.1.2": (AES, 16, 16),
        "2.16.840.1.101.3.4.1.22": (AES, 24, 16),
        "2.16.840.1.101.3.4.1.42": (AES, 32, 16),
        "1.2.840.113549.3.7": (TripleDES, 24, 8),
        "1.3.14.3.2.7": (_single_des, 8, 8),
    }
)
_LEGACY_CIPHERS: Final[Mapping[str, _Cipher]] = MappingProxyType(
    {
        "AES-128-CBC": (AES, 16, 16),
        "AES-192-CBC": (AES, 24, 16),
        "AES-256-CBC": (AES, 32, 16),
        "DES-CBC": (_single_des, 8, 8),
        "DES-EDE3-CBC": (TripleDES, 24, 8),
    }
)
"""What OpenSSL writes into DEK-Info."""

_LEGACY_NAME: Final = re.compile(r"[A-Z0-9-]{1,40}")
_LEGACY_NAMES: Final[Mapping[str, str]] = MappingProxyType({"BF-CBC": "Blowfish-CBC"})
_LEGACY_SALT_OCTETS: Final = 8
"""The salt is the beginning of the initial vector (EVP_BytesToKey, as PEM_do_header calls it)."""

_BY_LIBRARY: Final = frozenset(("1.2.840.113549.1.12.1.1", "1.2.840.113549.1.12.1.6"))
"""RC4 of 128 bits and RC2 of 40, which were common before 2010; only the library still reads them."""

_RC2: Final = "1.2.840.113549.3.2"
_RC2_OF_128_BITS: Final = 58
"""RFC 8018 B.2.3: the version that means this many effective bits; the library reads only this one."""

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
    """Derive the key of each passphrase, salt and count once in this block: parts of a file share them."""
    if _derived.get() is not None:
        yield
        return
    token = _derived.set({})
    try:
        yield
    finally:
        _derived.reset(token)


def is_opened_here(algorithm: bytes) -> bool:
    """Whether `unseal`, not just the library, opens this encryption. Raises UnknownSchemeError, DerError."""
    scheme, parameters = der.sequence(algorithm, 2)[:2]
    name = der.object_id(scheme)
    if name == _PBES2:
        derivation, cipher = der.members(parameters, der.SEQUENCE, 2)[:2]
        _check_derivation(derivation)
        kind, *rest = der.members(cipher, der.SEQUENCE, 1)
        name = der.object_id(kind)
        if name == _RC2 and rest and rest[0].tag == der.SEQUENCE:
            version = small_integer(der.members(rest[0], der.SEQUENCE, 1)[0])
            if version != _RC2_OF_128_BITS:
                raise UnknownSchemeError("RC2-CBC with a short key")
            return False
        if name not in _PBES2_CIPHERS:
            raise UnknownSchemeError(cipher_name(name))
        return True
    if name in _PKCS12_CIPHERS or name in _PBES1_DES:
        return True
    if name not in _BY_LIBRARY:
        raise UnknownSchemeError(scheme_name(name))
    return False


def unseal_legacy(dek: str, ciphertext: bytes, passphrase: str) -> bytes:
    """Decrypt as a DEK-Info header says (RFC 1421 4.6.1.3; the key is derived as by OpenSSL).

    Raises PkiError INVALID (passphrase), UnknownSchemeError.
    """
    make, octets, block = legacy_cipher(dek)
    try:
        iv = bytes.fromhex(dek.partition(",")[2])
    except ValueError:
        iv = b""
    if len(iv) != block:
        raise PkiError("the private key is damaged: its DEK-Info header has no initial vector for its cipher")
    key, last = b"", b""
    while len(key) < octets:
        value = last + passphrase.encode() + iv[:_LEGACY_SALT_OCTETS]
        last = hashlib.new("md5", value, usedforsecurity=False).digest()
        key += last
    return _decrypt(make(key[:octets]), iv, ciphertext)


def legacy_cipher(dek: str) -> _Cipher:
    """Return the cipher of a DEK-Info header. Raises UnknownSchemeError."""
    name = dek.partition(",")[0].strip().upper()
    if name not in _LEGACY_CIPHERS:
        shown = _LEGACY_NAMES.get(name, name) if _LEGACY_NAME.fullmatch(name) else "an unknown cipher"
        raise UnknownSchemeError(shown)
    return _LEGACY_CIPHERS[name]


def unseal(algorithm: bytes, ciphertext: bytes, passphrase: str) -> bytes:
    """Decrypt by AlgorithmIdentifier. Raises PkiError INVALID (passphrase), UnknownSchemeError, DerError."""
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
        raise UnknownSchemeError(scheme_name(name))
    return _decrypt(make(key), iv, ciphertext)


def pbkdf2_of(algorithm: bytes) -> bytes | None:
    """Return PBES2's key derivation and cipher, None if it is not PBKDF2. Raises DerError.

    Equal derivations are done once (`deriving_once`).
    """
    scheme, parameters = der.sequence(algorithm, 2)[:2]
    if der.object_id(scheme) != _PBES2:
        return None
    derivation, cipher = der.members(parameters, der.SEQUENCE, 2)[:2]
    if der.object_id(der.members(derivation, der.SEQUENCE, 1)[0]) != _PBKDF2:
        return None
    return derivation.raw + der.members(cipher, der.SEQUENCE, 1)[0].raw


def mac_matches(mac: der.Element, content: bytes, passphrase: str) -> bool:
    """Whether a PKCS#12 file's MacData (RFC 7292 A, RFC 9579) fits this content and passphrase.

    Raises PkiError UNSUPPORTED, DerError.
    """
    parts = der.members(mac, der.SEQUENCE, 2)
    algorithm, wanted = der.members(parts[0], der.SEQUENCE, 2)[:2]
    kind = der.members(algorithm, der.SEQUENCE, 1)
    name = der.object_id(kind[0])
    if name == PBMAC1:
        derivation, scheme = der.members(kind[1], der.SEQUENCE, 2)[:2]
        digest = _hash(_HMACS, der.object_id(der.members(scheme, der.SEQUENCE, 1)[0]))
        key = _pbkdf2(derivation, passphrase.encode(), hashlib.new(digest).digest_size)
    else:
        digest = _hash(_DIGESTS, name)
        count = small_integer(parts[2]) if len(parts) > 2 else 1
        octets = hashlib.new(digest).digest_size
        key = derive_pkcs12(digest, bmp(passphrase), parts[1].content, count, purpose=MAC_ID, octets=octets)
    return hmac.compare_digest(hmac.new(key, content, digest).digest(), wanted.content)


def bmp(passphrase: str) -> bytes:
    """Return a passphrase in the encoding of PKCS#12's older schemes (RFC 7292 B.1)."""
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
    if (chosen := der.object_id(name)) not in _PBES2_CIPHERS:
        raise UnknownSchemeError(cipher_name(chosen))
    make, octets, _ = _PBES2_CIPHERS[chosen]
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
            return _pbkdf2_once(_hash(_HMACS, _prf(fields)), password, salt, small_integer(fields[1]), octets)
        case other:
            raise UnknownSchemeError(scheme_name(other))


def _check_derivation(derivation: der.Element) -> None:
    kind, parameters = der.members(derivation, der.SEQUENCE, 2)[:2]
    if (
        der.object_id(kind) == _PBKDF2
        and (prf := _prf(der.members(parameters, der.SEQUENCE, 2))) not in _HMACS
    ):
        raise UnknownSchemeError(f"PBKDF2 and {hmac_name(prf)}")


def _prf(fields: Sequence[der.Element]) -> str:
    """Return the pseudorandom function of PBKDF2's parameters, by default HMAC-SHA-1 (RFC 8018 A.2)."""
    chosen = [one for one in fields[2:] if one.tag == der.SEQUENCE]
    return der.object_id(der.members(chosen[0], der.SEQUENCE, 1)[0]) if chosen else next(iter(_HMACS))


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
        raise UnknownSchemeError(getattr(cipher, "name", "")) from error
    except ValueError as error:
        raise PkiError(
            "the passphrase is wrong, or what it opens is damaged", reason=Reason.INVALID
        ) from error


def _hash(table: Mapping[str, str], name: str) -> str:
    if name not in table:
        raise UnknownSchemeError(hmac_name(name))
    return table[name]
