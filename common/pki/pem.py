"""Find PEM blocks in whatever text people have.

Decides where a block begins and ends and whether it is whole. Leaves to others what is in it. Accepts text before,
between and after blocks, CRLF or lone CR, byte order marks, UTF-16, indentation, a missing final newline, and blocks run
together because a file before them had none (RFC 7468 2 and its appendix of lax forms).
Invariant: time is linear in the input, and every broken block is a finding with its file, number and line.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from common.errors import PkiError, Reason

MAX_TEXT_CHARS = 1024 * 1024
"""One input's size. A chain with a 4096-bit key is 10 KB; the complete Mozilla list is 230 KB."""

MAX_BLOCKS = 1000
"""Blocks in one input: several times the complete Mozilla list (117 roots)."""

CERTIFICATE = "CERTIFICATE"

_MARK = re.compile(r"-----(BEGIN|END) ([A-Za-z0-9][A-Za-z0-9 ._/#]{0,63})-----")
_HEADER = re.compile(r"[ \t]*([A-Za-z0-9-]+):[ \t]*(.*)")
_LINE_END = re.compile(r"\r\n|\n|\r")
_SECRET = re.compile(r"private[\W_]*(?:key|exponent)|[A-Za-z0-9+/]{41}", re.IGNORECASE)
"""A mention of a private key, or a word that may be base64 of one: longer than a SHA-1 digest in hexadecimal."""

_BOM = "\ufeff"
_BLANK = " \t\r\n" + _BOM
_LINE_CHARS = 64
_LOOK_BACK_CHARS = 200
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_ALIASES = {"X509 CERTIFICATE": CERTIFICATE, "NEW CERTIFICATE REQUEST": "CERTIFICATE REQUEST"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One whole block. `number` and `line` (of its BEGIN) count from 1; `file` is None for a pasted text.

    `line` is None in a binary file. `headers` are RFC 1421 header lines, which only encrypted legacy keys have. `der` may be a private key.
    """

    label: str
    der: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    file: str | None = None
    number: int = 1
    line: int | None = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text held: whole blocks in order, and a finding for each one that is not whole."""

    blocks: tuple[Block, ...]
    findings: tuple[PkiError, ...]


def at(block: Block, message: str, reason: Reason = Reason.PARSE) -> PkiError:
    """Return a finding about a block, with its place."""
    return PkiError(message, reason=reason, file=block.file, block=block.number, line=block.line)


def text_of(data: bytes) -> str:
    """Decode a file's bytes: UTF-8 or UTF-16 by its byte order mark, else UTF-8, else Latin-1 (comments only)."""
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, errors="replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_blocks(text: str, *, file: str | None = None) -> Reading:
    """Find all blocks in `text`. Never raises; what is too big, cut short or garbled becomes a finding."""
    if len(text) > MAX_TEXT_CHARS:
        too_big = PkiError(
            f"the text is longer than {MAX_TEXT_CHARS} characters", reason=Reason.TOO_BIG, file=file
        )
        return Reading((), (too_big,))
    blocks: list[Block] = []
    findings: list[PkiError] = []
    for number, result in enumerate(_results(text, file), start=1):
        if number > MAX_BLOCKS:
            findings.append(
                PkiError(
                    f"there are more than {MAX_BLOCKS} blocks",
                    reason=Reason.TOO_BIG,
                    file=file,
                    block=number,
                    line=result.line,
                )
            )
            break
        if isinstance(result, Block):
            blocks.append(result)
        else:
            findings.append(result)
    return Reading(tuple(blocks), tuple(findings))


def pem_of(der: bytes, *, label: str = CERTIFICATE, headers: tuple[tuple[str, str], ...] = ()) -> str:
    """Write one block in the canonical form: 64 characters a line, LF, a final newline."""
    body = base64.b64encode(der).decode()
    lines = [body[start : start + _LINE_CHARS] for start in range(0, len(body), _LINE_CHARS)]
    head = [f"{name}: {value}" for name, value in headers]
    return "\n".join(
        [f"-----BEGIN {label}-----", *head, *([""] if head else []), *lines, f"-----END {label}-----", ""]
    )


def without_private_keys(text: str) -> str:
    """Return what may be stored of a text: all of it, verbatim, if nothing in it can be a private key.

    Otherwise only its whole blocks, each verbatim, less those of keys: a key may be wrapped in broken marks, or have none,
    so what cannot be told from one goes with it. Comments are what that costs.
    """
    kept: list[str] = []
    rest: list[str] = []
    start = 0
    for opened, closing in _pairs(text):
        block = _block(text, opened, closing, file=None, number=0, line=0)
        # headers are not base64, so anything could stand in them
        if isinstance(block, Block) and "PRIVATE" not in block.label.upper() and not block.headers:
            rest.append(text[start : opened.start()])
            kept.append(text[opened.start() : closing.end()])
            start = closing.end()
    rest.append(text[start:])
    if not any(_SECRET.search(piece) for piece in rest):
        return text
    line_end = "\r\n" if "\r\n" in text else "\n"
    return "".join(block + line_end for block in kept)


def _pairs(text: str) -> Iterator[tuple[re.Match[str], re.Match[str]]]:
    """Yield each BEGIN mark with the mark that follows it."""
    opened: re.Match[str] | None = None
    for mark in _marks(text):
        if opened is not None:
            yield opened, mark
        opened = mark if mark[1] == "BEGIN" else None


def _marks(text: str) -> Iterator[re.Match[str]]:
    """Yield the BEGIN and END marks that count."""
    for mark in _MARK.finditer(text):
        if mark[1] == "END" or _may_begin(text, mark.start()):
            yield mark


def _results(text: str, file: str | None) -> Iterator[Block | PkiError]:
    """Yield each block, or what is wrong with it, in order."""
    line_end = "\n" if "\n" in text else "\r"
    opened: re.Match[str] | None = None
    number, line, counted = 0, 1, 0
    for mark in _marks(text):
        if opened is not None:
            yield _block(text, opened, mark, file=file, number=number, line=line)
        opened = None
        if mark[1] == "BEGIN":
            opened = mark
            number += 1
            line += text.count(line_end, counted, mark.start())
            counted = mark.start()
    if opened is not None:
        yield _cut_short(opened[2], file=file, number=number, line=line)


def _may_begin(text: str, start: int) -> bool:
    """Tell a block's begin from a mention of one in a sentence: only dashes or white space stand before it."""
    before = _LINE_END.split(text[max(0, start - _LOOK_BACK_CHARS) : start])[-1].strip(_BLANK)
    return not before or before.endswith("-----")


def _block(
    text: str, opened: re.Match[str], closing: re.Match[str], *, file: str | None, number: int, line: int
) -> Block | PkiError:
    label = opened[2]
    if closing[1] == "BEGIN" or closing[2] != label:
        return _cut_short(label, file=file, number=number, line=line)
    headers, body = _split_headers(text[opened.end() : closing.start()])
    try:
        der = base64.b64decode("".join(body.replace(_BOM, "").split()), validate=True)
    except (binascii.Error, ValueError):
        der = b""
    if not der:
        return PkiError(f"the {label} block is empty or not valid base64", file=file, block=number, line=line)
    return Block(
        label=_ALIASES.get(label, label), der=der, headers=headers, file=file, number=number, line=line
    )


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


def _cut_short(label: str, *, file: str | None, number: int, line: int) -> PkiError:
    return PkiError(
        f"the {label} block is cut short: its END line is missing", file=file, block=number, line=line
    )
