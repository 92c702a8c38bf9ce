"""The base64 between a BEGIN and its END, through whatever a tool or a person has put around its lines.

Decides the bytes of a block's body. Reads it unchanged first; then without escapes (JSON, source code), markup and
quoted-printable; then without text beside each line (an email's quotes, a log's times, a table's borders).
Invariant: a reading that drops anything is accepted only if the bytes frame exactly, so damaged blocks stay damaged.
"""

import base64
import binascii
import quopri
import re
from dataclasses import dataclass, field
from typing import Final

from common.pki import der

_HEADER = re.compile(r"[ \t]*([A-Za-z0-9-]+):[ \t]*(.*)")
_LINE_END = re.compile(r"\r\n|\n|\r")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200d\u2060\ufeff]")
_ESCAPE = re.compile(r"\\{1,4}(?:u00([0-9A-Fa-f]{2})|x([0-9A-Fa-f]{2})|([nrt/\r\n]))")
_TAG = re.compile(r"<[^<>]{0,200}>")
_TOKEN = re.compile(r"[A-Za-z0-9+/]{4,}={0,2}")
_SOFT_BREAK = re.compile(r"(?<!=)=\r?\n[A-Za-z0-9+/]")
_BLANK: Final = " \t\r\n\ufeff"
_INDEFINITE: Final = b"\x30\x80"


@dataclass(frozen=True, slots=True)
class Body:
    """A decoded body. `headers` are RFC 1421 header lines; `plain`: it was only base64 and white space."""

    der: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    plain: bool = True


def read_body(text: str, *, before: str) -> Body | None:
    """Read the text between two marks; `before` is the text before the BEGIN on its line. None if not base64."""
    readable = _readable(text)
    whole = _read(readable, plain=readable is text)
    if whole is not None and (whole.headers or frames(whole.der)):
        return whole
    lines = _LINE_END.split(readable)
    # a list of lines in one line has no line ends, but marks around each
    candidates = [_beside(lines, before), _tokens(lines, before)] if len(lines) > 1 else [_pieces(readable)]
    for candidate in candidates:
        found = _read(candidate, plain=False)
        if found is not None and (found.headers or frames(found.der)):
            return found
    return whole


def frames(data: bytes) -> bool:
    """Whether bytes are one whole SEQUENCE, of definite or indefinite length, and nothing else."""
    if data.startswith(_INDEFINITE):
        return data.endswith(b"\x00\x00")
    try:
        return der.first(data).raw == data and data[0] == der.SEQUENCE
    except der.DerError:
        return False


def decode_base64(text: str) -> bytes:
    """Decode base64 with white space anywhere in it; b"" if it is not base64."""
    try:
        return base64.b64decode("".join(_INVISIBLE.sub("", text).split()), validate=True)
    except (binascii.Error, ValueError):
        return b""


def _read(text: str, *, plain: bool) -> Body | None:
    headers, body = _split_headers(text)
    data = decode_base64(body)
    return Body(data, headers, plain) if data else None


def _readable(text: str) -> str:
    """Undo what JSON, source code, HTML and mail do to a text; the same object if there is nothing to undo."""
    if "\\" in text:
        text = _ESCAPE.sub(_unescaped, text)
    if "<" in text or "&" in text:
        from html import unescape  # a node holds no web pages: its table of names takes a quarter of a MiB

        text = unescape(_TAG.sub("\n", text))
    # a padded last line ends so too, but once
    if "=3D" in text or len(_SOFT_BREAK.findall(text)) > 1:
        text = quopri.decodestring(text.rstrip(_BLANK).encode("ascii", "replace")).decode("ascii", "replace")
    return text


def _unescaped(found: re.Match[str]) -> str:
    if code := found[1] or found[2]:
        return chr(int(code, 16))
    return "/" if found[3] == "/" else "\n"


def _beside(lines: list[str], before: str) -> str:
    """Cut from each line as much as stands before the BEGIN, and what stands behind it."""
    column, behind = len(before), lines[0].strip(_BLANK)
    kept = [line[column:].rstrip() for line in lines[1:]]
    if behind and not behind.isalnum():
        kept = [line.removesuffix(behind) for line in kept]
    return "\n".join(kept)


def _tokens(lines: list[str], before: str) -> str:
    """Keep the last word of base64 of each line; the END's line has none if the BEGIN's has something before it."""
    kept = lines[1:-1] if before.strip(_BLANK) else lines
    found = (_TOKEN.findall(line) for line in kept)
    return "\n".join(words[-1] for words in found if words)


def _pieces(text: str) -> str:
    return "\n".join(_TOKEN.findall(text))


def _split_headers(body: str) -> tuple[tuple[tuple[str, str], ...], str]:
    """Take RFC 1421 headers (`Proc-Type`, `DEK-Info`) off the front; no base64 line holds a colon."""
    if ":" not in body:
        return (), body
    headers: list[tuple[str, str]] = []
    lines = _LINE_END.split(body.lstrip(_BLANK))
    for count, text in enumerate(lines):
        found = _HEADER.fullmatch(text)
        if not found:
            return tuple(headers), "\n".join(lines[count:])
        headers.append((found[1], found[2].strip()))
    return tuple(headers), ""
