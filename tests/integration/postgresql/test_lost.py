"""Connections that are cut or lead nowhere: what is not known is said to be unknown, and nothing is run twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.codes import Role
from common.errors import Reason, StorageError
from manager.store import connection_pool, postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.postgresql import StatementLimits
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.lossy_tcp import LossyTcp
from tests.fakes.traffic import names
from tests.patience import PATIENCE_S
from tests.postgres import KEK, NEEDED
from tests.unit.store.given import N1, N2, add_nodes

pytestmark = NEEDED


@asynccontextmanager
async def through(proxy: LossyTcp, cluster, name: str, directory: Path) -> AsyncIterator[Store]:
    address = ServerAddress.parse(cluster.url(name, port=proxy.port, query="?connect_timeout=1"))
    made = await Store.open(StorePlace(directory, address), Keyring(KEK))
    try:
        yield made
    finally:
        async with asyncio.timeout(PATIENCE_S):
            await made.close()


async def test_a_change_that_no_replica_confirmed_in_time_is_not_told_as_kept(
    cluster, store_database, tmp_path, monkeypatch
):
    """No statement's timeout ends the server's waiting, after which it would say success: a replica that takes over need not have the change."""
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=1, answer_s=5.0))
    store = await Store.open(StorePlace(tmp_path, store_database), Keyring(KEK))
    effects: list[str] = []

    async def change() -> None:
        async with store.transaction():
            await add_nodes(store, N1)
            store.after_commit(lambda: effects.append("done"))

    await names(store)
    cluster.sql("ALTER SYSTEM SET synchronous_standby_names = 'away'")
    cluster.sql("SELECT pg_reload_conf()")
    try:
        with pytest.raises(StorageError, match="whether it was kept is not known") as caught:
            await change()
    finally:
        cluster.sql("ALTER SYSTEM RESET synchronous_standby_names")
        cluster.sql("SELECT pg_reload_conf()")
    assert (caught.value.reason, effects) == (Reason.OUTCOME_UNKNOWN, [])
    assert await names(store) == [N1]
    await add_nodes(store, N2)
    assert await names(store) == [N1, N2]
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


async def test_who_lost_a_right_in_a_commit_whose_answer_was_lost_is_asked_again(
    cluster, store_database, tmp_path
):
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):
        await store.users.add("ann", Role.OPERATOR, password_hash="", now_s=1.0)
        before = store.rights_revision
        proxy.loses_answer = lambda sent: sent.endswith(b"COMMIT;\0")
        with pytest.raises(StorageError, match="whether it was kept is not known"):
            await store.users.remove("ann")
        assert store.rights_revision > before
        proxy.loses_answer = lambda _sent: False
        assert await store.users.list() == []


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
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=20, answer_s=1.0))
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
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=20, answer_s=1.0))
    monkeypatch.setattr(connection_pool, "TRY_S", 0.5)
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
    cluster, store_database, tmp_path
):
    async with (
        LossyTcp(cluster.port) as proxy,
        through(proxy, cluster, store_database.name, tmp_path) as store,
    ):
        await asyncio.gather(*(store.meta.epoch() for _ in range(4)))
        proxy.cut()
        assert await asyncio.gather(*(store.meta.epoch() for _ in range(12))) == [1] * 12
