"""Transactions of the store, on any engine.

Invariant: there is one writer at a time over all processes, so what a transaction read before it wrote still
holds when it writes. A transaction that returned is on disk. Whatever a task does while it has a transaction
open belongs to that transaction.
"""

import asyncio
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Connection, Select, Table, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from common.errors import ConflictError, InvalidInputError, MembershipLostError, StorageError
from manager.domain.members import EVICTED, MemberId
from manager.store.backend import Engine, Lasting, NoticeHandlers
from manager.store.clock import StoreClock
from manager.store.failures import translate
from manager.store.journal import Journal
from manager.store.numbers import CHANGE, RIGHTS, draw, keep, keep_revision, mark, revision_of
from manager.store.readers import Readers
from manager.store.tables.content import counter, meta, node
from manager.store.tables.running import member, node_change
from manager.store.timelines import is_taken_over, note_timeline
from manager.store.transaction import Transaction, part_of


class Database:
    """Connections for reading, transactions for writing.

    A `patient` one makes or copies a store; it draws no numbers that others see.
    """

    def __init__(self, engine: Engine, *, patient: bool = False) -> None:
        self.engine = engine
        self._is_patient = patient
        self._pool: AsyncEngine = engine.connect(patient=patient)
        self._reader = self._pool.execution_options(**engine.reader)
        self._writer = self._pool.execution_options(**engine.writer)
        event.listen(self._pool.sync_engine, "handle_error", self._note_error)
        event.listen(self._pool.sync_engine, "rollback_savepoint", self._note_recovery)
        self.rights_revision = 0
        """Counts changes of rights. It rises once a change is committed, or may have been."""
        self.own_numbers: set[int] = set()
        """Numbers of this process's transactions that were committed since the feed was last read."""
        self.journal = Journal()
        self.clock = StoreClock()
        self.tell_tallies = engine.tell_tallies
        self._member: MemberId | None = None
        self._stands_down = ""
        self._conditions: WeakKeyDictionary[asyncio.Task[Any], Callable[[], Awaitable[None]] | None] = (
            WeakKeyDictionary()
        )
        self._readers = Readers()
        self._writing = asyncio.Lock()
        self._open: Transaction | None = None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Lend a connection for queries, which all see the same snapshot. Raises StorageError.

        Within a transaction of the same task, it is that transaction's, and sees what was written so far.
        """
        try:
            if (outer := self._own()) is not None:
                yield outer.connection
                return
            async with self._readers.lent(self._reader, self.engine.reader_wait_s) as connection:
                yield connection
        except (SQLAlchemyError, OSError, UnicodeEncodeError) as error:
            raise self._translated(error) from error

    @asynccontextmanager
    async def write(self, *, rights: bool = False, by_member: bool = True) -> AsyncIterator[AsyncConnection]:
        """Lend a transaction: committed when the block ends, undone if it raises.

        A caller that changes what nodes must hold calls `Transaction.touch`, which raises the store's
        revision in the same transaction. `rights` says that somebody's rights change, so requests in progress
        are authorised again. `by_member`: only while the member that the store acts as now, if any, has not
        been evicted. Within a transaction of the same task it becomes part of that one: an error in it undoes
        the whole, even if the error is caught in between. Raises StorageError, ConflictError,
        MembershipLostError.
        """
        committing = False
        acting = self._member if by_member else None
        self._check_standing()
        try:
            if (outer := self._own()) is not None:
                async with part_of(outer, rights=rights):
                    yield outer.connection
                return
            async with self._writing:
                async with self._writer.begin() as connection:
                    await self.engine.take_turn(connection)
                    self._check_standing()  # the previous writer may have been copying the store
                    if acting is not None:
                        await self._check_member(connection, acting)
                    async with self._whole(connection, rights=rights) as transaction:
                        is_noting = self.is_shared and not self._is_patient
                        if is_noting and await note_timeline(connection, self.engine, transaction.effects):
                            # what was read on the former timeline may no longer be true
                            transaction.content = transaction.rights = True
                            transaction.touched.add(everything=True)
                        if (condition := self._condition()) is not None:
                            await condition()
                        yield connection
                    committing = True
                if transaction.rights:
                    self.note_rights()
                if transaction.number and self.is_shared:
                    self.own_numbers.add(transaction.number)
                self.journal.note(transaction.revision, transaction.touched)
                for effect in transaction.effects:
                    effect()
                committing = False
        except (SQLAlchemyError, OSError, UnicodeEncodeError) as error:
            raise self._translated(error, committing=committing) from error
        finally:
            if committing:
                # it may have been committed, so rights that were granted before are checked again
                self.note_rights()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[AsyncConnection]:
        """Lend a transaction for a row that other writers only remove, and lock first. Raises StorageError.

        Where several managers can run, it waits for no other writer: a slow one must not keep a manager from
        renewing its lease.
        """
        self._check_standing()
        if not self.is_shared:
            async with self.write(by_member=False) as connection:
                yield connection
            return
        try:
            async with self._writer.begin() as connection:
                yield connection
        except (SQLAlchemyError, OSError, UnicodeEncodeError) as error:
            raise self._translated(error) from error

    def act_as(self, acting: MemberId) -> None:
        """Commit transactions from now on only while this member's row exists."""
        self._member = acting

    def stand_down(self, why: str) -> None:
        """Refuse every write from now on; the error says `why`."""
        self._stands_down = why

    def _check_standing(self) -> None:
        if self._stands_down:
            raise MembershipLostError(self._stands_down)

    async def note_takeover(self) -> None:
        """Make the counters leap if a server took over since the last write. Raises StorageError."""
        if not self.is_shared:
            return
        async with self.read() as connection:
            is_due = await is_taken_over(connection, self.engine)
        if is_due:
            async with self.write(by_member=False):
                pass

    @property
    def is_shared(self) -> bool:
        """Whether several managers can serve this store at once."""
        return self.engine.is_shared

    @property
    def acting(self) -> MemberId | None:
        """The member that this store acts as."""
        return self._member

    @property
    def member(self) -> MemberId:
        """The member that this store acts as, for operations that only a member performs."""
        if self._member is None:
            raise RuntimeError("this store acts as no member")
        return self._member

    async def _check_member(self, connection: AsyncConnection, acting: MemberId) -> None:
        known = select(member.c.id).where(member.c.id == acting)
        if (await connection.execute(known)).first() is None:
            raise MembershipLostError(EVICTED)

    async def now_s(self, connection: AsyncConnection) -> float:
        """Return the time by the one clock that all managers on this store share."""
        ask = partial(self.engine.now_s, connection)
        return await (self.clock.note(ask) if self.is_shared else ask())

    async def number(self, connection: AsyncConnection) -> int:
        """Return the open transaction's number, higher than those of all committed before it."""
        transaction = self.opened
        if not transaction.number:
            transaction.number = await draw(connection, self.insert(counter), CHANGE)
        return transaction.number

    async def changed(self, connection: AsyncConnection, nodes: Collection[int] | Select[tuple[int]]) -> None:
        """Mark these nodes, by the store's ids, as changed by the open transaction, for other managers."""
        if self.is_shared and not (isinstance(nodes, Collection) and not nodes):
            chosen = self.among(node.c.id, nodes) if isinstance(nodes, Collection) else node.c.id.in_(nodes)
            await mark(connection, self.insert(node_change), chosen, await self.number(connection))

    async def note(self, connection: AsyncConnection, what: str) -> None:
        """Mark REMOVED, ALARMS or CHALLENGES (`manager.store.numbers`) as changed, for other managers."""
        if self.is_shared:
            await keep(connection, self.insert(counter), what, await self.number(connection))

    @contextmanager
    def on_condition(self, check: Callable[[], Awaitable[None]] | None) -> Iterator[None]:
        """Begin this task's transactions in the block with a check (None: none), whose error undoes them."""
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
        # by task, like transactions: a task that is started meanwhile acts for the manager alone
        task = asyncio.current_task()
        return None if task is None else self._conditions.get(task)

    def note_rights(self) -> None:
        """Mark all rights that were read before as outdated."""
        self.rights_revision += 1

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run this once the open transaction of this task is on disk, and never if it is undone.

        No other writer begins before, so memory changes in the same order as the disk. It must not raise.
        """
        self.opened.effects.append(effect)

    @property
    def is_writing(self) -> bool:
        """Whether this task has a transaction open, so that what it reads may yet be undone."""
        return self._own() is not None

    @property
    def opened(self) -> Transaction:
        """The transaction that this task has open."""
        if (own := self._own()) is None:
            raise RuntimeError("this task has no transaction open")
        return own

    def _own(self) -> Transaction | None:
        # by task and not by context: a task that is started meanwhile inherits the context and outlives the
        # transaction
        is_own = self._open is not None and self._open.task is asyncio.current_task()
        return self._open if is_own else None

    @asynccontextmanager
    async def _whole(self, connection: AsyncConnection, *, rights: bool) -> AsyncIterator[Transaction]:
        transaction = Transaction(task=asyncio.current_task(), connection=connection, rights=rights)
        self._open = transaction
        try:
            yield transaction
            if (failed := transaction.failed or transaction.broken) is not None:
                raise StorageError("a part of this change failed, so none of it was kept") from failed
            if transaction.content:
                transaction.revision = await self._revise(connection)
            if self.is_shared:
                await self._tell(transaction)
        finally:
            self._open = None

    async def _tell(self, transaction: Transaction) -> None:
        if transaction.rights:
            await draw(transaction.connection, self.insert(counter), RIGHTS)
        if transaction.rights or transaction.content or transaction.number:
            await self.engine.tell(transaction.connection, self.sender)

    @property
    def sender(self) -> str:
        """The sender in this manager's notifications of changes; "" while it is not a member."""
        return "" if self._member is None else str(self._member)

    def _note_error(self, context: ExceptionContext) -> None:
        if self._open is not None and context.connection is self._open.connection.sync_connection:
            self._open.broken = context.original_exception

    def _note_recovery(self, connection: Connection, *_: object) -> None:
        if self._open is not None and connection is self._open.connection.sync_connection:
            self._open.broken = None

    async def _revise(self, connection: AsyncConnection) -> int:
        revision = await revision_of(connection) + 1
        await keep_revision(connection, self.insert(meta), revision)
        return revision

    def insert(self, table: Table) -> "sqlite.Insert | postgresql.Insert":
        """Return an INSERT that supports ON CONFLICT."""
        return self.engine.insert(table)

    def among(self, column: ColumnElement[int], numbers: Collection[int]) -> ColumnElement[bool]:
        """Return the condition that a column is one of these numbers, all of them in one bound value."""
        return self.engine.among(column, numbers)

    async def insert_absent(
        self, connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Insert rows whose key does not exist yet."""
        if rows:
            await connection.execute(self.insert(table).on_conflict_do_nothing(), list(rows))

    async def upsert(
        self, connection: AsyncConnection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: str
    ) -> None:
        """Insert rows, or update those whose `key` exists."""
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
            return translate(error)
        return self.engine.explain(error, committing=committing) or translate(error)

    def listening(self, handlers: NoticeHandlers) -> AbstractAsyncContextManager[Lasting]:
        """Receive notifications from now on, including this process's own. Raises StorageError."""
        return self.engine.listen(handlers)

    async def close(self) -> None:
        await self._pool.dispose()
