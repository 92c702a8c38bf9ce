"""A manager that cannot reach the database: alone it keeps its nodes, among others it lets them go."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.ids import NodeName
from manager.store import pooling, postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.postgresql import Limits
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.lossy_tcp import LossyTcp
from tests.integration.fleet.parts import Parts, running_over
from tests.integration.managers.conftest import Start
from tests.postgres import KEK, NEEDED, Cluster

pytestmark = NEEDED

N1 = NodeName("n1")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.store.members.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.RENEW_EACH_S", 0.3)
    monkeypatch.setattr("manager.fleet.holding.WELCOME_S", 2.0)
    monkeypatch.setattr(postgresql, "LIMITS", Limits(statement_s=20, answer_s=1.0))
    monkeypatch.setattr(pooling, "TRY_S", 0.5)


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[LossyTcp]:
    async with LossyTcp(cluster.port) as proxy:
        yield proxy


@pytest.fixture
async def behind(
    proxy: LossyTcp, cluster: Cluster, store_database: ServerAddress, tmp_path: Path
) -> AsyncIterator[Parts]:
    """A manager whose way to the database goes through the proxy."""
    address = ServerAddress.parse(
        cluster.url(store_database.name, port=proxy.port, query="?connect_timeout=1")
    )
    store = await Store.open(StorePlace(tmp_path, address), Keyring(KEK))
    async with running_over(store) as parts:
        yield parts
        proxy.is_silent = False
    await store.close()


async def test_a_manager_that_is_cut_off_lets_its_nodes_go_to_another_and_comes_back(
    behind: Parts, start: Start, proxy: LossyTcp
):
    await behind.add("n1")
    node = behind.dial("n1")
    await behind.until(lambda: node.welcomes == 1)
    async with start() as other:
        await behind.until(lambda: behind.fleet.membership._has_others)
        proxy.is_silent = True
        await behind.until(lambda: bool(node.disconnects))
        assert node.disconnects[0].reason == "busy"
        assert "could not renew its lease" in behind.fleet.membership.fault()
        assert not behind.fleet.lead.is_ours
        await other.until(lambda: other.fleet.lead.is_ours)
        other.dial("n1", node)
        leaf = await other.assign("n1")
        await other.until_applied(leaf, "n1")
        proxy.is_silent = False
        await behind.until(lambda: behind.fleet.membership.fault() == "")
        await behind.until(lambda: behind.applied("n1") == leaf and behind.state("n1") == "in_sync")
        assert not node.disconnects[1:]


async def test_a_manager_that_is_alone_keeps_its_nodes_while_the_database_is_away(
    behind: Parts, proxy: LossyTcp
):
    await behind.add("n1", "n2")
    node = behind.dial("n1")
    await behind.until(lambda: node.welcomes == 1)
    proxy.is_silent = True
    late = behind.dial("n2")
    await behind.until(lambda: bool(late.disconnects))
    assert (late.welcomes, late.disconnects[0].reason, late.disconnects[0].retry_after_s) == (0, "busy", 5)
    assert not node.disconnects
    proxy.is_silent = False
    leaf = await behind.assign("n1")
    await behind.until_applied(leaf, "n1")
    assert not node.disconnects
    again = behind.dial("n2")
    await behind.until(lambda: again.welcomes == 1)
