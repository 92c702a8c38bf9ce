"""Files that an operator names, read whole within a limit, and written safely.

Decides the meaning of `-`, how several files become one text, and the mode of written files. The commands
handle the content. Invariants: a file with private keys is readable by its owner only, from its first byte
on; no file is replaced without --force.
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from common.errors import InvalidInputError
from common.runtime import terminal
from common.runtime.durable import create_in, write_in

if TYPE_CHECKING:
    from common.api.errors import FailureFinding

INPUT_MAX_BYTES: Final = 8 * 1024 * 1024
"""Larger than any certificate, key or list of CAs; stops a device file or a wrong path from filling memory."""

STDIN: Final = "-"
STDOUT: Final = "-"

_HEAD_CHARS: Final = 256
_CONTROL: Final = re.compile("[\x01-\x08\x0e-\x1f\x7f-\x9f]")
"""Characters that no text begins with, but that are common in DER lengths and archive headers."""

_MARK: Final = "-----"
_BINARY: Final = (b"\x30", b"PK\x03\x04")
"""First bytes of DER (an ASN.1 SEQUENCE) and ZIP archives, to recognise base64 of them without PEM marks."""

_SECRET_MODE: Final = 0o600
_PLAIN_MODE: Final = 0o644


@dataclass(frozen=True, slots=True)
class DownloadedFile:
    """A file from the manager. `name` has no directory in it."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class JoinedFiles:
    """Several files, sent as one text."""

    names: Sequence[str]
    texts: Sequence[str]

    @property
    def text(self) -> str:
        """The text; each file ends its last line, so that the next one begins a new line."""
        return "".join(self.texts)

    def locate(self, findings: Iterable["FailureFinding"]) -> list["FailureFinding"]:
        """Return the findings with the file of each: the manager counts lines and blocks across all files."""
        return [self._located(each) for each in findings]

    def _located(self, finding: "FailureFinding") -> "FailureFinding":
        from msgspec import structs

        # the manager names an archive's file, whose lines it counts separately
        member = (finding.file or "").removeprefix("certificate").removeprefix("/")
        if len(self.names) == 1:
            shown = shown_name(self.names[0])
            return structs.replace(finding, file=f"{shown}/{member}" if member else shown)
        if member:
            return structs.replace(finding, file=member)
        if finding.line is None:
            return structs.replace(finding, file=None)
        from common.pki.pem import count_blocks

        line, block = finding.line, finding.block
        for name, text in zip(self.names, self.texts, strict=True):
            if line <= (held := text.count("\n")):
                return structs.replace(finding, file=shown_name(name), line=line, block=block)
            line -= held
            block = block - count_blocks(text) if block is not None else None
        return finding


def shown_name(name: str) -> str:
    """Return a file's name for people."""
    return "standard input" if name == STDIN else name


def read_bytes(name: str, *, may_be_empty: bool = False) -> bytes:
    """Read a file, or the rest of standard input for `-`. Raises InvalidInputError."""
    what = shown_name(name)
    try:
        if name == STDIN:
            content = sys.stdin.buffer.read(INPUT_MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                content = file.read(INPUT_MAX_BYTES + 1)
    except OSError as error:
        raise InvalidInputError("file", f"cannot read {what}: {error.strerror}") from error
    if len(content) > INPUT_MAX_BYTES:
        raise InvalidInputError("file", f"{what} is larger than {INPUT_MAX_BYTES // 2**20} MiB")
    if not may_be_empty and not content.strip():
        raise InvalidInputError("file", f"{what} is empty")
    return content


def read_text(name: str) -> str:
    """Read a file as the text that is sent (`text_to_send`). Raises InvalidInputError."""
    return text_to_send(read_bytes(name))


def text_to_send(content: bytes) -> str:
    """Return a text unchanged, and other content (DER, PKCS#12, PKCS#7, ZIP) as one PEM block of its bytes.

    The manager recognises a block by its content, whatever its label says.
    """
    from common.pki.body import decode_base64
    from common.pki.pem import pem_of, text_of

    text = text_of(content)
    if _CONTROL.search(text[:_HEAD_CHARS]):
        return pem_of(content)
    if _MARK not in text and decode_base64(text).startswith(_BINARY):
        return pem_of(decode_base64(text))
    return text


def read_joined(names: Sequence[str]) -> JoinedFiles:
    """Read several files as one text. Raises InvalidInputError."""
    texts = [read_text(name) for name in names]
    return JoinedFiles(names, [text if text.endswith("\n") else f"{text}\n" for text in texts])


def decode_text(content: bytes, what: str) -> str:
    """Return text. Raises InvalidInputError."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInputError("file", f"{what} is not text") from error


def only_one_from_stdin(*names: str | None) -> None:
    """Refuse more than one file from standard input. Raises InvalidInputError."""
    if sum(name == STDIN for name in names) > 1:
        raise InvalidInputError("file", "only one file can be - (standard input)")


def check_output(output: str | None, *, force: bool) -> None:
    """Refuse an unwritable output file, before the manager is asked. Raises InvalidInputError."""
    if output is None or output == STDOUT:
        return
    path = Path(output)
    if path.exists() and not path.is_dir():
        _check_replaceable(path, force=force)


def save(made: DownloadedFile, output: str | None, *, force: bool, secret: bool) -> Path | None:
    """Write a download to standard output for `-` (returns None), into a directory, to a file, or under its own name.

    Raises InvalidInputError if the file exists and `force` is not given, or if it cannot be written.
    """
    if output == STDOUT:
        if terminal.is_terminal() and not made.name.endswith(".pem"):
            raise InvalidInputError("output", "this is binary; write it to a file or a pipe")
        if terminal.is_terminal():
            terminal.say_lines(made.content.decode(errors="replace"))
            return None
        sys.stdout.buffer.write(made.content)
        sys.stdout.buffer.flush()
        return None
    path = Path(output if output is not None else made.name)
    if path.is_dir():
        path /= made.name
    mode = _SECRET_MODE if secret else _PLAIN_MODE
    try:
        # the user typed the path, so links to its directory are followed, as by any command
        with _directory(path.parent) as parent:
            if path.exists():
                _check_replaceable(path, force=force)
                write_in(parent, path.name, made.content, mode=mode)
            else:
                _create(parent, path.name, made.content, mode)
    except FileExistsError as error:  # a broken link, or made since
        raise InvalidInputError("output", f"{path} already exists; choose another --output") from error
    except OSError as error:
        raise InvalidInputError("output", f"cannot write {path}: {error.strerror}") from error
    return path


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _create(parent: int, name: str, content: bytes, mode: int) -> None:
    try:
        create_in(parent, name, content, mode=mode)
    except FileExistsError:
        raise
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=parent)  # a part of it would look like all of it
        raise


def _check_replaceable(path: Path, *, force: bool) -> None:
    if not path.is_file():
        raise InvalidInputError("output", f"{path} is not a file; use --output - for standard output")
    if not force:
        raise InvalidInputError(
            "output", f"{path} already exists; --force replaces it, --output FILE writes another"
        )
