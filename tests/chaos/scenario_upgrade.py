"""Managers are brought to another release one after the other, while nodes are pushed to: the store's schema is one version apart meanwhile."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from alembic import command

from demo.site import BIN
from manager.store.claims import SERVING_LOCK
from manager.store.place import StorePlace
from manager.store.sealing import create_kek, load_keyring
from manager.store.store import Store
from tests.chaos.machines import Machine, python_entry
from tests.chaos.next_release import DIRECTORY, make, newest
from tests.chaos.stage import Stage, on_stage
from tests.patience import PATIENCE_S, ended
from tests.postgres import NEEDED

pytestmark = [
    NEEDED,
    pytest.mark.services("nginx", "postgres", "root"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]

SIMULATED = 27
FORMER = "0015"
"""The last schema of a release whose manager serves alone."""


@asynccontextmanager
async def changing(stage: Stage, tasks: asyncio.TaskGroup) -> AsyncIterator[list[Machine]]:
    """Let a client give all nodes something new again and again, at the managers that are in the list meanwhile; it waits for its last answer."""
    asked, over = list(stage.machines), asyncio.Event()

    async def change() -> None:
        while not over.is_set():
            for each in [*asked]:
                if each in asked:
                    await stage.upload(each, stage.nodes)
            await asyncio.sleep(0.5)

    task = tasks.create_task(change())
    yield asked
    over.set()
    async with asyncio.timeout(4 * PATIENCE_S):
        await task


async def test_managers_are_brought_to_the_next_release_one_after_the_other_and_nobody_is_refused(
    tmp_path, monkeypatch
):
    revision = make(tmp_path / "migrations", beside=newest())
    monkeypatch.setenv(DIRECTORY, str(tmp_path / "migrations"))
    async with on_stage(simulated=SIMULATED, real=1) as stage, asyncio.TaskGroup() as tasks:
        async with changing(stage, tasks) as asked:
            for each in stage.machines:
                asked.remove(each)
                # a client that was asking it goes on until it is answered
                await each.stop()
                each.entry = python_entry("tests.chaos.next_release")
                await each.serve()
                await each.until_ready(stage.session)
                asked.append(each)
                if each is stage.machines[0]:
                    # one that has not been upgraded yet may be lost, and comes back as it was
                    other = stage.machines[1]
                    asked.remove(other)
                    await other.kill()
                    await other.serve()
                    await other.until_ready(stage.session)
                    asked.append(other)
        assert await stage.servers.sql("SELECT version_num FROM alembic_version") == revision
        change = await stage.upload(stage.machines[0], stage.nodes)
        await stage.until_served(change)
        assert await stage.check() == []
        assert sum(each.answer == "acknowledged" for each in stage.history.changes) > 3
        # a client that finds nobody there goes on to the next manager, as behind a load balancer
        assert stage.refusals == []


async def test_a_manager_of_the_former_release_that_serves_keeps_this_one_from_changing_its_store(
    cluster, database, tmp_path, monkeypatch
):
    """It holds the lock alone, as managers did before several could serve: its schema is left as it is until it has stopped."""
    to_head = command.upgrade
    create_kek(tmp_path)
    keyring, place = load_keyring(tmp_path), StorePlace(tmp_path, database)
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, FORMER))
        await (await Store.create(place, keyring)).close()
    schema = "SELECT version_num FROM alembic_version"

    async def started() -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(BIN / "certcast-manager", "serve", "--data", str(tmp_path)),
            *("--https", "127.0.0.1:0", "--ssh", "127.0.0.1:0"),
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "CERTCAST_MANAGER_DATABASE": cluster.url(database.name)},
        )
        async with asyncio.timeout(PATIENCE_S):
            _, said = await process.communicate()
        return await ended(process), said.decode()

    former = await asyncpg.connect(cluster.url(database.name))
    assert await former.fetchval("SELECT pg_try_advisory_lock($1)", SERVING_LOCK)
    status, said = await started()
    assert status != 0
    assert "or a manager of an earlier release serves it, beside which none can" in said
    assert cluster.sql(schema, database=database.name) == FORMER
    await former.close()
    await (await Store.open(place, keyring)).close()
    assert cluster.sql(schema, database=database.name) == newest()
