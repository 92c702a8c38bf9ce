"""A PostgreSQL server that is killed, runs out of disk or is replaced by its replica: what was acknowledged is there, and the next write works."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from common.errors import Reason, StorageError
from common.ids import NodeName
from manager.store import postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.postgresql import StatementLimits
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.traffic import Traffic
from tests.patience import PATIENCE_S
from tests.postgres import KEK, PASSWORD, ROLE, Cluster, made_cluster, made_root
from tests.unit.store.given import add_nodes

pytestmark = pytest.mark.services("postgres", "root", "mount", "umount")

DURABLE = {"fsync": "on", "full_page_writes": "on"}
BODY = os.urandom(64 * 1024)
DISK_BYTES = 120 * 1024 * 1024


async def test_what_was_acknowledged_before_a_server_was_killed_is_there_after_it(tmp_path, record_property):
    with made_cluster(DURABLE) as cluster:
        cluster.make_database("c")
        store = await Store.create(StorePlace(tmp_path, cluster.address("c")), Keyring(KEK))
        # a role's default must not weaken what is acknowledged
        cluster.sql(f"ALTER ROLE {ROLE} SET synchronous_commit = off")
        traffic = Traffic(store)
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            for which in ("a", "b"):
                tasks.create_task(traffic.write(which))
            for _ in range(3):
                await traffic.more(10)
                await asyncio.to_thread(cluster.kill)
                await asyncio.to_thread(cluster.start)
            await traffic.more(10)
            traffic.is_over = True
        await traffic.check_whole()
        record_property("kept, told", (len(traffic.acknowledged), len(traffic.told)))
        await store.close()


def mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], check=False, timeout=PATIENCE_S).returncode


@pytest.fixture
def small() -> Iterator[Path]:
    with made_root() as root:
        if mount("-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(root)):
            pytest.skip("no tmpfs can be mounted here")
        try:
            yield root
        finally:
            subprocess.run(["umount", "-l", str(root)], check=True, timeout=PATIENCE_S)


async def test_a_server_whose_disk_is_full_says_so_still_answers_and_then_writes_again(small, tmp_path):
    cluster = Cluster(
        small, {**DURABLE, "fsync": "off", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    ).make()
    try:
        cluster.make_database("c")
        store = await Store.create(StorePlace(tmp_path, cluster.address("c")), Keyring(KEK))
        # the log has its room already: what is full is where the tables grow
        cluster.sql("SELECT pg_switch_wal(); CHECKPOINT")
        filler = small / "filler"
        with filler.open("wb") as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(65536))
                file.flush()
        os.truncate(filler, filler.stat().st_size - 1024 * 1024)
        kept = 0

        async def keep_all() -> None:
            nonlocal kept
            for _ in range(1000):
                await store.meta.secret_set(f"s{kept}", BODY)
                kept += 1

        with pytest.raises(
            StorageError, match=r"the disk of PostgreSQL at .* is full; free space there"
        ) as caught:
            await keep_all()
        assert caught.value.reason is Reason.NO_SPACE
        assert [await store.meta.secret_get(f"s{number}") for number in range(kept)] == [BODY] * kept
        filler.unlink()
        await store.meta.secret_set("after", BODY)
        await store.check()
        await store.close()
    finally:
        cluster.stop()


async def test_what_was_acknowledged_is_there_once_a_replica_was_promoted(tmp_path, monkeypatch):
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=20, answer_s=3.0))
    with made_cluster() as primary, made_root() as root:
        primary.make_database("c")
        replica = primary.replica(root)
        try:
            primary.settings["synchronous_standby_names"] = "replica"
            primary.settings["synchronous_commit"] = "on"
            primary.restart()
            url = f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@127.0.0.1:{replica.port},127.0.0.1:{primary.port}/c?connect_timeout=2"
            place = StorePlace(tmp_path, ServerAddress.parse(url))
            # the first host is a replica now: it is passed over
            store = await Store.create(place, Keyring(KEK))
            traffic = Traffic(store)
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
                for which in ("a", "b"):
                    tasks.create_task(traffic.write(which))
                await traffic.more(20)
                # nobody is told that it is gone: it stands still, and so do its connections
                await asyncio.to_thread(primary.pause)
                await asyncio.to_thread(replica.promote)
                await traffic.more(20)
                traffic.is_over = True
            await traffic.check_whole()
            await add_nodes(store, NodeName("after"))
            await store.close()
        finally:
            replica.stop()


async def test_a_replica_alone_is_not_written_to_and_says_so(tmp_path):
    with made_cluster() as primary, made_root() as root:
        primary.make_database("c")
        replica = primary.replica(root)
        try:
            with pytest.raises(StorageError, match="it is a replica, which takes no writes") as caught:
                await Store.open(StorePlace(tmp_path, replica.address("c")), Keyring(KEK))
        finally:
            replica.stop()
    assert caught.value.reason is Reason.UNREACHABLE
