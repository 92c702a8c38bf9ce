"""Form reader, in memory and within limits: private keys arrive this way and never touch a disk.

Strangers may send urlencoded forms only. Invariants: nothing is parsed before all of it has arrived within
its limits; no part of a form is in an error or log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import hdrs, web
from multipart import (  # type: ignore[import-untyped] # it has no types
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
    parse_options_header,
)

from common.errors import CertcastError, InvalidInputError, Reason
from common.ids import parse_id
from manager.http.bodies import NAME_SHOWN, BodySender
from manager.http.middleware import read_bytes
from manager.pki.read.batch import MAX_FILES, ImportFile
from manager.usecases.workers import Workers

URLENCODED: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"

INLINE_MAX_BYTES: Final = 16 * 1024
"""A larger form is parsed by a worker: it may have many fields, or be escaped throughout."""

PARSE_TIMEOUT_S: Final = 10.0
"""The longest text: the worst form of 12 MiB takes less than a second."""

FIELDS_MAX: Final = 12_000
"""A list's page has at most 10,000 boxes to tick."""

STRANGER_FIELDS_MAX: Final = 20
"""Signing in has four."""


@dataclass(frozen=True, slots=True)
class FormFields:
    """The fields a form may send besides its token.

    Texts and files occur `once`; other fields may occur `several` times.
    """

    once: tuple[str, ...] = ()
    several: tuple[str, ...] = ()

    def and_once(self, *names: str) -> "FormFields":
        """Return these fields and more that occur once."""
        return FormFields((*self.once, *names), self.several)


NO_FIELDS: Final = FormFields()
"""The fields of a form that is one button."""


TICKED: Final = FormFields(once=("confirm",), several=("id",))
"""The fields of a form that deletes ticked rows."""


def pem(*names: str) -> tuple[str, ...]:
    """Return the names of a field that is pasted or chosen as a file."""
    return tuple(each for name in names for each in (name, f"{name}_file"))


@dataclass(frozen=True, slots=True)
class Form:
    """A submitted form. An empty file field counts as missing."""

    fields: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)
    files: Mapping[str, Sequence[ImportFile]] = field(default_factory=dict, repr=False)

    def text(self, name: str, default: str = "") -> str:
        """Return the value of a field that occurs once (`check`)."""
        found = self.fields.get(name)
        return found[0] if found else default

    def check(self, known: FormFields) -> None:
        """Refuse an unknown field, and one that occurs too often. Raises InvalidInputError."""
        for name, values in (*self.fields.items(), *self.files.items()):
            shown = name[:NAME_SHOWN]
            if name not in known.once and name not in known.several:
                raise InvalidInputError(
                    shown,
                    f"the form has no field '{shown}'; nothing was changed. Load the page again; if that does not help, "
                    "an extension of your browser adds the field",
                )
            if len(values) > 1 and name not in known.several:
                raise InvalidInputError(shown, f"the form has the field '{shown}' more than once")

    def all(self, name: str) -> list[str]:
        """Return every value of a field, each once."""
        return list(dict.fromkeys(self.fields.get(name, ())))

    def lines(self, name: str) -> list[str]:
        """Return a text area's entries, separated by line breaks, commas or spaces."""
        return list(dict.fromkeys(self.text(name).replace(",", " ").split()))

    def ids(self, name: str = "id") -> list[int]:
        """Return the ids of ticked boxes. Raises InvalidInputError."""
        return [parse_id(text, field=name) for text in self.all(name)]

    def flag(self, name: str) -> bool:
        """Return whether a box was ticked."""
        return bool(self.text(name))

    @property
    def size(self) -> int:
        """The length of the whole form."""
        texts = sum(len(text) for found in self.fields.values() for text in found)
        return texts + sum(len(file.data) for found in self.files.values() for file in found)

    def part(self, *names: str) -> "Form":
        """Return these fields alone."""
        return Form(
            {name: found for name, found in self.fields.items() if name in names},
            {name: found for name, found in self.files.items() if name in names},
        )

    def file(self, name: str) -> ImportFile | None:
        """Return a chosen file."""
        found = self.files.get(name)
        return found[0] if found else None


async def read_form(request: web.Request, sender: BodySender, workers: Workers) -> Form:
    """Read an urlencoded or multipart form; a stranger's must be urlencoded.

    Raises InvalidInputError, CertcastError UNSUPPORTED.
    """
    boundary = _boundary(request)
    if sender.is_stranger and (boundary is not None or request.content_type != URLENCODED):
        raise CertcastError("this form is only accepted urlencoded, without files", reason=Reason.UNSUPPORTED)
    data = await read_bytes(request, sender)
    most = STRANGER_FIELDS_MAX if sender.is_stranger else FIELDS_MAX
    if len(data) <= INLINE_MAX_BYTES:
        return parse_form(bytes(data), boundary, most)
    return await workers.run(PARSE_TIMEOUT_S, parse_form, bytes(data), boundary, most)


def parse_form(data: bytes, boundary: str | None, most: int) -> Form:
    """Parse a received form of at most this many fields, multipart if it has a boundary.

    Raises InvalidInputError.
    """
    try:
        return _urlencoded(data, most) if boundary is None else _multipart(data, boundary, most)
    except (ValueError, MultipartError) as error:
        # the parser's message may quote the input
        raise InvalidInputError("", "the form cannot be read") from error


def _boundary(request: web.Request) -> str | None:
    if request.content_type != MULTIPART:
        return None
    _, options = parse_options_header(request.headers[hdrs.CONTENT_TYPE])
    return str(options.get("boundary", ""))


def _urlencoded(data: bytes, most: int) -> Form:
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=most, errors="strict"):
        fields.setdefault(name, []).append(_plain(value))
    return Form(fields)


def _multipart(data: bytes, boundary: str, most: int) -> Form:
    fields: dict[str, list[str]] = {}
    files: dict[str, list[ImportFile]] = {}
    content = bytearray()
    part = None
    with PushMultipartParser(boundary, len(data), max_segment_count=most, strict=True) as parser:
        for event in parser.parse(data):
            if isinstance(event, MultipartSegment):
                part = event
            elif event is not None:
                content += event
            elif part is not None:
                _add_part(fields, files, part, bytes(content))
                content.clear()
    return Form(fields, files)


def _add_part(
    fields: dict[str, list[str]], files: dict[str, list[ImportFile]], part: MultipartSegment, content: bytes
) -> None:
    if part.filename is None:
        fields.setdefault(part.name, []).append(_plain(content.decode()))
    elif content or part.filename:
        chosen = files.setdefault(part.name, [])
        chosen.append(ImportFile(part.filename[:255], content))
        if len(chosen) > MAX_FILES:
            raise InvalidInputError(part.name[:80], f"there are more than {MAX_FILES} files")


def _plain(text: str) -> str:
    """Undo the line ends that forms insert (HTML standard, "constructing entry lists"), to keep PEM intact."""
    return text.replace("\r\n", "\n")
