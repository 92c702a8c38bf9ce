"""SQLite as the store's engine: one file in the manager's directory, nothing to install.

Owns the file: it creates the file for its owner only, and configures every connection. Invariant: a
transaction that returned is on disk (WAL, synchronous=FULL), and a writer gets its turn before it reads.
"""

import asyncio
import contextlib
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import URL, ColumnElement, Connection, Table, event, func, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from common.errors import ConflictError, Reason, StorageError
from common.ids import NodeName
from common.runtime import durable
from manager.store.backend import NoticeHandlers
from manager.store.claims import Unending, claim_file
from manager.store.failures import DISK_FULL, is_out_of_space
from manager.store.missing import NoStoreError
from manager.store.sqlite_driver import READS, connect
from manager.store.tables import metadata

BUSY_TIMEOUT_MS: Final = 10_000
"""How long we wait while another process (`certcast-manager user add`) holds the database."""

KEPT_KIB: Final = 512
"""Cache of each connection. A crowd of readers opens fifteen connections (SQLAlchemy's pool and its
overflow). With SQLite's default of 2,000 KiB these took 32 MiB for a store of 9 MiB; the system caches the
file anyway."""

PRAGMAS: Final = (
    "journal_mode=WAL",
    # power cuts lost acknowledged rows with NORMAL, and none with FULL
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "secure_delete=ON",
    # negative: KiB, not pages
    f"cache_size=-{KEPT_KIB}",
)
"""Set on every connection."""

ROOM_BYTES: Final = 16 * 1024 * 1024
"""Required free disk space: a change may be as large as a request (12 MiB), plus its bundles."""

_WRITES: Final = "certcast_writes"


