"""One database: opening it, transactions, and foreign errors made ours.

Owns the engine. Everything that differs between SQLite and PostgreSQL is in this file.
Invariant: one writer at a time over all processes, so what a transaction read before it wrote still holds when it
writes; a transaction that returned is on disk (WAL, synchronous=FULL); and what a task does while it has a transaction open
belongs to that transaction.
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import URL, Connection, Table, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from common.errors import ConflictError, Reason, StorageError
from manager.store.tables import meta

_T = TypeVar("_T")

DATABASE_FILE: Final = "certcast.db"
BUSY_TIMEOUT_MS: Final = 10_000
"""How long another process (`certcast-manager user add`) may hold the database before we give up."""

PRAGMAS: Final = (
    "journal_mode=WAL",
    # NORMAL lost acknowledged rows in power cuts; FULL lost none
    "synchronous=FULL",
    "foreign_keys=ON",
    f"busy_timeout={BUSY_TIMEOUT_MS}",
    "secure_delete=ON",
)
"""Of every connection to SQLite."""

REVISION: Final = "revision"
"""The name in `meta` under which the count of changes to content is kept."""

SQL_VARIABLES_MAX: Final = 500
"""Values in one IN list; SQLite's own limit is far above."""

WRITER_LOCK: Final = 0x63657274
"""The advisory lock that a writer holds on PostgreSQL ("cert")."""

_WRITES: Final = "certcast_writes"


def sqlite_url(path: Path) -> URL:
    """Return the URL of a database file, whatever characters its path has."""
    return URL.create("sqlite+aiosqlite", database=str(path))


@dataclass(slots=True, kw_only=True)
class _Transaction:
    """The one that is open. `failed` is what an inner block raised first, so that it is never half of it that is kept.

    `effects` are run once it is on disk, before the next writer begins.
    """

    task: asyncio.Task[Any] | None
    connection: AsyncConnection
    content: bool
    failed: BaseException | None = None
    effects: list[Callable[[], None]] = field(default_factory=list)


class Database:
    """Connections for reading and transactions for writing."""

    def __init__(self, url: str | URL) -> None:
        # an error's text ends up in logs, and parameters are password hashes and sealed keys
        self.engine: AsyncEngine = create_async_engine(url, hide_parameters=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self.rights_revision = 0
        """How often this process changed who may do what; it rises once the change is kept."""
        self._conditions: WeakKeyDictionary[asyncio.Task[Any], Callable[[], Awaitable[None]] | None] = (
            WeakKeyDictionary()
        )
        self._writing = asyncio.Lock()
        self._open: _Transaction | None = None
        if self.is_sqlite:
            event.listen(self.engine.sync_engine, "connect", _set_up)
            event.listen(self.engine.sync_engine, "begin", _begin)
        self._writer = self.engine.execution_options(**{_WRITES: True})

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for queries, which on SQLite all see the same moment. Raises StorageError.

        Within a transaction of the same task it is that one's, and shows what was written so far.
        """
        try:
            if (outer := self._own()) is not None:
                yield outer.connection
                return
            async with self.engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, OSError) as error:
            raise translated(error) from error

    @asynccontextmanager
    async def write(self, *, content: bool = False, rights: bool = False) -> AsyncIterator[AsyncConnection]:
        """Lend a transaction: on disk when the block is left, undone if it raises. Raises StorageError, ConflictError.

        `content` says that what nodes must hold may change; it raises the store's revision in the same transaction.
        `rights` says that what somebody may do changes, so that answers which are under way are asked for again.
        Within a transaction of the same task it is a part of that one: an error in it undoes the whole, even if it is caught
        in between.
        """
        try:
            if (outer := self._own()) is not None:
                if rights:
                    outer.effects.append(self._rights_changed)
                async with _part(outer, content=content):
                    yield outer.connection
                return
            async with self._writing:
                async with self._writer.begin() as connection:
                    if not self.is_sqlite:
                        await connection.execute(select(func.pg_advisory_xact_lock(WRITER_LOCK)))
                    async with self._whole(connection, content=content) as transaction:
                        if (condition := self._condition()) is not None:
                            await condition()
                        if rights:
                            transaction.effects.append(self._rights_changed)
                        yield connection
                for effect in transaction.effects:
                    effect()
        except (SQLAlchemyError, OSError) as error:
            raise translated(error) from error

    @contextmanager
    def on_condition(self, check: Callable[[], Awaitable[None]] | None) -> Iterator[None]:
        """Let every transaction that this task begins in the block begin with this check; what it raises undoes it. None: without any."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task begins transactions")
        before = self._conditions.get(task)
        self._conditions[task] = check
        try:
            yield
        finally:
            self._conditions[task] = before

    def _condition(self) -> Callable[[], Awaitable[None]] | None:
        # by task, as a transaction is: a task that is started meanwhile acts for nobody but the manager
        task = asyncio.current_task()
        return None if task is None else self._conditions.get(task)

    def _rights_changed(self) -> None:
        self.rights_revision += 1

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run this once the open transaction of this task is on disk, and never if it is undone.

        No other writer begins before: what memory knows changes in the order in which the disk did. It must not raise.
        """
        if (outer := self._own()) is None:
            raise RuntimeError("there is no transaction whose end could be waited for")
        outer.effects.append(effect)

    @property
    def is_writing(self) -> bool:
        """Whether this task has a transaction open: what it reads may yet be undone."""
        return self._own() is not None

    def _own(self) -> _Transaction | None:
        # by task and not by context: a task that is started meanwhile inherits the context, and outlives the transaction
        is_own = self._open is not None and self._open.task is asyncio.current_task()
        return self._open if is_own else None

    @asynccontextmanager
    async def _whole(self, connection: AsyncConnection, *, content: bool) -> AsyncIterator[_Transaction]:
        transaction = _Transaction(task=asyncio.current_task(), connection=connection, content=content)
        self._open = transaction
        try:
            yield transaction
            if transaction.failed is not None:
                raise StorageError(
                    "a part of this change failed, so none of it was kept"
                ) from transaction.failed
            if transaction.content:
                await self._revise(connection)
        finally:
            self._open = None

    async def revision(self, connection: AsyncConnection) -> int:
        """Return how often content changed: equal revisions mean equal content."""
        known = (await connection.execute(select(meta.c.value).where(meta.c.name == REVISION))).scalar()
        return int(known or b"0")

    async def _revise(self, connection: AsyncConnection) -> None:
        revision = await self.revision(connection) + 1
        await self.upsert(connection, meta, [{"name": REVISION, "value": str(revision).encode()}], key="name")

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that knows ON CONFLICT."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    async def insert_absent(
        self, connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert rows whose key is not there yet."""
        if rows:
            await connection.execute(self.insert(table).on_conflict_do_nothing(), list(rows))

    async def upsert(
        self, connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: str
    ) -> None:
        """Insert rows, or update those whose `key` is there."""
        if not rows:
            return
        statement = self.insert(table)
        changed = {name: statement.excluded[name] for name in rows[0] if name != key}
        await connection.execute(
            statement.on_conflict_do_update(index_elements=[key], set_=changed), list(rows)
        )

    async def close(self) -> None:
        await self.engine.dispose()


