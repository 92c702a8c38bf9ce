"""A PostgreSQL server that is slow, stands still or is restarted: each is told, and it is over when it is over."""

import asyncio
import itertools
import signal
import socket
import sys
import time
from collections.abc import Awaitable
from pathlib import Path

import pytest

from common.codes import Fault
from common.errors import Reason, StorageError
from common.ids import NodeName
from manager.http.health import REMEMBERED_S, Check, Health
from manager.store import connection_pool, postgresql
from manager.store.address import ServerAddress
from manager.store.engine import Database
from manager.store.place import StorePlace
from manager.store.postgresql import Postgresql, StatementLimits
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.traffic import Traffic, names
from tests.patience import PATIENCE_S, ended
from tests.postgres import KEK, NEEDED, ROLE, made_cluster
from tests.unit.store.given import N1, add_nodes

pytestmark = NEEDED

ROOT = Path(__file__).parents[3]


async def test_a_statement_that_takes_too_long_is_ended_and_told(place, monkeypatch):
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=1, answer_s=PATIENCE_S))
    store = await Store.open(place, Keyring(KEK))
    with pytest.raises(StorageError, match="took too long for a statement") as caught:
        async with store._database.read() as connection:
            await connection.exec_driver_sql("SELECT pg_sleep(60)")
    assert caught.value.reason is Reason.TIMEOUT
    await store.check()
    await store.close()


async def test_a_server_that_stands_still_is_told_and_used_again_once_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=1, answer_s=1.0))
    monkeypatch.setattr(connection_pool, "TRY_S", 0.5)
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


async def test_who_looks_while_the_server_stands_still_is_told_so_soon_and_health_too(
    tmp_path, monkeypatch, record_property
):
    """However long the connections at hand might take to be tried, and new ones to be made."""
    monkeypatch.setattr(connection_pool, "TRY_S", PATIENCE_S)
    with made_cluster() as cluster:
        cluster.make_database("c")
        address = ServerAddress.parse(cluster.url("c", query="?connect_timeout=1"))
        store = await Store.create(StorePlace(tmp_path, address), Keyring(KEK))
        await asyncio.gather(*(store.meta.epoch() for _ in range(4)))
        cluster.pause()
        monkeypatch.setattr(postgresql, "READER_WAIT_S", 1.0)
        begun_s = time.monotonic()
        async with asyncio.timeout(PATIENCE_S / 2):
            looked = await asyncio.gather(*(store.nodes.list() for _ in range(30)), return_exceptions=True)
            with pytest.raises(StorageError, match=r"the store has not answered for|did not answer in time"):
                await store.check()
        record_property("30 who looked were told within s", round(time.monotonic() - begun_s, 2))
        assert {(type(each), each.reason) for each in looked} == {(StorageError, Reason.TIMEOUT)}
        cluster.resume()
        monkeypatch.setattr(postgresql, "READER_WAIT_S", PATIENCE_S)
        assert await store.nodes.list() == []
        await store.close()


async def test_who_waits_for_an_answer_already_is_told_by_who_comes_later_and_gets_no_connection(
    tmp_path, monkeypatch
):
    with made_cluster() as cluster:
        cluster.make_database("c")
        address = ServerAddress.parse(cluster.url("c", query="?connect_timeout=1"))
        store = await Store.create(StorePlace(tmp_path, address), Keyring(KEK))
        async with asyncio.timeout(PATIENCE_S / 2), asyncio.TaskGroup() as tasks:
            inside = asyncio.Event()

            async def read() -> None:
                async with store._database.read() as connection:
                    await connection.exec_driver_sql("SELECT 1")
                    inside.set()
                    await connection.exec_driver_sql("SELECT pg_sleep(600)")

            early = tasks.create_task(raised(read()))
            await inside.wait()
            cluster.pause()
            monkeypatch.setattr(postgresql, "READER_WAIT_S", 1.0)
            late = await raised(store.nodes.list())
        assert (late.reason, early.result().reason) == (Reason.TIMEOUT, Reason.TIMEOUT)
        monkeypatch.setattr(postgresql, "READER_WAIT_S", PATIENCE_S)
        cluster.resume()
        assert await store.nodes.list() == []
        await store.close()


async def raised(attempt: Awaitable[object]) -> StorageError:
    with pytest.raises(StorageError) as caught:
        await attempt
    return caught.value


async def test_who_is_not_told_in_time_leaves_the_next_host_to_who_comes_next(
    cluster, store_database, tmp_path, monkeypatch
):
    monkeypatch.setattr(postgresql, "READER_WAIT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = cluster.url(store_database.name, query="?connect_timeout=1")
        both = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{cluster.port}"
        engine = Postgresql(ServerAddress.parse(url.replace(f"127.0.0.1:{cluster.port}", both)))
        database = Database(engine)

        async def look() -> str:
            try:
                async with database.read() as connection:
                    return str((await connection.exec_driver_sql("SELECT 'found'")).scalar())
            except StorageError as error:
                return error.reason

        looked = [await look() for _ in range(3)]
        assert looked[1:] == ["found", "found"]
        assert looked[0] in {"found", Reason.TIMEOUT}
        await database.close()


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


async def test_a_check_says_whether_reading_or_writing_is_what_fails(store, place):
    other = await Store.open(place, Keyring(KEK))
    async with store._database.write():
        with pytest.raises(
            StorageError, match="the store answers, but nothing could be written for 2 s"
        ) as caught:
            await other.check()
    assert caught.value.reason is Reason.BUSY
    await other.check()
    await other.close()


async def test_health_says_that_the_server_stands_still_and_that_it_is_gone(tmp_path):
    with made_cluster() as cluster:
        cluster.make_database("c")
        store = await Store.create(StorePlace(tmp_path, cluster.address("c")), Keyring(KEK))
        times = itertools.count(step=2 * REMEMBERED_S)

        async def probe() -> str:
            await store.check()
            return ""

        health = Health([Check("store", probe)], clock=lambda: next(times))
        assert [each.message for each in await health.check()] == ["ok"]
        cluster.pause()
        assert [each.message for each in await health.check()] == ["the store has not answered for 2 s"]
        cluster.resume()
        cluster.stop()
        (gone,) = await health.check()
        assert gone.message == (
            f"PostgreSQL cannot be reached: 127.0.0.1:{cluster.port}: connection refused; start the server, or correct the host and port"
        )
        cluster.start()
        assert [each.message for each in await health.check()] == ["ok"]
        await store.close()


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


async def test_an_audit_log_that_cannot_be_read_now_is_not_told_as_one_without_its_key(tmp_path):
    with made_cluster() as cluster:
        cluster.make_database("c")
        store = await Store.create(StorePlace(tmp_path, cluster.address("c")), Keyring(KEK))
        cluster.stop()
        with pytest.raises(StorageError) as caught:
            await store.audit.verify()
        assert caught.value.reason is Reason.UNREACHABLE
        cluster.start()
        assert (await store.audit.verify()).fault is Fault.NONE
        await store.close()
