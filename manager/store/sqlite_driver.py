"""Connections to SQLite that make one journey to their thread for each statement.

aiosqlite makes one for each step: a cursor, the statement, its rows, the cursor's end. Each of them waits for a turn of the interpreter
and for one of the loop, so that under load a question with three statements waited forty times. Here a statement and its rows are one
step, unless there are many; a transaction that reads begins with its first statement, and nobody waits for its end. Invariant: only a
connection's own thread touches what SQLite has of it.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import aiosqlite

FIRST_ROWS: Final = 1000
"""Rows that come with the answer of a statement. Whoever goes through a table that has more takes them in parts."""

READS: Final = "BEGIN"
"""Begins a transaction that takes no place among writers. SQLite looks at nothing before the first statement (its documentation of BEGIN DEFERRED)."""

T = TypeVar("T")


class Cursor:
    """What SQLAlchemy's adapter asks for of aiosqlite's cursor. Costs nothing until a statement is executed, and nothing to close then."""

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
        """Return up to so many more rows. Raises sqlite3.Error."""
        if self._open is not None and len(self._rows) < size:
            self._rows += await self._in_thread(self._open.fetchmany, size - len(self._rows))
        rows, self._rows = self._rows[:size], self._rows[size:]
        return rows

    async def fetchone(self) -> Any:
        """Return the next row, None after the last. Raises sqlite3.Error."""
        return next(iter(await self.fetchmany(1)), None)

    async def fetchall(self) -> list[Any]:
        """Return what is left of the rows. Raises sqlite3.Error."""
        rows, self._rows = self._rows, []
        return rows if self._open is None else rows + await self._in_thread(self._open.fetchall)

    async def close(self) -> None:
        """Let go of a statement of which there may be more rows."""
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
            # it goes on in the thread; what it leaves open would keep its locks until somebody collects it
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
    """aiosqlite's, with another cursor."""

    _reads = False
    """Whether the transaction is one that reads, and was given to the thread, or will be with its first statement."""

    _is_due = False
    """Whether it is still to begin."""

    def cursor(self) -> Cursor:  # type: ignore[override]  # aiosqlite's is awaited
        """Return a cursor."""
        return Cursor(self)

    @property
    def opened(self) -> sqlite3.Connection:
        """What its thread works with. Raises ValueError once it is closed."""
        return self._conn

    def read(self) -> None:
        """Let the next statement begin a transaction that reads."""
        self._reads = self._is_due = True

    def begin_if_due(self) -> None:
        """Begin what is to begin; in the connection's thread. Raises sqlite3.Error."""
        if self._is_due:
            self._is_due = False
            self.opened.execute(READS)

    async def rollback(self) -> None:
        """End the transaction. Who has only read does not wait: whatever comes next in the thread comes after. Raises sqlite3.Error."""
        is_waited_for, self._reads, self._is_due = not self._reads, False, False
        if is_waited_for:
            await self.call(self.opened.rollback)
        else:
            self.call_later(self.opened.rollback)

    async def commit(self) -> None:
        """Keep what the transaction wrote. Raises sqlite3.Error."""
        self._reads = self._is_due = False
        await self.call(self.opened.commit)

    async def call(self, act: Callable[..., T], *arguments: Any) -> T:
        """Return what `act` returns in the connection's thread. Raises what it raises."""
        done: T = await self._execute(act, *arguments)  # type: ignore[no-untyped-call]
        return done

    def call_later(self, act: Callable[[], None]) -> None:
        """Have `act` done in the connection's thread after all that it was given before."""
        self._tx.put_nowait((None, act))


async def connect(path: Path) -> SqliteConnection:
    """Open a connection. Raises sqlite3.Error."""
    # as SQLAlchemy opens files: what nobody closed is finalised by whichever thread collects it
    open_file = partial(sqlite3.connect, path, check_same_thread=False)
    connection = SqliteConnection(open_file, FIRST_ROWS)
    # a process that ends does not wait for a connection that nobody closed
    connection._thread.daemon = True  # noqa: SLF001 - SQLAlchemy's adapter does the same with those that it opens
    await connection
    return connection
