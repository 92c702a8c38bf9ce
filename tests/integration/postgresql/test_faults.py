"""A PostgreSQL server that is slow, stands still, is restarted or loses its connections: each is told, nothing is run twice, and it is over when it is over."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.errors import Reason, StorageError
from common.ids import NodeName
from manager.store import postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.postgresql import Limits
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.lossy_tcp import LossyTcp
from tests.fakes.traffic import Traffic, names
from tests.patience import PATIENCE_S, ended
from tests.postgres import KEK, NEEDED, ROLE, made_cluster
from tests.unit.store.given import N1, N2, add_nodes

pytestmark = NEEDED

ROOT = Path(__file__).parents[3]


@pytest.fixture
def place(store_database: ServerAddress, tmp_path: Path) -> StorePlace:
    return StorePlace(tmp_path, store_database)


@pytest.fixture
async def store(place: StorePlace) -> AsyncIterator[Store]:
    made = await Store.open(place, Keyring(KEK))
    yield made
    await made.close()


@asynccontextmanager
async def through(proxy: LossyTcp, cluster, name: str, directory: Path) -> AsyncIterator[Store]:
    address = ServerAddress.parse(cluster.url(name, port=proxy.port, query="?connect_timeout=1"))
    made = await Store.open(StorePlace(directory, address), Keyring(KEK))
    try:
        yield made
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await made.close()


async def test_a_statement_that_takes_too_long_is_ended_and_told(place, monkeypatch):
    monkeypatch.setattr(postgresql, "LIMITS", Limits(statement_s=1, answer_s=PATIENCE_S))
    store = await Store.open(place, Keyring(KEK))
    with pytest.raises(StorageError, match="took too long for a statement") as caught:
        async with store._database.read() as connection:
            await connection.exec_driver_sql("SELECT pg_sleep(60)")
    assert caught.value.reason is Reason.TIMEOUT
    await store.check()
    await store.close()


async def test_a_server_that_stands_still_is_told_and_used_again_once_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(postgresql, "LIMITS", Limits(statement_s=1, answer_s=1.0))
    monkeypatch.setattr(postgresql, "TRY_S", 0.5)
    monkeypatch.setattr(postgresql, "IDLE_TRUST_S", 0.0)
    with made_cluster() as cluster:
        cluster.make_database("c")
        address = ServerAddress.parse(cluster.url("c", query="?connect_timeout=1"))
        store = await Store.create(StorePlace(tmp_path, address), Keyring(KEK))
        await add_nodes(store, N1)
        cluster.pause()
        async with asyncio.timeout(PATIENCE_S):
            for attempt in (store.nodes.list, store.check):
                with pytest.raises(StorageError) as caught:
                    await attempt()
                assert caught.value.reason is Reason.TIMEOUT
        cluster.resume()
        await store.check()
        assert await names(store) == [N1]
        await store.close()


async def test_a_writer_that_another_one_holds_up_is_told_who_is_free_to_try_again(store, place, monkeypatch):
    monkeypatch.setattr(postgresql, "LOCK_WAIT_S", 1)
    other = await Store.open(place, Keyring(KEK))
    async with store._database.write():
        with pytest.raises(StorageError, match="another process has held the store") as caught:
            await add_nodes(other, N1)
        assert await names(other) == []
    assert caught.value.reason is Reason.BUSY
    await add_nodes(other, N1)
    await other.close()


async def test_a_manager_that_was_stopped_while_it_wrote_loses_its_place_and_what_it_wrote(
    store_database, tmp_path
):
    """The other process is stopped with SIGSTOP within a transaction; a writer here goes on before its own patience ends."""
    host = store_database.hosts[0]
    url = f"postgresql://{ROLE}@:{host.port}/{store_database.name}?host={host.name}"
    command = [
        sys.executable,
        "-m",
        "tests.integration.postgresql.slow_writer",
        url,
        str(tmp_path),
        KEK.hex(),
    ]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=pipe, stdout=pipe)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            assert await process.stdout.readline() == b"inside\n"
            process.send_signal(signal.SIGSTOP)
            store = await Store.open(StorePlace(tmp_path, store_database), Keyring(KEK))
            await add_nodes(store, NodeName("n3"))
            process.send_signal(signal.SIGCONT)
            process.stdin.write(b"go on\n")
            told = (await process.stdout.readline()).decode()
    finally:
        process.kill()
        await ended(process)
    assert told.startswith(("busy ", "unreachable ")), told
    assert await names(store) == ["n3"]
    await store.close()


async def test_a_server_that_was_restarted_costs_nobody_an_error(tmp_path):
    with made_cluster() as cluster:
        cluster.make_database("c")
        store = await Store.create(StorePlace(tmp_path, cluster.address("c")), Keyring(KEK))
        await asyncio.gather(*(store.meta.epoch() for _ in range(8)))
        for turn in range(3):
            await asyncio.to_thread(cluster.restart)
            await asyncio.gather(*(store.meta.epoch() for _ in range(8)))
            await add_nodes(store, NodeName(f"n{turn}"))
        assert len(await names(store)) == 3
        await store.close()


async def test_what_was_acknowledged_while_a_server_is_restarted_again_and_again_is_there(
    tmp_path, record_property
):
    with made_cluster() as cluster:
        cluster.make_database("c")
        store = await Store.create(StorePlace(tmp_path, cluster.address("c")), Keyring(KEK))
        traffic = Traffic(store)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            for which in ("a", "b"):
                tasks.create_task(traffic.write(which))
            tasks.create_task(traffic.read())
            for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGINT):
                await traffic.more(20)
                await asyncio.to_thread(cluster.stop, how)
                await asyncio.to_thread(cluster.start)
            await traffic.more(20)
            traffic.is_over = True
        await traffic.check_whole()
        reasons = [error.reason for error in traffic.told]
        assert set(reasons) <= {Reason.UNREACHABLE, Reason.OUTCOME_UNKNOWN}, {
            str(each) for each in traffic.told
        }
        record_property("kept, told", (len(traffic.acknowledged), len(reasons)))
        await store.close()


async def test_a_commit_whose_answer_is_lost_is_told_as_unknown_and_was_kept_once(
    cluster, store_database, tmp_path
):
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):
        effects: list[str] = []
        proxy.loses_answer = lambda sent: sent.endswith(b"COMMIT;\0")

        async def change() -> None:
            async with store.transaction():
                await add_nodes(store, N1)
                store.after_commit(lambda: effects.append("done"))

        with pytest.raises(StorageError, match="whether it was kept is not known") as caught:
            await change()
        assert caught.value.reason is Reason.OUTCOME_UNKNOWN
        assert (proxy.lost, effects) == (1, [])
        proxy.loses_answer = lambda _sent: False
        assert await names(store) == [N1]
        await add_nodes(store, N2)


async def test_a_commit_that_is_lost_is_told_as_unknown_and_was_not_kept(cluster, store_database, tmp_path):
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):
        proxy.loses_question = lambda sent: sent.endswith(b"COMMIT;\0")
        with pytest.raises(StorageError, match="whether it was kept is not known") as caught:
            await add_nodes(store, N1)
        assert caught.value.reason is Reason.OUTCOME_UNKNOWN
        proxy.loses_question = lambda _sent: False
        assert await names(store) == []


async def test_a_commit_that_is_never_answered_is_told_as_unknown(
    cluster, store_database, tmp_path, monkeypatch
):
    monkeypatch.setattr(postgresql, "LIMITS", Limits(statement_s=20, answer_s=1.0))
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):

        def silence(sent: bytes) -> bool:
            proxy.is_silent = sent.endswith(b"COMMIT;\0")
            return False

        proxy.loses_answer = silence
        with pytest.raises(StorageError, match="whether it was kept is not known") as caught:
            async with asyncio.timeout(PATIENCE_S):
                await add_nodes(store, N1)
        assert caught.value.reason is Reason.OUTCOME_UNKNOWN
        proxy.is_silent, proxy.loses_answer = False, lambda _sent: False
        await store.check()


async def test_a_statement_whose_answer_is_lost_changed_nothing_and_says_so(
    cluster, store_database, tmp_path
):
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):
        proxy.loses_answer = lambda sent: b"INSERT INTO node" in sent
        with pytest.raises(StorageError, match="was lost; nothing was changed") as caught:
            await add_nodes(store, N1)
        assert caught.value.reason is Reason.UNREACHABLE
        proxy.loses_answer = lambda _sent: False
        assert await names(store) == []


async def test_connections_that_lead_nowhere_are_given_up_and_made_anew(
    cluster, store_database, tmp_path, monkeypatch
):
    monkeypatch.setattr(postgresql, "LIMITS", Limits(statement_s=20, answer_s=1.0))
    monkeypatch.setattr(postgresql, "TRY_S", 0.5)
    monkeypatch.setattr(postgresql, "IDLE_TRUST_S", 0.0)
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):
        await asyncio.gather(*(store.meta.epoch() for _ in range(4)))
        proxy.is_silent = True
        async with asyncio.timeout(PATIENCE_S):
            answers = await asyncio.gather(
                *(store.meta.epoch() for _ in range(12)), add_nodes(store, N1), return_exceptions=True
            )
        assert {type(each) for each in answers} == {StorageError}
        assert {each.reason for each in answers} <= {Reason.TIMEOUT, Reason.BUSY}
        proxy.is_silent = False
        assert await asyncio.gather(*(store.meta.epoch() for _ in range(12))) == [1] * 12
        assert await names(store) == []


async def test_connections_that_were_cut_while_they_rested_cost_nobody_an_error(
    cluster, store_database, tmp_path, monkeypatch
):
    monkeypatch.setattr(postgresql, "IDLE_TRUST_S", 0.0)
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):
        await asyncio.gather(*(store.meta.epoch() for _ in range(4)))
        proxy.cut()
        assert await asyncio.gather(*(store.meta.epoch() for _ in range(12))) == [1] * 12


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
