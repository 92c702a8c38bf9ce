"""A manager that serves a store in PostgreSQL says so for as long as it does, over restarts of the server."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from common.codes import Fault
from common.errors import ConflictError
from common.ids import MANAGEMENT_NODE, NodeName
from manager.store import serving as serving_module
from manager.store.claims import SERVING_LOCK, OpenConnection
from manager.store.copying import ignore_progress
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.serving import ServingClaim
from manager.store.store import Store, engine_of
from manager.store.transfer import transfer
from tests.patience import PATIENCE_S
from tests.postgres import KEK, Cluster

pytestmark = pytest.mark.services("postgres", "root")

HELD = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {SERVING_LOCK} AND granted"


async def until_held(cluster: Cluster, database: str, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if int(await asyncio.to_thread(cluster.sql, HELD, database=database)) == count:
                return
            await asyncio.sleep(0.05)


async def test_a_store_that_managers_serve_is_copied_by_a_backup_and_not_moved_until_the_last_has_stopped(
    cluster, store_database, tmp_path: Path
):
    place = StorePlace(tmp_path, store_database)
    async with ServingClaim(place, NodeName("management-2")):
        async with ServingClaim(place, MANAGEMENT_NODE):
            await until_held(cluster, store_database.name, 2)
        await until_held(cluster, store_database.name, 1)
        with pytest.raises(ConflictError, match="stop every manager that serves it first"):
            await transfer(
                place, StorePlace(tmp_path / "moved", None), Keyring(KEK), alone=True, report=ignore_progress
            )
        assert not (tmp_path / "moved").exists()
        await transfer(
            place, StorePlace(tmp_path / "backup", None), Keyring(KEK), alone=False, report=ignore_progress
        )
    await until_held(cluster, store_database.name, 0)
    await transfer(
        place, StorePlace(tmp_path / "moved", None), Keyring(KEK), alone=True, report=ignore_progress
    )


async def test_a_second_process_does_not_serve_as_the_same_manager(cluster, store_database, tmp_path: Path):
    place = StorePlace(tmp_path, store_database)
    async with ServingClaim(place, NodeName("management-2")):
        with pytest.raises(ConflictError, match="is served as manager 'management-2' already"):
            await ServingClaim(place, NodeName("management-2")).__aenter__()
        await until_held(cluster, store_database.name, 1)
    async with ServingClaim(place, NodeName("management-2")):
        await until_held(cluster, store_database.name, 1)


async def test_a_backup_that_is_made_while_ids_are_given_is_of_one_moment_and_usable(
    cluster, store_database, tmp_path: Path
):
    """PostgreSQL shows in every transaction at once which ids were given, also in one that sees only what was there before."""
    place, backup = StorePlace(tmp_path, store_database), StorePlace(tmp_path / "backup", None)
    store = await Store.open(place, Keyring(KEK))
    await record(store)

    def give_an_id(_progress: object) -> None:
        # in the way of no lock: it is given whether the entry is kept or not
        cluster.sql(
            "SELECT nextval(pg_get_serial_sequence('audit', 'id')), nextval(pg_get_serial_sequence('node', 'id'))",
            database=store_database.name,
        )

    made = await transfer(place, backup, Keyring(KEK), alone=False, report=give_an_id)
    assert (made.audit.fault, made.audit.count) == (Fault.NONE, 1)
    await record(store)
    assert (await store.audit.verify()).count == 2
    await store.close()
    copied = await Store.open(backup, Keyring(KEK))
    await record(copied)
    found = await copied.audit.verify()
    assert (found.fault, found.count) == (Fault.NONE, 2)
    await copied.close()


async def record(store: Store) -> None:
    await store.audit.append(at_s=1.0, actor="ann", action="test.done", subject="x", detail={})


async def test_a_connection_that_rests_is_not_ended_whatever_the_role_is_told(
    cluster, store_database, tmp_path: Path
):
    cluster.sql(f'ALTER DATABASE "{store_database.name}" SET idle_session_timeout = 60000')
    place = StorePlace(tmp_path, store_database)
    store = await Store.open(place, Keyring(KEK))
    async with ServingClaim(place, MANAGEMENT_NODE) as serving, store._database.read() as connection:
        claim = serving._claim
        assert isinstance(claim, OpenConnection)
        assert await claim._connection.fetchval("SHOW idle_session_timeout") == "0"
        assert (await connection.exec_driver_sql("SHOW idle_session_timeout")).scalar() == "0"
    await store.close()


async def test_a_store_that_is_moved_is_not_served(cluster, store_database, tmp_path: Path):
    place = StorePlace(tmp_path, store_database)
    tried = []

    def serve(_progress: object) -> None:
        taken = cluster.sql(
            f"SELECT pg_try_advisory_lock_shared({SERVING_LOCK})", database=store_database.name
        )
        tried.append(taken)

    await transfer(place, StorePlace(tmp_path / "moved", None), Keyring(KEK), alone=True, report=serve)
    assert set(tried) == {"f"}


async def test_a_store_that_is_copied_says_so_to_who_would_serve_it(cluster, store_database, tmp_path: Path):
    place = StorePlace(tmp_path, store_database)
    async with (
        engine_of(place).claim(None),
        asyncio.timeout(PATIENCE_S),
    ):
        with pytest.raises(
            ConflictError, match="is being copied to another place, or a manager of an earlier release"
        ):
            await ServingClaim(place, MANAGEMENT_NODE).__aenter__()


async def test_a_claim_that_was_lost_with_its_connection_is_made_again(
    cluster, store_database, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(serving_module, "AGAIN_S", 0.05)
    place = StorePlace(tmp_path, store_database)
    name = store_database.name
    async with ServingClaim(place, MANAGEMENT_NODE) as serving, asyncio.TaskGroup() as group:
        keeping = group.create_task(serving.run())
        await until_held(cluster, name, 1)
        cluster.sql(f'ALTER DATABASE "{name}" CONNECTION LIMIT 0')
        await end_connections(cluster, name)
        await until_held(cluster, name, 0)
        cluster.sql(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1')
        await until_held(cluster, name, 1)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping


async def test_a_claim_that_was_lost_is_not_made_again_while_the_store_is_copied_and_why_is_said(
    cluster, store_database, tmp_path: Path
):
    place = StorePlace(tmp_path, store_database)
    async with ServingClaim(place, MANAGEMENT_NODE) as serving:
        await end_connections(cluster, store_database.name)
        await until_held(cluster, store_database.name, 0)
        async with engine_of(place).claim(None), asyncio.timeout(PATIENCE_S):
            assert "that was being copied to another place" in await serving.run()


async def test_a_claim_that_another_process_has_made_meanwhile_is_given_up_after_a_while(
    cluster, store_database, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(serving_module, "AGAIN_S", 0.05)
    monkeypatch.setattr(serving_module, "OWN_S", 0.5)
    place = StorePlace(tmp_path, store_database)
    async with ServingClaim(place, MANAGEMENT_NODE) as serving:
        await end_connections(cluster, store_database.name)
        await until_held(cluster, store_database.name, 0)
        async with ServingClaim(place, MANAGEMENT_NODE) as other, asyncio.timeout(PATIENCE_S):
            assert "is served as manager 'management' already" in await serving.run()
            assert other._claim is not None


async def test_a_store_is_not_moved_while_a_manager_that_lost_its_claim_still_has_its_lease(
    cluster, store_database, tmp_path: Path
):
    place = StorePlace(tmp_path, store_database)
    store = await Store.open(place, Keyring(KEK))
    member = await store.members.join(NodeName("management-2"))

    async def move() -> None:
        await transfer(
            place, StorePlace(tmp_path / "moved", None), Keyring(KEK), alone=True, report=ignore_progress
        )

    with pytest.raises(
        ConflictError, match=r"'management-2' served .* and did not say that it ended: stop it"
    ):
        await move()
    assert not (tmp_path / "moved").exists()
    cluster.sql("UPDATE member SET renewed_s = renewed_s - 100", database=store_database.name)
    await move()
    assert await store.members.list()
    await store.members.leave(member)
    await store.close()


async def end_connections(cluster: Cluster, name: str) -> None:
    ended = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    await asyncio.to_thread(cluster.sql, ended)
