"""Readers and writers on a PostgreSQL server: places for readers, one moment for each, one writer at a time."""

import asyncio

import pytest

from common.errors import Reason, StorageError
from manager.store import postgresql
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.traffic import names
from tests.patience import PATIENCE_S
from tests.postgres import KEK, NEEDED
from tests.unit.store.given import N1, N2, add_nodes

pytestmark = NEEDED


async def test_more_readers_than_connections_wait_for_one_and_are_told_if_none_is_free(store, monkeypatch):
    async with asyncio.TaskGroup() as tasks:
        release, inside = asyncio.Event(), asyncio.Semaphore(0)

        async def hold() -> None:
            async with store._database.read():
                inside.release()
                await release.wait()

        for _ in range(postgresql.POOL_MAX):
            tasks.create_task(hold())
        for _ in range(postgresql.POOL_MAX):
            await inside.acquire()
        with monkeypatch.context() as patched:
            patched.setattr(store._database._pool.pool, "_timeout", 0.2)
            with pytest.raises(StorageError, match="are in use") as caught:
                await store.meta.epoch()
        assert caught.value.reason is Reason.BUSY
        release.set()
    assert await asyncio.gather(*(store.meta.epoch() for _ in range(40))) == [1] * 40


async def test_readers_that_are_cancelled_give_their_connections_back(store):
    for _ in range(postgresql.POOL_MAX * 2):
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02), store._database.read() as connection:
                await connection.exec_driver_sql("SELECT pg_sleep(60)")
    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.gather(*(store.meta.epoch() for _ in range(20))) == [1] * 20


async def test_one_read_sees_one_moment(store):
    await add_nodes(store, N1)
    async with store._database.read() as connection:
        first = await connection.exec_driver_sql("SELECT count(*) FROM node")
        assert first.scalar() == 1
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(add_nodes(store, N2))
        assert (await connection.exec_driver_sql("SELECT count(*) FROM node")).scalar() == 1
    assert await names(store) == [N1, N2]


async def test_nothing_can_be_written_where_only_reading_was_asked_for(store):
    with pytest.raises(StorageError):
        async with store._database.read() as connection:
            await connection.exec_driver_sql("DELETE FROM node")


async def test_two_processes_that_decide_on_the_same_state_do_it_one_after_the_other(store, place):
    """Each reads a number and writes the next one; without the lock before the read, some would write the same."""
    others = [await Store.open(place, Keyring(KEK)) for _ in range(3)]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        for each in (store, *others):
            for _ in range(5):
                tasks.create_task(each.meta.bump_epoch())
    assert await store.meta.epoch() == 21
    for each in others:
        await each.close()
