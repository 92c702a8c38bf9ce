"""Schemes of encryption that are not opened here: what people call them, and how what they encrypt is converted.

Pure. Decides names and advice; which schemes are opened is in `pbes`, and what they may cost in `kdf`.
Invariant: a scheme without a name here is told by its object identifier.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from common.errors import PkiError, Reason

_BITS: Final = (128, 192, 256)
_FAMILIES: Final = (
    ("AES", "2.16.840.1.101.3.4.1", "ECB CBC OFB CFB WRAP GCM CCM", (1, 21, 41)),
    ("ARIA", "1.2.410.200046.1.1", "ECB CBC CFB OFB CTR", (1, 6, 11)),
    ("ARIA", "1.2.410.200046.1.1", "GCM", (34, 35, 36)),
    ("ARIA", "1.2.410.200046.1.1", "CCM", (37, 38, 39)),
    ("Camellia", "0.3.4401.5.3.1.9", "ECB", (1, 21, 41)),
    ("Camellia", "0.3.4401.5.3.1.9", "OFB CFB", (3, 23, 43)),
    ("Camellia", "0.3.4401.5.3.1.9", "GCM CCM", (6, 26, 46)),
    ("Camellia", "0.3.4401.5.3.1.9", "CTR", (9, 29, 49)),
    ("Camellia", "1.2.392.200011.61.1.1.1", "CBC", (2, 3, 4)),
)
"""Modes that an arc numbers one after another, and the number of the first for keys of each length."""

_CIPHERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        f"{arc}.{number}": f"{family}-{bits}-{mode}"
        for family, arc, modes, firsts in _FAMILIES
        for bits, first in zip(_BITS, firsts, strict=True)
        for number, mode in enumerate(modes.split(), first)
    }
    | {
        f"1.2.410.200004.1.{number}": f"SEED-{mode}"
        for number, mode in enumerate(("ECB", "CBC", "CFB", "OFB"), 3)
    }
    | {
        f"1.2.156.10197.1.104.{number}": f"SM4-{mode}"
        for number, mode in enumerate(("ECB", "CBC", "OFB", "CFB"), 1)
    }
    | {f"1.3.14.3.2.{number}": f"DES-{mode}" for number, mode in enumerate(("ECB", "CBC", "OFB", "CFB"), 6)}
    | {
        "1.2.156.10197.1.104.7": "SM4-CTR",
        "1.3.6.1.4.1.3029.1.2": "Blowfish-CBC",
        "1.2.840.113533.7.66.10": "CAST5-CBC",
        "1.3.6.1.4.1.188.7.1.1.2": "IDEA-CBC",
        "1.2.840.113549.3.2": "RC2-CBC",
        "1.2.840.113549.3.4": "RC4",
        "1.2.840.113549.3.8": "RC5-CBC",
        "1.2.840.113549.3.9": "RC5-CBC",
        "1.2.840.113549.1.9.16.3.18": "ChaCha20-Poly1305",
        "1.2.643.2.2.21": "GOST 28147-89",
        "1.2.643.7.1.1.5.1.1": "Magma-CTR",
        "1.2.643.7.1.1.5.1.2": "Magma-CTR",
        "1.2.643.7.1.1.5.2.1": "Kuznyechik-CTR",
        "1.2.643.7.1.1.5.2.2": "Kuznyechik-CTR",
    }
)
_WHOLE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1.2.840.113549.1.5.1": "PBE-MD2-DES",
        "1.2.840.113549.1.5.3": "PBE-MD5-DES",
        "1.2.840.113549.1.5.4": "PBE-MD2-RC2-64",
        "1.2.840.113549.1.5.6": "PBE-MD5-RC2-64",
        "1.2.840.113549.1.5.10": "PBE-SHA1-DES",
        "1.2.840.113549.1.5.11": "PBE-SHA1-RC2-64",
        "1.2.840.113549.1.5.12": "PBKDF2",
        "1.2.840.113549.1.12.1.1": "PBE-SHA1-RC4-128",
        "1.2.840.113549.1.12.1.2": "PBE-SHA1-RC4-40",
        "1.2.840.113549.1.12.1.6": "PBE-SHA1-RC2-40",
    }
)
_HASHES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "1.2.840.113549.2.2": "MD2",
        "1.2.840.113549.2.4": "MD4",
        "1.2.840.113549.2.5": "MD5",
        "1.3.36.3.2.1": "RIPEMD-160",
        "1.2.840.113549.2.6": "MD5",
        "1.2.840.113549.2.12": "SHA-512/224",
        "1.2.840.113549.2.13": "SHA-512/256",
        "2.16.840.1.101.3.4.2.5": "SHA-512/224",
        "2.16.840.1.101.3.4.2.6": "SHA-512/256",
        "1.2.156.10197.1.401": "SM3",
        "1.2.156.10197.1.401.2": "SM3",
        "1.2.156.10197.1.401.3.1": "SM3",
        "1.0.10118.3.0.55": "Whirlpool",
        "1.2.643.2.2.9": "GOST R 34.11-94",
        "1.2.643.2.2.10": "GOST R 34.11-94",
        "1.2.643.7.1.1.2.2": "Streebog-256",
        "1.2.643.7.1.1.2.3": "Streebog-512",
        "1.2.643.7.1.1.4.1": "Streebog-256",
        "1.2.643.7.1.1.4.2": "Streebog-512",
    }
    # FIPS 202's hashes, and the same as HMAC
    | {
        f"2.16.840.1.101.3.4.2.{number}": f"SHA3-{bits}"
        for first in (7, 13)
        for number, bits in enumerate((224, 256, 384, 512), first)
    }
)
"""Hashes and the HMACs made of them."""

_OLD: Final = ("Blowfish", "CAST5", "DES-", "IDEA", "PBE-", "RC2", "RC4", "RC5", "SEED", "HMAC-MD", "HMAC-W")
"""Beginnings of those that OpenSSL 3 has in its legacy provider only."""

_LEGACY: Final = " -provider legacy -provider default"

KEY_ADVICE: Final = (
    "encrypt it anew with 'openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD -out NEW{}', and give NEW"
)
PFX_ADVICE: Final = "have it written as PEM with 'openssl pkcs12 -in OLD -out NEW{}', and give NEW"


class UnknownSchemeError(PkiError):
    """Something is encrypted or protected by a scheme that is not supported. `name` is what people call it."""

    reason = Reason.UNSUPPORTED

    def __init__(self, name: str, *, lead: str = "it is encrypted with", advice: str = "") -> None:
        then = "; " + advice.format(_LEGACY if name.startswith(_OLD) else "") if advice else ""
        super().__init__(f"{lead} {name}, which is not supported{then}")
        self.name = name

    def of_key(self) -> "UnknownSchemeError":
        """Return the same about a private key."""
        return UnknownSchemeError(self.name, lead="the private key is encrypted with", advice=KEY_ADVICE)

    def of_pfx(self) -> "UnknownSchemeError":
        """Return the same about a PKCS#12 file."""
        return UnknownSchemeError(self.name, lead="the PKCS#12 file is protected with", advice=PFX_ADVICE)


def cipher_name(oid: str) -> str:
    """Return what people call a cipher."""
    return _CIPHERS.get(oid, f"an unknown cipher ({oid})")


def scheme_name(oid: str) -> str:
    """Return what people call a scheme that is named as a whole, or what derives its key."""
    return _WHOLE.get(oid, f"an unknown scheme ({oid})")


def hmac_name(oid: str) -> str:
    """Return what people call the HMAC of a hash, by either's object identifier."""
    return f"HMAC-{_HASHES[oid]}" if oid in _HASHES else f"an unknown HMAC ({oid})"
