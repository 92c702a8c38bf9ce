"""BEGIN and END lines of PEM: whole ones, damaged ones, and those that a sentence only mentions.

Decides what stands in a text as the edge of a block. Leaves to `pem` what becomes of the text between two of them.
Invariant: time is linear in the input, because each word is looked at through windows of fixed size.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

DASHES: Final = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212\u00ad\ufe58\ufe63\uff0d"
"""What word processors and chats make of the five hyphens, besides the hyphens themselves."""

_FIVE: Final = "-----"
_WORD = re.compile(r"(?<![A-Za-z0-9+/])(?:BEGIN|END)", re.IGNORECASE)
_AFTER = re.compile(r" ([A-Za-z0-9._/#]{1,20}(?: [A-Za-z0-9._/#]{1,20}){0,5})-----")
"""No known label has a longer word; what is longer may be a piece of a key, which no finding may quote."""

_LIKE_AFTER = re.compile(rf"([A-Za-z0-9 ._/#\t\u00a0]{{0,72}})([{re.escape(DASHES)}]{{0,12}})")
_LIKE_BEFORE = re.compile(rf"([{re.escape(DASHES)}]{{0,12}})[ \t]{{0,2}}\Z")
_KNOWN = re.compile(
    r"(?:(?:X509|TRUSTED|NEW|ENCRYPTED|RSA|EC|DSA|OPENSSH|ANY|PGP|DH|X9\.42 DH)\s*)*"
    r"(?:CERTIFICATE(?:\s*(?:REQUEST|CHAIN))?|(?:PRIVATE|PUBLIC)\s*KEY(?:\s*BLOCK)?|PARAMETERS|CRL|PKCS7|CMS|PKCS12)"
)
_MIN_DASHES: Final = 2
"""A word between fewer is a sentence's."""

_LINE_END = re.compile(r"\r\n|\n|\r|\\{1,4}[nr]")
_BLANK: Final = " \t\r\n\ufeff"
_LOOK_CHARS: Final = 200
_BASE64 = re.compile(r"[A-Za-z0-9+/]{32}")
_PROSE = re.compile(r"(?<!\S)[A-Za-z]?[a-z]{1,20}[.,;:!?)'\"]*(?!\S)")
"""A word of a sentence. A piece of base64 that is in lower case throughout is too short to be one's content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The edge of a block; `label` is in upper case, "" where it is not known. `whole` is False for a damaged one."""

    begins: bool
    label: str
    start: int
    end: int
    whole: bool = True


def marks(text: str) -> Iterator[Mark]:
    """Yield every BEGIN and END in order. Mentions are among them: see `is_mentioned`."""
    for word in _WORD.finditer(text):
        found = _whole(text, word) or _damaged(text, word)
        if found is not None:
            yield found


def line_before(text: str, start: int) -> str:
    """Return what stands on a mark's line before it, at most 200 characters of it."""
    return _LINE_END.split(text[max(0, start - _LOOK_CHARS) : start])[-1]


def is_mentioned(text: str, mark: Mark) -> bool:
    """Whether a mark is the mention of one in a sentence rather than a block's BEGIN: words stand before it and behind it, and no base64 follows."""
    before = line_before(text, mark.start).strip(_BLANK)
    if not before or before.endswith(_FIVE):
        return False
    after = text[mark.end : mark.end + _LOOK_CHARS].partition(_FIVE)[0]
    if _BASE64.search(after):
        return False
    plain = _LINE_END.sub("\n", after)
    if _PROSE.search(plain):
        return True
    return "\n" not in plain and not any(one.isalnum() for one in plain)


def _whole(text: str, word: re.Match[str]) -> Mark | None:
    start, after = word.start() - len(_FIVE), _AFTER.match(text, word.end())
    if after is None or start < 0 or text[start : word.start()] != _FIVE:
        return None
    label = " ".join(after[1].upper().split())
    return Mark(begins=word[0].upper() == "BEGIN", label=label, start=start, end=after.end())


def _damaged(text: str, word: re.Match[str]) -> Mark | None:
    before = _LIKE_BEFORE.search(text, max(0, word.start() - 14), word.start())
    after = _LIKE_AFTER.match(text, word.end())
    if before is None or after is None:
        return None
    label = " ".join(after[1].upper().split())
    if not label and _WORD.match(text, after.end()):
        # the dashes are those of the next mark
        return None
    left, right = len(before[1]), len(after[2])
    is_like = left + right >= _MIN_DASHES if _KNOWN.fullmatch(label) else not label and min(left, right) > 2
    if not is_like:
        return None
    return Mark(
        begins=word[0].upper() == "BEGIN", label=label, start=before.start(), end=after.end(), whole=False
    )
