"""Names and numbers with a meaning, checked once where they enter.

Invariant: a value of one of these types is well-formed wherever it is seen.
"""

import hashlib
import re
from collections.abc import Iterable
from typing import NewType

from common.errors import InvalidInputError
from common.text import xn_hint

NodeName = NewType("NodeName", str)
"""A node's name: 1 to 63 characters, lower-case letters, digits, dots and hyphens, first and last alphanumeric."""

Digest = NewType("Digest", str)
"""SHA-256 of some bytes, 64 lower-case hex digits."""

Fingerprint = NewType("Fingerprint", str)
"""SHA-256 of a certificate's DER, 64 lower-case hex digits."""

CertificateId = NewType("CertificateId", int)
"""The number of a TLS certificate in the store, never given twice."""

NO_CERTIFICATE = CertificateId(0)
"""The number of a certificate that is not in the store."""

TrustedCaId = NewType("TrustedCaId", int)
"""The number of a custom trusted CA in the store, never given twice."""

CsrId = NewType("CsrId", int)
"""The number of a certificate signing request in the store, never given twice."""

MANAGEMENT_NODE = NodeName("management")
"""The name of the manager's own node; with several managers, of the first one's."""

NODE_NAME_MAX = 63
"""RFC 1035 2.3.4: a label's length; a node's name also serves as a path and a label in metrics."""

ID_DIGITS_MAX = 18
"""Any number with this many digits fits into 63 bits."""

ID_MAX = 10**ID_DIGITS_MAX - 1

_NODE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?")
_HEX64 = re.compile(r"[0-9a-f]{64}")


def node_name(text: str) -> NodeName:
    """Check a node's name. Raises InvalidInputError with field `name` if it is not one."""
    if len(text) > NODE_NAME_MAX or not _NODE_NAME.fullmatch(text) or ".." in text:
        raise InvalidInputError(
            "name",
            f"'{text[:80]}' is not a node name: use 1 to {NODE_NAME_MAX} lower-case letters, digits, dots and "
            f"hyphens, beginning and ending with a letter or digit{xn_hint(text)}",
        )
    return NodeName(text)


def node_names(texts: Iterable[str]) -> list[NodeName]:
    """Check nodes' names. Raises InvalidInputError with field `name` if one of them is not a node's name."""
    return [node_name(text) for text in texts]


def parse_id(text: str, *, field: str, what: str = "an id") -> int:
    """Read an id or another number that a database keeps. Raises InvalidInputError with this field."""
    if not (text.isascii() and text.isdecimal() and len(text) <= ID_DIGITS_MAX):
        raise InvalidInputError(field, f"'{text[:40]}' is not {what}")
    return int(text)


def digest_of(data: bytes) -> Digest:
    """Return the SHA-256 of `data`."""
    return Digest(hashlib.sha256(data).hexdigest())


def fingerprint_of(der: bytes) -> Fingerprint:
    """Return the fingerprint of a certificate's DER."""
    return Fingerprint(hashlib.sha256(der).hexdigest())


def digest(text: str) -> Digest:
    """Check a digest's text. Raises InvalidInputError with field `digest`."""
    if not _HEX64.fullmatch(text):
        raise InvalidInputError("digest", "a digest is 64 lower-case hexadecimal digits (SHA-256)")
    return Digest(text)


def fingerprint(text: str) -> Fingerprint:
    """Check a fingerprint's text. Raises InvalidInputError with field `fingerprint`."""
    if not _HEX64.fullmatch(text):
        raise InvalidInputError("fingerprint", "a fingerprint is 64 lower-case hexadecimal digits (SHA-256)")
    return Fingerprint(text)
