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


def without_blocks(text: str, label_end: str) -> str:
    """Return the text verbatim, less the blocks whose label ends so (a key must not stay in a stored text)."""
    kept = []
    start = 0
    opened: re.Match[str] | None = None
    for mark in _marks(text):
        if opened is not None and mark[1] == "END" and opened[2] == mark[2] and mark[2].endswith(label_end):
            kept.append(text[start : opened.start()])
            start = mark.end()
        opened = mark if mark[1] == "BEGIN" else None
    kept.append(text[start:])
    return "".join(kept)


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
