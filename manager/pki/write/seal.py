"""Encryption by passphrase for exported files: PBES2 with PBKDF2-HMAC-SHA-256 and AES-256-CBC (RFC 8018 6.2).

OpenSSL, NSS, Java and Windows read it. Decides the cost of guessing. Invariant: a passphrase is stretched
once per file, with the file's own salt, and each part has its own initial vector. A file with a thousand keys
thus costs its maker as much as one key. An attacker gains nothing by that, since one passphrase opens all
parts anyway.
"""

import hashlib
import secrets
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.padding import PKCS7

from common.errors import InvalidInputError
from common.pki import der
from manager.strength import STRONG, WEAK, strength_of

ROUNDS: Final = 600_000
"""Rounds of PBKDF2-HMAC-SHA-256 (OWASP Password Storage Cheat Sheet, 2023)."""

MAC_ROUNDS: Final = 2 * ROUNDS
"""Rounds of PKCS#12's key derivation (RFC 7292 B.2) with SHA-256; one hashes one block, one of PBKDF2 hashes
two."""

PASSPHRASE_MIN: Final = 12
"""Characters, as for an administrator's password: an attacker who has the file has all the time to guess."""

_SALT_OCTETS: Final = 16
_KEY_OCTETS: Final = 32
_BLOCK_BITS: Final = 128
_PBES2: Final = der.encode_object_id("1.2.840.113549.1.5.13")
_PBKDF2: Final = der.encode_object_id("1.2.840.113549.1.5.12")
_HMAC_SHA256: Final = der.encode(der.SEQUENCE, der.encode_object_id("1.2.840.113549.2.9") + b"\x05\x00")
_AES256_CBC: Final = der.encode_object_id("2.16.840.1.101.3.4.1.42")


def check_passphrase(passphrase: str | None, known: tuple[str, ...]) -> str:
    """Return a passphrase fit to protect a key; attackers know the texts in `known`.

    Raises InvalidInputError.
    """
    given = passphrase or ""
    if len(given) < PASSPHRASE_MIN:
        raise InvalidInputError(
            "passphrase",
            "a private key is only downloaded encrypted, and whoever has the file can guess for as long as they like: give a "
            f"passphrase of at least {PASSPHRASE_MIN} characters",
        )
    if strength_of(given, known) < STRONG:
        raise InvalidInputError(
            "passphrase", f"whoever has the file can guess for as long as they like, and {WEAK}"
        )
    return given


class Sealer:
    """Encrypts the parts of one file."""

    def __init__(self, passphrase: str) -> None:
        salt = secrets.token_bytes(_SALT_OCTETS)
        self._key = hashlib.pbkdf2_hmac("sha256", passphrase.encode(), salt, ROUNDS, dklen=_KEY_OCTETS)
        parameters = der.encode(der.OCTET_STRING, salt) + der.encode_integer(ROUNDS) + _HMAC_SHA256
        self._derivation = der.encode(der.SEQUENCE, _PBKDF2 + der.encode(der.SEQUENCE, parameters))

    def __repr__(self) -> str:
        return "<sealer>"

    def seal(self, plain: bytes) -> tuple[bytes, bytes]:
        """Return the AlgorithmIdentifier and the ciphertext."""
        iv = secrets.token_bytes(_BLOCK_BITS // 8)
        scheme = der.encode(der.SEQUENCE, _AES256_CBC + der.encode(der.OCTET_STRING, iv))
        algorithm = der.encode(der.SEQUENCE, _PBES2 + der.encode(der.SEQUENCE, self._derivation + scheme))
        padder, encryptor = PKCS7(_BLOCK_BITS).padder(), Cipher(AES(self._key), modes.CBC(iv)).encryptor()
        padded = padder.update(plain) + padder.finalize()
        return algorithm, encryptor.update(padded) + encryptor.finalize()

    def seal_key(self, pkcs8: bytes) -> bytes:
        """Return an EncryptedPrivateKeyInfo (RFC 5958 3)."""
        algorithm, sealed = self.seal(pkcs8)
        return der.encode(der.SEQUENCE, algorithm + der.encode(der.OCTET_STRING, sealed))
