"""Stray content between the blocks of a text that may be one: base64 without marks, binary content, text in another encoding.

Decides what of it has to be named, so that nothing is left out without a word. Leaves the blocks themselves to `pem`.
Invariant: time is linear in the text, and what comments are made of (words, digests, paths, dates) is not named.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LOOSE: Final = re.compile(r"[A-Za-z0-9+/]{40,}")
"""A block's lines have 64 characters, an email's at most 76."""

_SHORT: Final = re.compile(
    r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{12,}+(?:[^A-Za-z0-9+/]{1,12}[A-Za-z0-9+/]{12,}+){2,}"
)
"""Base64 that was wrapped or cut to shorter lines."""

_LINE: Final = re.compile(
    r"^[A-Za-z0-9+/]++={0,2}[ \t\r]*+$|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{16,}+={0,2}", re.MULTILINE
)
"""A line of base64; whatever stands beside it, if it is longer than any word of a mark."""

_FIRST: Final = "MI"
"""How DER begins in base64: a SEQUENCE of more than 127 bytes."""

_MIXED: Final = re.compile(r"(?=[^A-Z]*[A-Z])(?=[^a-z]*[a-z])[^0-9]*[0-9]")
"""Of 40 random characters of base64, one in a thousand lacks one of these kinds; a path or a long word nearly always does."""

_MIN_SHORT_CHARS: Final = 64
_MIN_LOOSE_CASE_SHARE: Final = 0.1
"""A path has a capital here and there."""

_MIN_CASE_SHARE, _MIN_DIGIT_SHARE = 0.2, 0.05
"""Base64 has 41% of each case and 16% of digits."""

_DIGEST_CHARS: Final = 43
_HEX: Final = re.compile(r"[0-9a-f]+|[0-9A-F]+")
_SSH: Final = re.compile(r"AAAA(?:B3NzaC1|C3NzaC1|E2VjZHNh)")
_PEM_IN_BASE64: Final = "LS0tLS1CRUdJTi"

_BINARY: Final = re.compile(
    r"0(?:\x80|\x81.|\x82..|\x83...)[0\x02\x06]|0.\x02\x01[\x00\x01][0\x04]|\xfe\xed\xfe\xed|PK\x03\x04",
    re.DOTALL,
)
"""DER or BER as it looks in Latin-1 (a SEQUENCE, in it a SEQUENCE, INTEGER or OID; a short key with its version), JKS, ZIP."""

_WIDE: Final = re.compile(r"(?:-\x00{1,3}){4}|(?:\x00{1,3}-){4}|\u2d2d{2}|\u2d00{4}")
"""The dashes of a mark in UTF-16 or UTF-32 read as a narrow encoding, the other way round, and with bytes swapped."""


@dataclass(frozen=True, slots=True)
class Stray:
    """Where something stands, and what it is, as a sentence."""

    start: int
    what: str


def first_stray(text: str, start: int, end: int) -> Stray | None:
    """Return the first thing between two places that may be a block."""
    return min(_strays(text, start, end), key=lambda one: one.start, default=None)


def may_be_several(text: str) -> bool:
    """Whether base64 stands below a block's last line, or a first one stands below others: marks between them may be lost."""
    lines = [found[0].rstrip() for found in _LINE.finditer(text)]
    longest = max(map(len, lines), default=0)
    return any(len(one) < longest for one in lines[:-1]) or any(one.startswith(_FIRST) for one in lines[1:])


def _strays(text: str, start: int, end: int) -> Iterator[Stray]:
    for found in _LOOSE.finditer(text, start, end):
        if _is_loose(text, found):
            yield Stray(found.start(), _kind(found[0]))
            break
    for found in _SHORT.finditer(text, start, end):
        if _is_code(found[0]):
            yield Stray(found.start(), _kind(found[0]))
            break
    if not text.isascii() and (binary := _BINARY.search(text, start, end)):
        yield Stray(
            binary.start(), "there is binary content here beside PEM, such as DER; give it as a separate file"
        )
    if wide := _WIDE.search(text, start, end):
        yield Stray(
            wide.start(),
            "there is text here in a different encoding from the rest, such as UTF-16; give it as a separate file",
        )


def _is_loose(text: str, found: re.Match[str]) -> bool:
    """Tell base64 from a digest in hexadecimal or base64, and from words."""
    if _HEX.fullmatch(found[0]):
        return False
    if len(found[0]) == _DIGEST_CHARS and text[found.end() : found.end() + 1] == "=":
        return False
    return (
        _MIXED.match(found[0]) is not None and _rarer_case(found[0]) >= len(found[0]) * _MIN_LOOSE_CASE_SHARE
    )


def _rarer_case(text: str) -> int:
    return min(sum(one.isupper() for one in text), sum(one.islower() for one in text))


def _is_code(text: str) -> bool:
    count, cases = sum(one.isalnum() for one in text), _rarer_case(text)
    digits = sum(one.isdigit() for one in text)
    return (
        count >= _MIN_SHORT_CHARS and cases >= count * _MIN_CASE_SHARE and digits >= count * _MIN_DIGIT_SHARE
    )


def _kind(text: str) -> str:
    if _SSH.match(text):
        return "this is an SSH key, not a certificate or a private key in PEM"
    if text.startswith(_PEM_IN_BASE64):
        return "this is PEM in base64, as a Kubernetes secret has it; decode it first ('base64 -d')"
    return "there is base64 here outside any block: its BEGIN and END lines are missing or damaged"
