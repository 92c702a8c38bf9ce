"""The journal on disk.

Decides how to make a change of the journal durable. Leaves the change itself to `nodeagent.core.steps`.
Invariant: the file holds one whole value, from the last `save` that returned.
"""

import asyncio
from pathlib import Path

import structlog

from common.errors import CertcastError, InstallError, Reason
from common.runtime import durable, trusted
from nodeagent.core.journal import Journal, decode_journal, encode_journal
from nodeagent.install.fault import name_fault

log = structlog.get_logger(__name__)

JOURNAL_FILE = "journal.json"
DAMAGED_FILE = "journal.json.damaged"
FILE_MAX_BYTES = 4 * 1024 * 1024
"""Far above a journal with the most consumers, refusals and diagnostics; a larger file is damaged."""


class JournalFile:
    """The journal in memory: the value on disk, plus a change that `keep` could not write yet."""

    def __init__(self, directory: Path, journal: Journal) -> None:
        self._path = directory / JOURNAL_FILE
        self._journal = journal
        self._is_written = True

    @property
    def journal(self) -> Journal:
        return self._journal

    @property
    def is_written(self) -> bool:
        """Whether the disk has the present value."""
        return self._is_written

    async def save(self, journal: Journal) -> None:
        """Make a change durable, then apply it. Raises InstallError (NO_SPACE, PERMISSION ...) and changes nothing."""
        if journal == self._journal and self._is_written:
            return
        try:
            await asyncio.to_thread(durable.write_file, self._path, encode_journal(journal), mode=0o600)
        except OSError as error:
            raise name_fault("the journal cannot be written", error) from error
        self._journal, self._is_written = journal, True

    async def keep(self, journal: Journal) -> None:
        """Apply a change even if the disk refuses it now; the next `save` or `keep` writes it as well.

        For changes that hold even if not written: the link shows them too, or losing them costs one more attempt.
        """
        try:
            await self.save(journal)
        except InstallError as error:
            self._journal, self._is_written = journal, False
            log.error("disk.failed", reason=error.reason, message=error.message)

    async def flush(self) -> None:
        """Try again to write a change that could not be written."""
        if not self._is_written:
            await self.keep(self._journal)


async def load_journal(directory: Path, *, aside: bool = True) -> Journal | None:
    """Read the journal; None if it is missing or damaged. A damaged one is moved `aside`.

    Raises CertcastError: STORAGE if it cannot be read, UNSUPPORTED if a newer agent wrote it.
    """
    path = directory / JOURNAL_FILE
    try:
        raw = await asyncio.to_thread(trusted.read_file, path, FILE_MAX_BYTES)
        return decode_journal(raw)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CertcastError(f"{path} cannot be read: {error.strerror}", reason=Reason.STORAGE) from error
    except InstallError as error:
        if error.reason == Reason.UNSUPPORTED:
            raise
        log.error("disk.failed", reason=error.reason, message=error.message)
        if aside:
            await asyncio.to_thread(durable.write_file, directory / DAMAGED_FILE, raw, mode=0o600)
        return None