class Sqlite:
    """The file at this path."""

    reader: Mapping[str, Any] = MappingProxyType({})
    writer: Mapping[str, Any] = MappingProxyType({_WRITES: True})
    reader_wait_s = None

    # a file belongs to one manager
    is_shared: bool = False

    def __init__(self, path: Path) -> None:
        self._path = path

    def connect(self, *, patient: bool) -> AsyncEngine:
        """Make the connection pool; no statement has a time limit here, so every pool is `patient`."""
        # built from parts, for any path; errors' texts end up in logs, and parameters include hashes and
        # sealed keys
        url = URL.create("sqlite+aiosqlite", database=str(self._path))
        engine = create_async_engine(url, hide_parameters=True, async_creator=partial(connect, self._path))
        event.listen(engine.sync_engine, "connect", _set_up)
        event.listen(engine.sync_engine, "begin", _begin)
        return engine

    async def make(self) -> None:
        """Create the file, and its directory for its owner only.

        Raises ConflictError if it exists, StorageError.
        """
        try:
            await asyncio.to_thread(_make_file, self._path)
        except FileExistsError as error:
            raise ConflictError(
                f"{self._path} exists; this directory already holds a manager's store"
            ) from error
        except OSError as error:
            reason = Reason.NO_SPACE if is_out_of_space(error) else None
            raise StorageError(f"{self._path} cannot be made: {error.strerror}", reason=reason) from error

    async def unmake(self) -> None:
        """Remove a file in which nothing was stored; it would block the next attempt."""
        await asyncio.to_thread(_remove_file, self._path)

    async def find(self) -> None:
        """Check that there is a file. Raises NoStoreError."""
        if not await asyncio.to_thread(self._path.is_file):
            raise NoStoreError(f"at {self._path}", self._path.parent)

    async def check(self, connection: AsyncConnection, *, is_new: bool) -> None:
        """Accept any content: `make` or `find` has checked whether the file exists."""

    async def check_room(self) -> None:
        """Check for free disk space: on a full disk a small write may still fit into the log.

        Raises StorageError.
        """
        try:
            facts = await asyncio.to_thread(os.statvfs, self._path.parent)
        except OSError as error:
            raise StorageError(
                f"the disk of the store cannot be asked for its room: {error.strerror}"
            ) from error
        if facts.f_bavail * facts.f_frsize < ROOM_BYTES:
            message = f"the disk of the store has less than {ROOM_BYTES >> 20} MiB left; free space, or changes will be refused"
            raise StorageError(message, reason=Reason.NO_SPACE)

    async def take_turn(self, connection: AsyncConnection) -> None:
        """Do nothing: the writer has had its turn since it began."""

    def insert(self, table: Table) -> sqlite.Insert:
        """Return an INSERT that supports ON CONFLICT."""
        return sqlite.insert(table)

    def among(self, column: ColumnElement[int], numbers: Collection[int]) -> ColumnElement[bool]:
        """Return the condition that a column is one of these numbers."""
        given = func.json_each(json.dumps(list(numbers))).table_valued("value")
        return column.in_(select(given.c.value))

    async def ids_given(self, connection: AsyncConnection) -> Mapping[str, int]:
        """Return the highest id that each table has ever assigned."""
        rows = await connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
        # people who opened the file with other tools may have made tables
        return {row.name: int(row.seq) for row in rows if row.name in metadata.tables}

    async def set_ids_given(self, connection: AsyncConnection, given: Mapping[str, int]) -> None:
        """Make each table continue after the highest id that it assigned elsewhere."""
        for name, highest in given.items():
            known = {"name": name, "highest": highest}
            await connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), known)
            await connection.execute(
                text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :highest)"), known
            )

    def timeline(self, connection: AsyncConnection) -> str:
        """Return "": nothing takes over from a file."""
        return ""

    async def now_s(self, connection: AsyncConnection) -> float:
        """Return this machine's time."""
        return time.time()

    async def tell(self, connection: AsyncConnection, sender: str) -> None:
        """Do nothing: nobody else listens."""

    async def tell_tallies(self, connection: AsyncConnection, text: str) -> None:
        """Do nothing: nobody else listens."""

    @asynccontextmanager
    async def listen(self, handlers: NoticeHandlers) -> AsyncIterator[Unending]:
        """Receive nothing: no other manager makes changes."""
        yield Unending()

    @asynccontextmanager
    async def claim(self, _node: NodeName | None) -> AsyncIterator[Unending]:
        """Hold the lock file beside the database while the store is served or copied, by one manager at most.

        Raises ConflictError, StorageError.
        """
        with claim_file(self._path) as claim:
            yield claim

    @asynccontextmanager
    async def untouched(self) -> AsyncIterator[None]:
        """Keep the log that a killed manager left: hold the file open for reading only.

        Otherwise the last process to close the file would merge its log into it.
        """
        if not await asyncio.to_thread(_has_log, self._path):
            yield
            return
        connection = await asyncio.to_thread(_open_for_reading, self._path)
        try:
            yield
        finally:
            await asyncio.to_thread(connection.close)

    async def forbid_writes(self, connection: AsyncConnection) -> None:
        """Forbid writes on this connection."""
        await connection.exec_driver_sql("PRAGMA query_only=ON")

    def explain(self, error: SQLAlchemyError | OSError, *, committing: bool) -> StorageError | None:
        """Translate an error that is specific to SQLite."""
        whole = str(error.orig) if isinstance(error, DBAPIError) else ""
        # the shared-memory index of the log could not grow
        name = getattr(error.orig, "sqlite_errorname", "") if isinstance(error, DBAPIError) else ""
        if name == "SQLITE_IOERR_SHMSIZE" or "disk is full" in whole or "No space left" in whole:
            return StorageError(DISK_FULL, reason=Reason.NO_SPACE)
        if "readonly" in whole or "read-only" in whole:
            return StorageError("the store cannot be written: its filesystem or file is read-only")
        if "database is locked" in whole:
            return StorageError(
                f"another process has held the store for {BUSY_TIMEOUT_MS // 1000} s; try again",
                reason=Reason.BUSY,
            )
        return None


def free_name(path: Path) -> None:
    """Check that a database may get this name.

    Raises ConflictError if a database, or a log left behind, has it.

    SQLite would take such a log for the new file's, and overwrite the file with its content.
    """
    if path.exists():
        raise ConflictError(
            f"{path} holds a manager's store already; nothing was changed. If another store is to take its place, move it away first"
        )
    if _has_log(path):
        raise ConflictError(
            f"{_log_of(path)} has changes of a database that was moved away without it; move it there too"
        )
    _remove_file(path)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_log(path: Path) -> bool:
    try:
        return _log_of(path).stat().st_size > 0
    except FileNotFoundError:
        return False


def _open_for_reading(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, check_same_thread=False)
    connection.execute("SELECT name FROM sqlite_master").fetchall()  # the file is opened by the first query
    return connection


def _make_file(path: Path) -> None:
    durable.make_dir(path.parent, 0o700)
    # SQLite would create it with the umask's mode, and would not sync its name
    durable.create_file(path, b"", mode=0o600)
    durable.sync_dir(path.parent)


def _remove_file(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _set_up(connection: DBAPIConnection, _record: object) -> None:
    # transactions are begun below and nowhere else: Python's sqlite3 would begin one only at the first
    # INSERT, so that
    # what was read before might have changed, and would leave CREATE TABLE outside of it
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # a writer gets its turn before it reads: two processes must not decide on the same state
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else READS)
