"""Files that stand beside certificates in an archive, and obviously hold neither a certificate nor a key: a README, a picture, a request.

Pure. Decides which are left out without refusing the rest. Invariant: whatever may hold a certificate or a key is none of them: a file that is
called like one, damaged or sealed content, and text with anything that may be a part of a block.
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
"""How certificates and keys are called: such a file without one is a mistake."""

_HARMLESS: Final = frozenset(("a PDF document", "an office document", "a picture", "a program"))
_OFFICE: Final = b"[Content_Types].xml"
"""ISO/IEC 29500-2 10.2: a document of Word is an archive that begins with this."""

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
"""Keys in forms that have no PEM: a JSON web key, what `openssl pkey -text` prints, PuTTY's."""

_MARK: Final = b"-----BEGIN"


def holds_none(name: str, data: bytes) -> bool:
    """Whether a file without a block obviously holds none."""
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
    """Whether a file holds whole blocks only, and each of them is neither a certificate nor a key."""
    return (
        bool(reading.blocks) and not reading.findings and all(one.label in _LABELS for one in reading.blocks)
    )
