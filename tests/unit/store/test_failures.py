import asyncio
import contextlib
import errno
import sqlite3
import traceback
from pathlib import Path

import pytest
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from common.errors import ConflictError, Reason, StorageError
from manager.store import sqlite
from manager.store.engine import Database
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sqlite import Sqlite
from manager.store.store import Store
from manager.store.tables.content import assignment, meta, node, user
from tests.patience import PATIENCE_S
from tests.unit.store.given import N1, N2, add_nodes


def operational(text: str) -> OperationalError:
    return OperationalError("SELECT", {}, sqlite3.OperationalError(text))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (operational("database or disk is full"), Reason.NO_SPACE),
        (OSError(errno.ENOSPC, "No space left on device"), Reason.NO_SPACE),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), Reason.NO_SPACE),
        (operational("database is locked"), Reason.BUSY),
        (operational("attempt to write a readonly database"), Reason.STORAGE),
        (operational("disk I/O error"), Reason.STORAGE),
        (OSError(errno.EIO, "Input/output error"), Reason.STORAGE),
    ],
)
def test_a_foreign_error_becomes_ours_with_its_reason(error, reason):
    ours = Database(Sqlite(Path("none")))._translated(error)
    assert isinstance(ours, StorageError)
    assert ours.reason == reason


def test_an_error_that_quotes_a_value_is_told_by_its_kind_only():
    ours = Database(Sqlite(Path("none")))._translated(
        DataError("INSERT", {}, ValueError("invalid input for query argument $1: 'hunter2'"))
    )
    assert "hunter2" not in ours.message
    assert "ValueError" in ours.message


async def test_no_value_shows_in_an_error_or_in_those_beneath_it(store):
    await add_nodes(store, N1)
    # put together here, because a trace shows source lines
    hidden = "hunter" + str(2)

    async def insert_twice() -> None:
        async with store._database.write() as connection:
            for _ in range(2):
                values = {"name": "ann", "role": "operator", "password_hash": hidden, "created_s": 1.0}
                await connection.execute(user.insert().values(values))

    with pytest.raises(ConflictError) as caught:
        await insert_twice()
    assert hidden not in "".join(traceback.format_exception(caught.value))


async def test_a_block_that_raises_undoes_what_it_did(store):
    async def insert_and_fail() -> None:
        async with store._database.write() as connection:
            await connection.execute(meta.insert().values(name="x", value=b""))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await insert_and_fail()
    async with store._database.read() as connection:
        assert (await connection.execute(meta.select().where(meta.c.name == "x"))).first() is None


async def test_a_statement_that_failed_undoes_the_change_even_if_its_error_was_caught(store):
    async def insert_and_go_on() -> None:
        async with store._database.write() as connection:
            await connection.execute(meta.insert().values(name="x", value=b""))
            with contextlib.suppress(IntegrityError):
                await connection.execute(meta.insert().values(name="x", value=b""))

    with pytest.raises(StorageError, match="none of it was kept") as caught:
        await insert_and_go_on()
    assert isinstance(caught.value.__cause__, Exception)
    assert await store.meta.get("x") is None
    await add_nodes(store, N1)


async def test_what_failed_within_a_savepoint_leaves_the_rest(store):
    async with store._database.write() as connection:
        await connection.execute(meta.insert().values(name="value:x", value=b"1"))
        with contextlib.suppress(IntegrityError):
            async with connection.begin_nested():
                await connection.execute(meta.insert().values(name="value:x", value=b"2"))
        await connection.execute(meta.insert().values(name="value:y", value=b"3"))
    assert (await store.meta.get("x"), await store.meta.get("y")) == (b"1", b"3")


async def test_a_writer_that_is_cancelled_leaves_nothing_and_the_next_one_writes(store):
    inside = asyncio.Event()

    async def write_and_wait() -> None:
        async with store._database.write() as connection:
            await connection.execute(meta.insert().values(name="x", value=b""))
            inside.set()
            await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(write_and_wait())
        await inside.wait()
        task.cancel()
    await add_nodes(store, N1)
    async with store._database.read() as connection:
        assert (await connection.execute(meta.select().where(meta.c.name == "x"))).first() is None


async def test_readers_do_not_wait_for_a_writer_and_see_what_was_before(store):
    await add_nodes(store, N1)
    async with store._database.write() as connection:
        await connection.execute(node.delete())
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(store.nodes.list())
    assert [record.name for record in reading.result()] == [N1]
    assert await store.nodes.list() == []


async def test_one_read_sees_one_moment(local):
    await add_nodes(local, N1)
    async with local._database.read() as connection:
        assert len((await connection.execute(node.select())).all()) == 1
        await add_nodes(local, N2)
        assert len((await connection.execute(node.select())).all()) == 1
    assert len(await local.nodes.list()) == 2


async def test_writers_of_one_process_wait_for_each_other_however_long(directory, keyring, monkeypatch):
    monkeypatch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, "busy_timeout=0"))
    made = await Store.create(StorePlace(directory, None), keyring)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks, made._database.write():
        tasks.create_task(add_nodes(made, N1))
        # the reads give the other writer its turns
        for _ in range(20):
            assert await made.nodes.list() == []
    assert [record.name for record in await made.nodes.list()] == [N1]
    await made.close()


async def test_a_store_that_another_process_holds_is_busy(directory, keyring, monkeypatch):
    monkeypatch.setattr(sqlite, "PRAGMAS", (*sqlite.PRAGMAS, "busy_timeout=20"))
    held = await Store.create(StorePlace(directory, None), keyring)
    other = await Store.open(StorePlace(directory, None), keyring)
    async with held._database.write():
        with pytest.raises(StorageError) as caught:
            await add_nodes(other, N1)
        assert await other.nodes.list() == []
    assert caught.value.reason is Reason.BUSY
    await add_nodes(other, N1)
    await held.close()
    await other.close()


async def test_a_row_that_refers_to_nothing_is_refused(store):
    with pytest.raises(ConflictError):
        async with store._database.write() as connection:
            await connection.execute(
                assignment.insert().values(node_id=998, slot="server", certificate_id=999)
            )


async def test_a_store_that_works_passes_its_check(store):
    await store.check()
    await store.check()


async def test_a_store_that_can_only_be_read_fails_its_check_and_still_answers(directory, keyring):
    made = await Store.create(StorePlace(directory, None), keyring)
    await add_nodes(made, N1)
    async with made._database.write() as connection:
        await connection.exec_driver_sql("PRAGMA query_only=ON")
    with pytest.raises(StorageError, match="read-only"):
        await made.check()
    assert await made.nodes.get(N1)
    await made.close()


async def test_a_store_whose_file_was_damaged_fails_its_check(directory, keyring):
    made = await Store.create(StorePlace(directory, None), keyring)
    await add_nodes(made, N1)
    await made.close()
    damaged = bytearray((directory / DATABASE_FILE).read_bytes())
    damaged[4096:] = b"\xff" * (len(damaged) - 4096)
    (directory / DATABASE_FILE).write_bytes(bytes(damaged))
    with pytest.raises(StorageError):
        await (await Store.open(StorePlace(directory, None), keyring)).check()
