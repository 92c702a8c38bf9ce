"""Find PEM blocks in whatever text people have.

Decides where a block begins and ends and whether it is whole. Leaves to others what is in it. Accepts text before,
between and after blocks, CRLF or lone CR, byte order marks, UTF-16, indentation, a missing final newline, blocks run
together because a file before them had none (RFC 7468 2 and its appendix of lax forms), and whole blocks in what carries
them: a table's cell, an email's quote, a log's line, JSON, YAML, source code.
Invariant: time is linear in the input, and whatever may be a part of a block is in a block or in a finding with its
file, number and lines: a damaged mark, an END without its BEGIN, base64 that stands by itself. Two blocks that damage ran
together are in one finding, whose lines cover both.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from common.errors import PkiError, Reason
from common.pki.body import read_body
from common.pki.marks import Mark, is_mentioned, line_before, marks
from common.pki.stray import Stray, first_stray, may_be_several

MAX_TEXT_CHARS = 1024 * 1024
"""One input's size. A chain with a 4096-bit key is 10 KB; the complete Mozilla list is 230 KB."""

MAX_BLOCKS = 1000
"""Blocks in one input: several times the complete Mozilla list (117 roots)."""

CERTIFICATE = "CERTIFICATE"

_PGP = "PGP "
_LINE_CHARS = 64
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_BASE64 = re.compile(r"[A-Za-z0-9+/=]")
_SAMPLE_BYTES = 4096
_ALIASES = {
    "X509 CERTIFICATE": CERTIFICATE,
    "NEW CERTIFICATE REQUEST": "CERTIFICATE REQUEST",
    "PKCS #7 SIGNED DATA": "PKCS7",
    "CRL": "X509 CRL",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One whole block. `number`, `line` (of its BEGIN) and `until` (of its END) count from 1; `file` is None for a pasted text.

    `line` and `until` are None in a binary file. `headers` are RFC 1421 header lines, which only encrypted legacy keys have. `der` may be a private key.
    `start` and `end` are its place in the text; `plain` says that nothing but base64 and white space stands between its marks.
    """

    label: str
    der: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    file: str | None = None
    number: int = 1
    line: int | None = 1
    until: int | None = None
    start: int = 0
    end: int = 0
    plain: bool = True


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text held: whole blocks in order, and a finding for each one that is not whole.

    `left_out` names what obviously holds neither a certificate nor a key, and is not a reason to refuse the rest.
    """

    blocks: tuple[Block, ...]
    findings: tuple[PkiError, ...]
    left_out: tuple[PkiError, ...] = ()


def at(block: Block, message: str, reason: Reason = Reason.PARSE) -> PkiError:
    """Return a finding about a block, with its place."""
    return PkiError(
        message, reason=reason, file=block.file, block=block.number, line=block.line, until=block.until
    )


def several(message: str, lines: int) -> str:
    """Complete a finding about what may be the rests of more than one block."""
    return f"{message}; the {lines} lines from here may hold more than one block"


def text_of(data: bytes) -> str:
    """Decode a file's bytes: by its byte order mark, UTF-16 without one by its zeros, else UTF-8, else Latin-1 (comments only)."""
    for mark, codec in _BOMS:
        if data.startswith(mark):
            return data[len(mark) :].decode(codec, errors="replace")
    if codec := _unmarked(data[:_SAMPLE_BYTES]):
        return data.decode(codec, errors="replace")
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
    for result in _Scan(text, file).results():
        if len(blocks) + len(findings) >= MAX_BLOCKS:
            findings.append(
                PkiError(
                    f"there are more than {MAX_BLOCKS} blocks",
                    reason=Reason.TOO_BIG,
                    file=file,
                    block=MAX_BLOCKS + 1,
                    line=result.line,
                )
            )
            break
        if isinstance(result, Block):
            blocks.append(result)
        else:
            findings.append(result)
    return Reading(tuple(blocks), tuple(findings))


def count_blocks(text: str) -> int:
    """Return how many numbers the blocks of a text take, the broken ones among them."""
    found = read_blocks(text)
    return len(found.blocks) + len(found.findings)


def pem_of(der: bytes, *, label: str = CERTIFICATE, headers: tuple[tuple[str, str], ...] = ()) -> str:
    """Write one block in the canonical form: 64 characters a line, LF, a final newline."""
    body = base64.b64encode(der).decode()
    lines = [body[start : start + _LINE_CHARS] for start in range(0, len(body), _LINE_CHARS)]
    head = [f"{name}: {value}" for name, value in headers]
    return "\n".join(
        [f"-----BEGIN {label}-----", *head, *([""] if head else []), *lines, f"-----END {label}-----", ""]
    )


class _Scan:
    """Goes through one text once."""

    def __init__(self, text: str, file: str | None) -> None:
        self._text = text
        self._file = file
        self._line_end = "\n" if "\n" in text else "\r"
        self._number = 0
        self._line = 1
        self._counted = 0
        # where what has not been accounted for begins
        self._rest = 0

    def results(self) -> Iterator[Block | PkiError]:
        """Yield each block, or what is wrong with it, in order."""
        opened: Mark | None = None
        aside = False
        for mark in marks(self._text):
            if mark.begins:
                if aside := is_mentioned(self._text, mark):
                    continue
                yield from self._unfinished(opened, mark.start)
                opened, self._rest = mark, mark.end
            elif opened is not None:
                yield self._closed(opened, mark)
                opened, self._rest = None, mark.end
            elif (loose := self._loose(mark.start)) is not None or not (aside or self._is_aside(mark)):
                start = mark.start if loose is None else loose.start
                yield self._finding(
                    start,
                    mark.end,
                    f"a {mark.label or 'PEM'} block ends here, but its BEGIN line is missing or damaged",
                )
                self._rest = mark.end
        yield from self._unfinished(opened, len(self._text))

    def _unfinished(self, opened: Mark | None, end: int) -> Iterator[PkiError]:
        """Name a block that has no END before `end`, or what stands there without either."""
        if opened is not None:
            message = (
                f"the {opened.label} block is cut short: its END line is missing"
                if opened.whole
                else _damaged_begin(opened)
            )
            yield self._finding(opened.start, end, message)
        elif (loose := self._loose(end)) is not None:
            yield self._finding(loose.start, end, loose.what)

    def _closed(self, opened: Mark, closing: Mark) -> Block | PkiError:
        if not opened.whole:
            return self._finding(opened.start, closing.end, _damaged_begin(opened))
        label = opened.label
        if not closing.whole:
            return self._finding(
                opened.start,
                closing.end,
                f"the END line of the {label} block is damaged; it must be '-----END {label}-----'",
            )
        if closing.label != label:
            return self._finding(
                opened.start,
                closing.end,
                f"the block begins as {label} and ends as {closing.label}: lines between them are missing",
            )
        if label.startswith(_PGP):
            return self._finding(opened.start, closing.end, "this is a PGP key, which cannot be used here")
        before = line_before(self._text, opened.start)
        body = read_body(self._text[opened.end : closing.start], before=before)
        if body is None:
            return self._finding(opened.start, closing.end, f"the {label} block is empty or not valid base64")
        line, until = self._place(opened.start, closing.end)
        return Block(
            label=_ALIASES.get(label, label),
            der=body.der,
            headers=body.headers,
            file=self._file,
            number=self._number,
            line=line,
            until=until,
            start=opened.start,
            end=closing.end,
            plain=body.plain,
        )

    def _loose(self, end: int) -> Stray | None:
        """Return the first thing before `end` that belongs to no block, and may be one."""
        found = first_stray(self._text, self._rest, end)
        if found is None:
            # what was looked through once need not be again
            self._rest = max(self._rest, end)
        return found

    def _is_aside(self, mark: Mark) -> bool:
        """Whether an END is a sentence's rather than a block's: words stand before it, and not right before it."""
        before = line_before(self._text, mark.start).rpartition("-----")[2]
        return any(one.isalpha() for one in before) and not _BASE64.fullmatch(before[-1])

    def _finding(self, start: int, end: int, message: str) -> PkiError:
        damaged = self._text[start:end].rstrip()
        line, until = self._place(start, start + len(damaged))
        if may_be_several(damaged):
            message = several(message, until - line + 1)
        return PkiError(message, file=self._file, block=self._number, line=line, until=until)

    def _place(self, start: int, end: int) -> tuple[int, int]:
        """Count the next block; return its first and its last line."""
        self._number += 1
        return self._line_at(start), self._line_at(end)

    def _line_at(self, place: int) -> int:
        self._line += self._text.count(self._line_end, self._counted, place)
        self._counted = max(place, self._counted)
        return self._line


def _damaged_begin(mark: Mark) -> str:
    label = mark.label or "..."
    return (
        f"the BEGIN line of the {mark.label or 'PEM'} block is damaged; it must be '-----BEGIN {label}-----'"
    )


def _unmarked(sample: bytes) -> str:
    """Name the codec of UTF-16 that has no byte order mark, "" for anything else."""
    odd, even = sample[1::2].count(0), sample[::2].count(0)
    half = len(sample) // 2
    if half and odd > half * 3 // 4 and not even:
        return "utf-16-le"
    return "utf-16-be" if half and even > half * 3 // 4 and not odd else ""
