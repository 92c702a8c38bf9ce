"""ZIP archives, as CAs send them: their members, within limits.

Decides which members are read; `reader` reads their content. Invariant: no more is unpacked than a batch may
have, whatever the archive's directory claims, and every member is either returned or a finding.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Final

from common.errors import PkiError, Reason

MAX_MEMBERS: Final = 200
"""As many as a batch may have files."""

MAX_MEMBER_BYTES: Final = 1024 * 1024
MAX_UNPACKED_BYTES: Final = 8 * 1024 * 1024
"""As many as a batch may have."""

_ENCRYPTED_FLAG: Final = 0x1
_METHODS: Final = frozenset((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
_APPLE_DOUBLE: Final = b"\x00\x05\x16\x07"
_MARK: Final = b"-----BEGIN"
_END: Final = b"PK\x05\x06"
_END_BYTES: Final = 22
"""An archive's last record up to its comment (APPNOTE.TXT 4.3.16); its last two bytes are the comment's
length."""

_OFFICE: Final = "[Content_Types].xml"
"""ISO/IEC 29500-2 10.2: a member of every Office document."""

_NAME_CHARS: Final = 200
_DAMAGED: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    OverflowError,
    IndexError,
)
"""Errors of the library for damaged or malicious archives."""


@dataclass(frozen=True, slots=True)
class ArchiveMember:
    """A file in an archive. May hold private keys."""

    name: str
    data: bytes = field(repr=False)


def unpack(data: bytes, *, file: str | None) -> tuple[tuple[ArchiveMember, ...], tuple[PkiError, ...]]:
    """Return an archive's files, with the archive's name as prefix, and findings about the others.

    Never raises.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if _has_more(archive, data):
                message = "there is other content before or after the ZIP archive, such as another archive; give it as a separate file"
                return (), (PkiError(message, reason=Reason.UNSUPPORTED, file=file),)
            return _members(archive, file)
    except _DAMAGED:
        return (), (PkiError("the ZIP archive is damaged", file=file),)


def _members(
    archive: zipfile.ZipFile, file: str | None
) -> tuple[tuple[ArchiveMember, ...], tuple[PkiError, ...]]:
    entries = [one for one in archive.infolist() if one.file_size or not one.is_dir()]
    if any(one.filename == _OFFICE for one in entries):
        return (), (
            PkiError(
                "this is an office document; save its text as a text file",
                reason=Reason.UNSUPPORTED,
                file=file,
            ),
        )
    if len(entries) > MAX_MEMBERS:
        return (), (_too_big(f"the ZIP archive has more than {MAX_MEMBERS} files", file),)
    members: list[ArchiveMember] = []
    findings: list[PkiError] = []
    room = MAX_UNPACKED_BYTES
    for entry in entries:
        name = f"{file}/{_shown(entry.filename)}" if file else _shown(entry.filename)
        try:
            content = _content(archive, entry, name)
        except PkiError as error:
            findings.append(error)
            continue
        room -= len(content)
        if room < 0:
            return (), (_too_big(f"the ZIP archive unpacks to more than {MAX_UNPACKED_BYTES} bytes", file),)
        # macOS stores each file's attributes in a second file
        if not content.startswith(_APPLE_DOUBLE) or _MARK in content:
            members.append(ArchiveMember(name, content))
    if archive.comment.strip():
        members.append(ArchiveMember(f"{file} (comment)" if file else "(comment)", archive.comment))
    if not members and not findings:
        findings.append(PkiError("the ZIP archive is empty", reason=Reason.INVALID, file=file))
    return tuple(members), tuple(findings)


def _has_more(archive: zipfile.ZipFile, data: bytes) -> bool:
    """Whether there is content outside the archive, which the library ignores."""
    begins = min((one.header_offset for one in archive.infolist()), default=0)
    end = data.rfind(_END)
    ends = end + _END_BYTES + len(archive.comment)
    told = int.from_bytes(data[end + _END_BYTES - 2 : end + _END_BYTES], "little")
    return bool(begins) or told != len(archive.comment) or bool(data[ends:].strip(b"\0\r\n\t "))


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str) -> bytes:
    if entry.flag_bits & _ENCRYPTED_FLAG:
        raise PkiError(
            "the file is encrypted in its ZIP archive; unpack it first", reason=Reason.UNSUPPORTED, file=name
        )
    if entry.compress_type not in _METHODS:
        raise PkiError(
            "the file is packed in a way that is not supported; unpack it first",
            reason=Reason.UNSUPPORTED,
            file=name,
        )
    try:
        with archive.open(entry) as packed:
            content = packed.read(MAX_MEMBER_BYTES + 1)
    except _DAMAGED as error:
        raise PkiError("the file is damaged in its ZIP archive", file=name) from error
    if len(content) > MAX_MEMBER_BYTES:
        raise _too_big(f"the file is larger than {MAX_MEMBER_BYTES} bytes", name)
    return content


def _shown(name: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in name[-_NAME_CHARS:])


def _too_big(message: str, file: str | None) -> PkiError:
    return PkiError(message, reason=Reason.TOO_BIG, file=file)