@asynccontextmanager
async def _part(outer: _Transaction, *, content: bool) -> AsyncIterator[None]:
    outer.content = outer.content or content
    try:
        yield
    except BaseException as error:
        outer.failed = outer.failed or error
        raise


def translated(error: SQLAlchemyError | OSError) -> StorageError | ConflictError:
    """Make a foreign error ours. Values never appear: they may be secrets."""
    if isinstance(error, IntegrityError):
        return ConflictError(
            "an object with this name or identity already exists, or one that is referred to does not exist"
        )
    whole = str(error.orig) if isinstance(error, DBAPIError) else ""
    if _is_out_of_space(error, whole):
        return StorageError("the disk is full; free space, then try again", reason=Reason.NO_SPACE)
    if "readonly" in whole or "read-only" in whole:
        return StorageError("the store cannot be written: its filesystem or file is read-only")
    if "database is locked" in whole:
        return StorageError(
            f"another process has held the store for {BUSY_TIMEOUT_MS // 1000} s; try again",
            reason=Reason.BUSY,
        )
    return StorageError(f"the store failed: {_cause(error)}")


def _is_out_of_space(error: SQLAlchemyError | OSError, whole: str) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    # the file by which readers find their way in the log could not be made as large as it must be
    name = getattr(error.orig, "sqlite_errorname", "") if isinstance(error, DBAPIError) else ""
    return name == "SQLITE_IOERR_SHMSIZE" or "disk is full" in whole or "No space left" in whole


def _cause(error: SQLAlchemyError | OSError) -> str:
    """Return what went wrong in a few words; the database's own only where they cannot quote a value."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if type(error) in {OperationalError, DatabaseError}:
        return str(cast("DBAPIError", error).orig).partition("\n")[0]
    if isinstance(error, DBAPIError) and error.orig is not None:
        return type(error.orig.__cause__ or error.orig).__name__
    return type(error).__name__


def chunks(items: Sequence[_T], size: int = SQL_VARIABLES_MAX) -> list[Sequence[_T]]:
    """Cut a sequence into parts that fit one statement."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _set_up(connection: DBAPIConnection, _record: object) -> None:
    # transactions are begun below and nowhere else: Python's sqlite3 would begin one only at the first INSERT, so that
    # what was read before might have changed, and would leave CREATE TABLE outside of it
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    # a writer takes its place before it reads: two processes must not decide on the same state
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
