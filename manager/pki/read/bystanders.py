"""Files beside certificates in an archive that obviously hold neither certificate nor key.

A README, a picture, a request.

Pure. Decides which are skipped without refusing the rest. Invariant: no file is skipped that may hold a
certificate or a key: one that is named like one, damaged or encrypted content, and text with anything that
may be part of a block.
"""

from pathlib import PurePosixPath
from typing import Final

from common.pki.pem import Reading, read_blocks, text_of
from manager.pki.read.binary import foreign, looks_binary

_SUFFIXES: Final = frozenset(
    (
        "pem",
        "crt",
        "cert",
        "cer",
        "der",
        "key",
        "p12",
        "pfx",
        "p7b",
        "p7c",
        "p7s",
        "p8",
        "pk8",
        "jks",
        "jceks",
        "bks",
        "keystore",
    )
)
"""Names of certificates and keys: a file with such a name but without content of that kind is a mistake."""

_HARMLESS: Final = frozenset(("a PDF document", "an office document", "a picture", "a program"))
_OFFICE: Final = b"[Content_Types].xml"
"""ISO/IEC 29500-2 10.2: a Word document is an archive that begins with this."""

_OFFICE_BYTES: Final = 100
_LABELS: Final = frozenset(
    (
        "CERTIFICATE REQUEST",
        "X509 CRL",
        "PUBLIC KEY",
        "RSA PUBLIC KEY",
        "EC PUBLIC KEY",
        "SSH2 PUBLIC KEY",
        "DSA PARAMETERS",
        "OCSP RESPONSE",
    )
)
_KEYS: Final = ('"kty"', "private-key:", "putty-user-key-file")
"""Keys in formats other than PEM: a JSON web key, the output of `openssl pkey -text`, PuTTY's."""

_MARK: Final = b"-----BEGIN"


def holds_none(name: str, data: bytes) -> bool:
    """Whether a file without a block obviously holds no certificate and no key."""
    if PurePosixPath(name).suffix.lower().removeprefix(".") in _SUFFIXES or _MARK in data:
        return False
    if (kind := foreign(data)) is not None:
        # what to do follows what it is
        return kind.partition(";")[0] in _HARMLESS or _OFFICE in data[:_OFFICE_BYTES]
    if looks_binary(data):
        return False
    text = text_of(data)
    found = read_blocks(text)
    return not found.blocks and not found.findings and not any(word in text.lower() for word in _KEYS)


def is_of_no_use(reading: Reading) -> bool:
    """Whether a file holds only whole blocks, none of them a certificate or key."""
    return (
        bool(reading.blocks) and not reading.findings and all(one.label in _LABELS for one in reading.blocks)
    )
