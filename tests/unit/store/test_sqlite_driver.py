import asyncio
import gc
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from manager.store.sqlite import Sqlite
from manager.store.sqlite_driver import FIRST_ROWS, SqliteConnection, connect
from tests.patience import PATIENCE_S

MANY = 3 * FIRST_ROWS + 7


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[SqliteConnection]:
    connection = await connect(tmp_path / "store.db")
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
def journeys(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What connections have had done in their threads."""
    made: list[str] = []
    travels = SqliteConnection._execute

    async def counted(connection: Any, act: Callable[..., Any], *given: Any, **named: Any) -> Any:
        made.append(act.__name__)
        return await travels(connection, act, *given, **named)

    monkeypatch.setattr(SqliteConnection, "_execute", counted)
    return made


def numbers(count: int) -> str:
    return (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) SELECT i FROM n"
    )


async def test_a_statement_and_its_rows_are_one_journey(opened, journeys):
    cursor = opened.cursor()
    await cursor.execute("SELECT ?, ?", (1, "a"))
    assert (await cursor.fetchall(), [each[0] for each in cursor.description]) == ([(1, "a")], ["?", "?"])
    await cursor.close()
    assert len(journeys) == 1


async def test_who_only_reads_makes_a_journey_for_each_statement_and_none_for_the_transaction(
    tmp_path, journeys
):
    engine = Sqlite(tmp_path / "store.db").connect(patient=False)
    try:
        for _ in range(2):
            journeys.clear()
            async with engine.connect() as connection:
                for _ in range(2):
                    assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
        assert len(journeys) == 2
    finally:
        await engine.dispose()


async def test_statements_of_one_reader_see_one_moment_and_those_of_the_next_another(tmp_path):
    engine = Sqlite(tmp_path / "store.db").connect(patient=False)
    count = text("SELECT count(*) FROM t")
    try:
        async with engine.execution_options(certcast_writes=True).begin() as writer:
            await writer.execute(text("CREATE TABLE t (i INTEGER)"))
        for rows in range(3):
            async with engine.connect() as reader:
                before = (await reader.execute(count)).scalar_one()
                async with engine.execution_options(certcast_writes=True).begin() as writer:
                    await writer.execute(text("INSERT INTO t VALUES (1)"))
                assert (await reader.execute(count)).scalar_one() == before == rows
    finally:
        await engine.dispose()


async def test_who_wrote_waits_for_the_end_and_what_was_undone_is_not_there(tmp_path, journeys):
    engine = Sqlite(tmp_path / "store.db").connect(patient=False)
    writers = engine.execution_options(certcast_writes=True)
    try:
        async with writers.begin() as writer:
            await writer.execute(text("CREATE TABLE t (i INTEGER)"))
        journeys.clear()
        async with writers.connect() as writer:
            await writer.execute(text("INSERT INTO t VALUES (1)"))
        # BEGIN IMMEDIATE, the statement, and its end, after which others may write
        assert len(journeys) == 3
        other = sqlite3.connect(tmp_path / "store.db", timeout=0)
        other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*) FROM t").fetchone() == (0,)
        other.close()
    finally:
        await engine.dispose()


async def test_a_reader_that_asked_nothing_leaves_no_transaction_to_the_next(tmp_path):
    engine = Sqlite(tmp_path / "store.db").connect(patient=False)
    try:
        async with engine.connect() as reader:
            await reader.begin()
        async with engine.execution_options(certcast_writes=True).begin() as writer:
            await writer.execute(text("CREATE TABLE t (i INTEGER)"))
        async with engine.begin() as reader:
            pass
        async with engine.connect() as reader:
            assert (await reader.execute(text("SELECT count(*) FROM t"))).scalar_one() == 0
    finally:
        await engine.dispose()


@pytest.mark.parametrize("count", [0, 1, FIRST_ROWS - 1, FIRST_ROWS, FIRST_ROWS + 1, MANY])
async def test_no_row_is_lost_however_many_there_are(opened, count):
    whole = opened.cursor()
    await whole.execute(numbers(count) + " LIMIT ?", (count,))
    assert [row[0] for row in await whole.fetchall()] == list(range(1, count + 1))
    parts, some = opened.cursor(), []
    await parts.execute(numbers(count) + " LIMIT ?", (count,))
    while found := await parts.fetchmany(300):
        assert len(found) <= 300
        some += found
    assert [row[0] for row in some] == list(range(1, count + 1))
    assert await parts.fetchone() is None
    mixed = opened.cursor()
    await mixed.execute(numbers(MANY))
    assert await mixed.fetchone() == (1,)
    assert len(await mixed.fetchmany(2 * FIRST_ROWS)) == 2 * FIRST_ROWS
    assert len(await mixed.fetchall()) == MANY - 2 * FIRST_ROWS - 1
    for each in (whole, parts, mixed):
        await each.close()


async def test_only_the_first_rows_of_a_large_table_are_read_before_more_are_asked_for(opened):
    read: list[int] = []
    await opened.create_function("seen", 1, read.append)
    cursor = opened.cursor()
    await cursor.execute(f"SELECT seen(i) FROM ({numbers(MANY)})")
    assert len(read) <= FIRST_ROWS + 1
    await cursor.close()
    # a statement that is still open would keep the transaction from its end
    await opened.execute("VACUUM")


async def test_what_fails_is_raised_as_sqlite_says_it_and_leaves_the_connection_usable(opened):
    cursor = opened.cursor()
    await cursor.execute("CREATE TABLE t (i INTEGER PRIMARY KEY)")
    await cursor.executemany("INSERT INTO t VALUES (?)", [(1,), (2,)])
    assert cursor.rowcount == 2
    with pytest.raises(sqlite3.IntegrityError):
        await cursor.execute("INSERT INTO t VALUES (1)")
    with pytest.raises(sqlite3.OperationalError):
        await cursor.execute("SELECT FROM")
    await cursor.execute("INSERT INTO t VALUES (7)")
    assert (cursor.lastrowid, cursor.rowcount, await cursor.fetchall()) == (7, 1, [])


async def test_what_sqlite_has_is_touched_in_one_thread(opened):
    used: set[int] = set()
    await opened.create_function("noted", 0, lambda: used.add(threading.get_ident()))
    for _ in range(3):
        cursor = opened.cursor()
        await cursor.execute("SELECT noted()")
        await cursor.close()
    assert len(used) == 1
    assert threading.get_ident() not in used


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_a_statement_that_is_given_up_keeps_no_lock(tmp_path, is_streamed):
    engine = Sqlite(tmp_path / "store.db").connect(patient=False)
    begun, may_go_on = threading.Event(), threading.Event()

    def wait_in_thread(number: int) -> int:
        if number == (MANY - 5 if is_streamed else 5):
            begun.set()
            may_go_on.wait(PATIENCE_S)
        return number

    async def write(connection: Any) -> None:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS t (i)"))
        raw = await connection.get_raw_connection()
        await raw.driver_connection.create_function("slow", 1, wait_in_thread)
        statement = text(f"SELECT slow(i) FROM ({numbers(MANY)})")
        if is_streamed:
            (await (await connection.stream(statement)).fetchall())
        else:
            await connection.execute(statement)

    async def give_up() -> None:
        async with engine.execution_options(certcast_writes=True).begin() as connection:
            await write(connection)

    gc.disable()
    try:
        task = asyncio.get_running_loop().create_task(give_up())
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.to_thread(begun.wait)
            task.cancel()
            await asyncio.sleep(0)
            may_go_on.set()
            with pytest.raises(asyncio.CancelledError):
                await task
        other = sqlite3.connect(tmp_path / "store.db", timeout=0)
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    other.execute("BEGIN IMMEDIATE")
                    break
                except sqlite3.OperationalError:
                    # what was given up is ended in its own thread
                    await asyncio.sleep(0.01)
        other.close()
    finally:
        may_go_on.set()
        gc.enable()
        await engine.dispose()
