"""Connections to SQLite that need one trip to their thread for each statement.

aiosqlite needs one for each step: a cursor, the statement, its rows, the cursor's end. Each trip waits for a
turn of the interpreter and one of the loop, so that under load a query with three statements waited forty
times. Here a statement and its rows are one step, unless there are many rows. A reading transaction begins
with its first statement, and its end is not waited for. Invariant: only a connection's own thread touches its
SQLite objects.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiosqlite

FIRST_ROWS: Final = 1000
"""Rows that are returned together with a statement's execution. Larger results are read in parts."""

READS: Final = "BEGIN"
"""Begins a transaction without a turn among writers. SQLite reads nothing before the first statement (its
documentation of BEGIN DEFERRED)."""

T = TypeVar("T")


class Cursor:
    """The part of aiosqlite's cursor that SQLAlchemy uses. It costs nothing before a statement runs."""

    arraysize = 1

    def __init__(self, connection: "SqliteConnection") -> None:
        self._connection = connection
        self._open: sqlite3.Cursor | None = None
        self._rows: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, statement: str, parameters: Any = ()) -> None:
        """Execute a statement, and fetch its first rows. Raises sqlite3.Error."""
        if statement == READS:
            self._connection.read()
            return
        await self._run(lambda cursor: cursor.execute(statement, parameters))

    async def executemany(self, statement: str, parameters: Iterable[Sequence[Any]]) -> None:
        """Execute a statement once for each of these. Raises sqlite3.Error."""
        await self._run(lambda cursor: cursor.executemany(statement, parameters))

    async def fetchmany(self, size: int) -> list[Any]:
        """Return up to `size` more rows. Raises sqlite3.Error."""
        if self._open is not None and len(self._rows) < size:
            self._rows += await self._in_thread(self._open.fetchmany, size - len(self._rows))
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    async def fetchone(self) -> Any:
        """Return the next row, None after the last. Raises sqlite3.Error."""
        return next(iter(await self.fetchmany(1)), None)

    async def fetchall(self) -> list[Any]:
        """Return the remaining rows. Raises sqlite3.Error."""
        rows, self._rows = self._rows, []
        return rows if self._open is None else rows + await self._in_thread(self._open.fetchall)

    async def close(self) -> None:
        """Release a statement that may have more rows."""
        if self._open is not None:
            await self._connection.call(self._let_go)

    def _let_go(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    async def _in_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        try:
            return await self._connection.call(act, *arguments)
        except BaseException:
            # it continues in the thread; what it leaves open would keep its locks until garbage collection
            self._connection.call_later(self._let_go)
            raise

    async def _run(self, act: Callable[[sqlite3.Cursor], object]) -> None:
        connection = self._connection

        def work() -> None:
            cursor = connection.opened.cursor()
            try:
                connection.begin_if_due()
                act(cursor)
                self._rows = cursor.fetchmany(FIRST_ROWS) if cursor.description else []
                self.description, self.rowcount, self.lastrowid = (
                    cursor.description,
                    cursor.rowcount,
                    cursor.lastrowid,
                )
                self._open = cursor if len(self._rows) == FIRST_ROWS else None
            finally:
                if self._open is None:
                    cursor.close()

        await self._in_thread(work)


class SqliteConnection(aiosqlite.Connection):
    """aiosqlite's connection, with another cursor."""

    _reads = False
    """Whether the transaction only reads, and has begun or will begin with its first statement."""

    _is_due = False
    """Whether it has yet to begin."""

    def cursor(self) -> Cursor:  # type: ignore[override]  # aiosqlite's is awaited
        """Return a cursor."""
        return Cursor(self)

    @property
    def opened(self) -> sqlite3.Connection:
        """The connection that the thread uses. Raises ValueError once it is closed."""
        return self._conn

    def read(self) -> None:
        """Have the next statement begin a read-only transaction."""
        self._reads = self._is_due = True

    def begin_if_due(self) -> None:
        """Begin a transaction that is due; runs in the connection's thread. Raises sqlite3.Error."""
        if self._is_due:
            self._is_due = False
            self.opened.execute(READS)

    async def rollback(self) -> None:
        """End the transaction. A reader does not wait: the thread keeps the order. Raises sqlite3.Error."""
        is_waited_for, self._reads, self._is_due = not self._reads, False, False
        if is_waited_for:
            await self.call(self.opened.rollback)
        else:
            self.call_later(self.opened.rollback)

    async def commit(self) -> None:
        """Commit the transaction. Raises sqlite3.Error."""
        self._reads = self._is_due = False
        await self.call(self.opened.commit)

    async def call(self, act: Callable[..., T], *arguments: Any) -> T:
        """Run `act` in the connection's thread; return its result, or raise its error."""
        done: T = await self._execute(act, *arguments)  # type: ignore[no-untyped-call]
        return done

    def call_later(self, act: Callable[[], None]) -> None:
        """Queue `act` in the connection's thread."""
        self._tx.put_nowait((None, act))


async def connect(path: Path) -> SqliteConnection:
    """Open a connection. Raises sqlite3.Error."""
    # like SQLAlchemy for files: an unclosed connection is finalised by whichever thread collects it
    open_file = partial(sqlite3.connect, path, check_same_thread=False)
    connection = SqliteConnection(open_file, FIRST_ROWS)
    # a process that exits does not wait for unclosed connections
    connection._thread.daemon = True  # noqa: SLF001 - SQLAlchemy's adapter does the same with those that it opens
    await connection
    return connection
