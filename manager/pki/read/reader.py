"""Reader of all formats that people have, as blocks with true labels: the single entry for texts and files.

Decides by the bytes' content, whatever a label, a name or an encoding claims: PEM, DER, BER, PKCS#7 taken
apart, ZIP archives unpacked, base64 without marks. Others open keys and decode certificates. Invariant:
everything is read as a block, or reported by a finding that names it.
"""

from collections.abc import Iterator
from dataclasses import replace

from common.errors import PkiError, Reason
from common.pki import der
from common.pki.body import decode_base64
from common.pki.pem import CERTIFICATE, Block, Reading, at, pem_of, read_blocks, several, text_of
from common.pki.stray import may_be_several
from manager.pki.read.archive import unpack
from manager.pki.read.ber import to_der
from manager.pki.read.binary import PFX, PKCS7, foreign, label_of, looks_binary
from manager.pki.read.bystanders import holds_none, is_of_no_use
from manager.pki.read.carriers import carrier_of
from manager.pki.read.findings import raise_findings
from manager.pki.read.pkcs7 import certificates_of
from manager.pki.read.refusal import refusal, unreadable

_ZIP = b"PK\x03\x04"
_BEGIN = b"-----BEGIN "
_AS_LABELLED = frozenset(("TRUSTED CERTIFICATE", "OPENSSH PRIVATE KEY"))
"""Formats that only their label identifies."""

_BAGS = frozenset((PKCS7, "CMS", "CERTIFICATE CHAIN"))
_BLANK = "\ufeff\x00 \t\r\n"
_MAX_IN_ONE = 1000


def read_text(text: str, wanted: str, *, file: str | None = None) -> Reading:
    """Read a text's blocks.

    `wanted` completes "there is no ..." where it has none; an empty text is an empty reading.

    A block may hold a file that is not text, as the operator's command sends it: a ZIP archive is unpacked,
    once.
    """
    found = _read_text(text, wanted, file=file)
    blocks: list[Block] = []
    findings = list(found.findings)
    left_out: list[PkiError] = []
    for block in found.blocks:
        name = foreign(block.der) if block.label == CERTIFICATE else None
        if name is None:
            blocks.append(block)
        elif block.der.startswith(_ZIP):
            packed = read_file(block.der, wanted, file=file)
            blocks += packed.blocks
            findings += packed.findings
            left_out += packed.left_out
        else:
            findings.append(at(block, f"this is {name}", Reason.UNSUPPORTED))
    return Reading(tuple(blocks), tuple(findings), tuple(left_out))


def _read_text(text: str, wanted: str, *, file: str | None) -> Reading:
    if not text.strip(_BLANK):
        return Reading((), ())
    if (packed := _without_marks(text)) is not None:
        return _read_content(packed, file=file, lines=(1, len(text.rstrip().splitlines())))
    found = _settled(read_blocks(text, file=file), text)
    if (found.findings or not found.blocks) and (carrier := carrier_of(text)) is not None:
        carried = PkiError(carrier, reason=Reason.UNSUPPORTED, file=file)
        return Reading(found.blocks, (carried, *found.findings))
    if not found.blocks and not found.findings:
        return Reading((), (unreadable(text, wanted, file=file),))
    return found


def read_file(data: bytes, wanted: str, *, file: str | None = None) -> Reading:
    """Read a file's blocks, including those of files in a ZIP archive."""
    if data.startswith(_ZIP):
        members, damaged = unpack(data, file=file)
        blocks: list[Block] = []
        findings, left_out = list(damaged), list[PkiError]()
        for one in members:
            found = _read_member(one.data, wanted, file=one.name)
            if is_of_no_use(found):
                left_out += [refusal(block, wanted) for block in found.blocks]
            elif not found.blocks and holds_none(one.name, one.data):
                left_out += found.findings
            else:
                blocks += found.blocks
                findings += found.findings
        if not blocks and not findings:
            # beside nothing it is what the archive holds
            findings, left_out = left_out, []
        return Reading(tuple(blocks), tuple(findings), tuple(left_out))
    return _read_member(data, wanted, file=file)


def as_text(data: bytes, wanted: str, *, file: str | None = None) -> str:
    """Return a file as the text that `read_text` reads: a text as it is, anything else as PEM.

    Raises PkiFindingsError.

    What was left out of an archive is named in a comment before its blocks.
    """
    if not _is_bytes(data):
        text = text_of(data)
        raise_findings([] if text.strip(_BLANK) else [_empty(file)])
        if _without_marks(text) is None:
            return text
    found = read_file(data, wanted, file=file)
    raise_findings(found.findings)
    comments = [f"# left out: {one.file}\n" for one in found.left_out]
    pems = [pem_of(block.der, label=block.label, headers=block.headers) for block in found.blocks]
    return "".join((*comments, *pems))


