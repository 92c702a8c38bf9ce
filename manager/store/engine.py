"""Transactions of the store, whatever engine keeps it.

Invariant: one writer at a time over all processes, so what a transaction read before it wrote still holds when it
writes; a transaction that returned is on disk; and what a task does while it has a transaction open belongs to that transaction.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Row, Table, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.errors import ConflictError, InvalidInputError, StorageError
from manager.store.failures import translated
from manager.store.tables import meta

_T = TypeVar("_T")

REVISION: Final = "revision"
"""The name in `meta` under which the count of changes to content is kept."""

SQL_VARIABLES_MAX: Final = 500
"""Values in one IN list; the engines' own limits are far above."""

MADE_AT_ONCE: Final = 500
"""Rows that are made into records between two turns of the loop: about 5 ms."""


class Claim(Protocol):
    """That a manager serves a store, as others can see it."""

    async def until_lost(self) -> None:
        """Return when others cannot see it any more, because the connection to the server was lost."""


class Engine(Protocol):
    """What differs between databases."""

    @property
    def reader(self) -> Mapping[str, Any]:
        """Execution options of a transaction that only reads: all that it reads is of one moment."""

    @property
    def writer(self) -> Mapping[str, Any]:
        """Execution options of a transaction that writes."""

    @property
    def reader_wait_s(self) -> float | None:
        """How long a reader may wait until it has a connection; None where that needs no answer of somebody else."""

    def connect(self, *, patient: bool) -> AsyncEngine:
        """Make the pool of connections. A `patient` one lets a statement take as long as a migration or a copy may need."""

    async def make(self) -> None:
        """Make what is needed before anybody can connect to a new store. Raises ConflictError, StorageError."""

    async def unmake(self) -> None:
        """Undo `make`: nothing came into it."""

    async def find(self) -> None:
        """Check what can be checked before connecting to a store. Raises NotFoundError."""

    async def check(self, connection: AsyncConnection, *, is_new: bool) -> None:
        """Check, in the transaction that makes or migrates the tables, that they may be made or are there.

        Raises ConflictError, NotFoundError, InvalidInputError.
        """

    async def take_turn(self, connection: AsyncConnection) -> None:
        """Wait until no other process writes; what is read in this transaction afterwards holds until its end."""

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that knows ON CONFLICT."""

    async def ids_given(self, connection: AsyncConnection) -> Mapping[str, int]:
        """Return the highest id that each table has ever given."""

    async def set_ids_given(self, connection: AsyncConnection, given: Mapping[str, int]) -> None:
        """Let each table go on after the highest id that it has ever given elsewhere."""

    def claim(self) -> AbstractAsyncContextManager[Claim]:
        """Say for as long as the block lasts that the store is served, or copied to another place, by this process alone.

        Raises ConflictError while another process says so, StorageError.
        """

    def untouched(self) -> AbstractAsyncContextManager[None]:
        """Keep every byte of what is there for as long as the block lasts, whoever else opens it and writes nothing."""

    async def forbid_writes(self, connection: AsyncConnection) -> None:
        """Let nothing be written in this transaction any more."""

    def explain(self, error: SQLAlchemyError | OSError, *, committing: bool) -> StorageError | None:
        """Say what an error means that only this engine has; `committing` if it came while a transaction was being kept."""


@dataclass(slots=True, kw_only=True)
class _Transaction:
    """The one that is open. `failed` is what an inner block raised first, so that it is never half of it that is kept.

    `broken` is why a statement failed. PostgreSQL undoes all of a transaction of which one failed, and says nothing at its COMMIT, so
    that whoever catches such an error inside would believe that the rest was kept.
    `effects` are run once it is on disk, before the next writer begins.
    """

    task: asyncio.Task[Any] | None
    connection: AsyncConnection
    content: bool
    failed: BaseException | None = None
    broken: BaseException | None = None
    effects: list[Callable[[], None]] = field(default_factory=list)


class Database:
    """Connections for reading and transactions for writing."""

    def __init__(self, engine: Engine, *, patient: bool = False) -> None:
        self._engine = engine
        self._pool: AsyncEngine = engine.connect(patient=patient)
        self._reader = self._pool.execution_options(**engine.reader)
        self._writer = self._pool.execution_options(**engine.writer)
        event.listen(self._pool.sync_engine, "handle_error", self._note_error)
        event.listen(self._pool.sync_engine, "rollback_savepoint", self._note_recovery)
        self.rights_revision = 0
        """How often this process changed who may do what; it rises once the change is kept, and where it may have been."""
        self._conditions: WeakKeyDictionary[asyncio.Task[Any], Callable[[], Awaitable[None]] | None] = (
            WeakKeyDictionary()
        )
        self._writing = asyncio.Lock()
        self._open: _Transaction | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for queries, which all see the same moment. Raises StorageError.

        Within a transaction of the same task it is that one's, and shows what was written so far.
        """
        try:
            if (outer := self._own()) is not None:
                yield outer.connection
                return
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(self._engine.reader_wait_s):
                    connection = await stack.enter_async_context(self._reader.connect())
                yield connection
        except (SQLAlchemyError, OSError, UnicodeEncodeError) as error:
            raise self._translated(error) from error

    @asynccontextmanager
    async def write(self, *, content: bool = False, rights: bool = False) -> AsyncIterator[AsyncConnection]:
        """Lend a transaction: on disk when the block is left, undone if it raises. Raises StorageError, ConflictError.

        `content` says that what nodes must hold may change; it raises the store's revision in the same transaction.
        `rights` says that what somebody may do changes, so that answers which are under way are asked for again.
        Within a transaction of the same task it is a part of that one: an error in it undoes the whole, even if it is caught
        in between.
        """
        committing = False
        try:
            if (outer := self._own()) is not None:
                if rights:
                    outer.effects.append(self._rights_changed)
                async with _part(outer, content=content):
                    yield outer.connection
                return
            async with self._writing:
                async with self._writer.begin() as connection:
                    await self._engine.take_turn(connection)
                    async with self._whole(connection, content=content) as transaction:
                        if (condition := self._condition()) is not None:
                            await condition()
                        if rights:
                            transaction.effects.append(self._rights_changed)
                        yield connection
                    committing = True
                for effect in transaction.effects:
                    effect()
                committing = False
        except (SQLAlchemyError, OSError, UnicodeEncodeError) as error:
            raise self._translated(error, committing=committing) from error
        finally:
            if committing:
                # it may have been kept: whoever had a right by then is asked again
                self._rights_changed()

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
            if (failed := transaction.failed or transaction.broken) is not None:
                raise StorageError("a part of this change failed, so none of it was kept") from failed
            if transaction.content:
                await self._revise(connection)
        finally:
            self._open = None

    def _note_error(self, context: ExceptionContext) -> None:
        if self._open is not None and context.connection is self._open.connection.sync_connection:
            self._open.broken = context.original_exception

    def _note_recovery(self, connection: Connection, *_: object) -> None:
        if self._open is not None and connection is self._open.connection.sync_connection:
            self._open.broken = None

    async def revision(self, connection: AsyncConnection) -> int:
        """Return how often content changed: equal revisions mean equal content."""
        known = (await connection.execute(select(meta.c.value).where(meta.c.name == REVISION))).scalar()
        return int(known or b"0")

    async def _revise(self, connection: AsyncConnection) -> None:
        revision = await self.revision(connection) + 1
        await self.upsert(connection, meta, [{"name": REVISION, "value": str(revision).encode()}], key="name")

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that knows ON CONFLICT."""
        return self._engine.insert(table)

    async def ids_given(self, connection: AsyncConnection) -> Mapping[str, int]:
        """Return the highest id that each table has ever given."""
        return await self._engine.ids_given(connection)

    async def set_ids_given(self, connection: AsyncConnection, given: Mapping[str, int]) -> None:
        """Let each table go on after the highest id that it has ever given elsewhere."""
        await self._engine.set_ids_given(connection, given)

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

    def _translated(
        self, error: SQLAlchemyError | OSError | UnicodeEncodeError, *, committing: bool = False
    ) -> StorageError | ConflictError | InvalidInputError:
        if isinstance(error, IntegrityError | UnicodeEncodeError):
            return translated(error)
        return self._engine.explain(error, committing=committing) or translated(error)

    async def close(self) -> None:
        await self._pool.dispose()


@asynccontextmanager
async def _part(outer: _Transaction, *, content: bool) -> AsyncIterator[None]:
    outer.content = outer.content or content
    try:
        yield
    except BaseException as error:
        outer.failed = outer.failed or error
        raise


def chunks(items: Sequence[_T], size: int = SQL_VARIABLES_MAX) -> list[Sequence[_T]]:
    """Cut a sequence into parts that fit one statement."""
    return [items[start : start + size] for start in range(0, len(items), size)]


async def made_of(rows: Sequence[Row[Any]], make: Callable[[Row[Any]], _T]) -> list[_T]:
    """Return the records that rows are made into; of thousands, part by part, so that others get their turn."""
    found: list[_T] = []
    for start in range(0, len(rows), MADE_AT_ONCE):
        if start:
            await asyncio.sleep(0)
        found += map(make, rows[start : start + MADE_AT_ONCE])
    return found
