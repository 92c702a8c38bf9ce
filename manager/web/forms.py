"""Reads what a form sends, in memory and within limits: private keys come this way, and never touch a disk.

Invariant: nothing of a form appears in an error or a log.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from common.errors import CertcastError, InvalidInputError, Reason
from common.pki.batch import MAX_FILES, ImportFile
from manager.api.routes import BODY_MAX_BYTES, BODY_TIMEOUT_S

STRANGER_MAX_BYTES: Final = 16 * 1024
"""What somebody who is not signed in may send: a name and a password."""

FIELDS_MAX: Final = 12_000
"""A list's page has at most 10,000 boxes to tick."""


@dataclass(frozen=True, slots=True)
class Form:
    """What was sent. An empty file field counts as none."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    files: Mapping[str, Sequence[ImportFile]] = field(default_factory=dict, repr=False)

    def text(self, name: str, default: str = "") -> str:
        """Return a field's value; the last one, as a later field corrects an earlier."""
        found = self.fields.get(name)
        return found[-1] if found else default

    def all(self, name: str) -> list[str]:
        """Return every value of a field, each once."""
        return list(dict.fromkeys(self.fields.get(name, ())))

    def lines(self, name: str) -> list[str]:
        """Return a text area's entries: separated by line breaks, commas or spaces."""
        return list(dict.fromkeys(self.text(name).replace(",", " ").split()))

    def ids(self, name: str = "id") -> list[int]:
        """Return the ids of ticked boxes. Raises InvalidInputError."""
        found = self.all(name)
        if bad := [text for text in found if not (text.isascii() and text.isdecimal() and len(text) <= 18)]:
            raise InvalidInputError(name, f"'{bad[0][:40]}' is not an id")
        return [int(text) for text in found]

    def flag(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return bool(self.text(name))

    def file(self, name: str) -> ImportFile | None:
        """Return a chosen file."""
        found = self.files.get(name)
        return found[0] if found else None


async def read_form(request: web.Request, *, max_bytes: int = BODY_MAX_BYTES) -> Form:
    """Read an urlencoded or multipart form. Raises InvalidInputError, CertcastError UNSUPPORTED."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise CertcastError("a compressed form is not accepted", reason=Reason.UNSUPPORTED)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            if request.content_type == "multipart/form-data":
                return await _multipart(request, max_bytes)
            return _urlencoded(await _read(request.content.iter_any(), max_bytes))
    except TimeoutError as error:
        raise InvalidInputError("", f"the form did not arrive within {BODY_TIMEOUT_S:.0f} s") from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise InvalidInputError("", "the form ended early") from error
    except (ValueError, HttpProcessingError) as error:
        # the parser's own words may quote what was sent
        raise InvalidInputError("", "the form cannot be read") from error


def _urlencoded(data: bytes) -> Form:
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(
        data.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"
    ):
        fields.setdefault(name, []).append(_plain(value))
    return Form(fields)


async def _read(chunks: AsyncIterator[bytes], room: int) -> bytes:
    """Read to the end. Raises InvalidInputError TOO_BIG as soon as there is more than there is room for."""
    data = bytearray()
    async for chunk in chunks:
        data += chunk
        if len(data) > room:
            raise InvalidInputError(
                "", f"the form is larger than {room} bytes; send less at once", reason=Reason.TOO_BIG
            )
    return bytes(data)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk():
        yield chunk


async def _multipart(request: web.Request, room: int) -> Form:
    """Read parts one by one: aiohttp's own `post` would write files to the disk."""
    fields: dict[str, list[str]] = {}
    files: dict[str, list[ImportFile]] = {}
    count = 0
    async for part in await request.multipart():
        count += 1
        if not isinstance(part, BodyPartReader) or part.name is None or count > FIELDS_MAX:
            raise InvalidInputError("", "the form cannot be read")
        data = await _read(_chunks(part), room)
        room -= len(data)
        if part.filename is None:
            fields.setdefault(part.name, []).append(_plain(data.decode()))
        elif data or part.filename:
            chosen = files.setdefault(part.name, [])
            chosen.append(ImportFile(part.filename[:255], data))
            if len(chosen) > MAX_FILES:
                raise InvalidInputError(part.name, f"there are more than {MAX_FILES} files")
    return Form(fields, files)


def _plain(text: str) -> str:
    """Undo the line ends that forms put in (HTML standard, "constructing entry lists"), so that PEM stays as it was."""
    return text.replace("\r\n", "\n")