def _is_bytes(data: bytes) -> bool:
    return looks_binary(data) or foreign(data) is not None


def _read_member(data: bytes, wanted: str, *, file: str | None) -> Reading:
    if not data.strip():
        return Reading((), (_empty(file),))
    if _is_bytes(data):
        return _read_content(data, file=file, lines=(None, None))
    text = text_of(data)
    return _read_text(text, wanted, file=file) if text.strip(_BLANK) else Reading((), (_empty(file),))


def _read_content(data: bytes, *, file: str | None, lines: tuple[int | None, int | None]) -> Reading:
    """Read bytes that are not text, or stand in all of these lines of one."""
    if name := foreign(data):
        return Reading((), (PkiError(f"this is {name}", reason=Reason.UNSUPPORTED, file=file),))
    if _BEGIN in data:
        text = text_of(data)
        return _settled(read_blocks(text, file=file), text)
    return _settled(Reading((Block(label="", der=data, file=file, line=lines[0], until=lines[1]),), ()), "")


def _without_marks(text: str) -> bytes | None:
    """Return what a text stands for that is base64 of a file, and nothing else."""
    if "-----" in text or not (data := decode_base64(text)):
        return None
    return data if _BEGIN in data or foreign(data) or label_of(data) else None


def _settled(found: Reading, text: str) -> Reading:
    blocks: list[Block] = []
    findings = list(found.findings)
    for block in found.blocks:
        try:
            blocks.extend(_true(block))
        except PkiError as error:
            if block.label:
                findings.append(at(block, _of_how_many(block, text, error.message), error.reason))
            else:
                findings.append(
                    PkiError(
                        error.message,
                        reason=error.reason,
                        file=block.file,
                        line=block.line,
                        until=block.until,
                    )
                )
    return Reading(tuple(blocks), tuple(findings))


def _of_how_many(block: Block, text: str, message: str) -> str:
    """Say of a damaged block if the rests of others may be in it."""
    if block.line is None or block.until is None or not may_be_several(text[block.start : block.end]):
        return message
    return several(message, block.until - block.line + 1)


def _true(block: Block) -> Iterator[Block]:
    """Yield what a block really holds, with the label that this has. Raises PkiError."""
    if block.headers or block.label in _AS_LABELLED:
        yield block
        return
    elements = _elements(block)
    for data in elements:
        label = label_of(data, claimed=block.label)
        if label is None and not block.label:
            raise PkiError("the file is neither PEM nor DER of a kind that is known")
        if label == PKCS7 or (label is None and block.label in _BAGS):
            for each in certificates_of(data):
                yield replace(block, label=CERTIFICATE, der=each, plain=False)
        else:
            plain = block.plain and len(elements) == 1
            yield replace(block, label=label or block.label, der=data, plain=plain)


def _elements(block: Block) -> list[bytes]:
    """Split a block into the elements that stand in it one after another, which is one as a rule.

    Raises PkiError.
    """
    rest, found = block.der, []
    if rest[:1] != b"\x30":
        return [rest]
    what = f"the {block.label} block" if block.label else "the file"
    while rest.strip(b"\r\n\x00\x1a "):
        try:
            length = len(der.first(rest).raw)
        except der.DerError:
            element, rest = _from_ber(rest, what)
        else:
            element, rest = rest[:length], rest[length:]
        found.append(element)
        if len(found) > _MAX_IN_ONE:
            raise PkiError(f"{what} holds more than {_MAX_IN_ONE} certificates", reason=Reason.TOO_BIG)
        if rest and rest[:1] != b"\x30" and rest.strip(b"\r\n\x00\x1a "):
            raise PkiError(f"{what} is damaged: something follows its content")
    return found


def _from_ber(data: bytes, what: str) -> tuple[bytes, bytes]:
    """Return the first element of BER in DER's frame, and the rest.

    A PKCS#12 file as it is, which has a digest.
    """
    try:
        whole = to_der(data)
        element = der.first(whole).raw
    except der.DerError as error:
        raise PkiError(f"{what} is damaged, or cut short: its length is not what it says") from error
    if label_of(element) == PFX:
        return data, b""
    return element, whole[len(element) :]


def _empty(file: str | None) -> PkiError:
    return PkiError("the file is empty", reason=Reason.INVALID, file=file)
