"""A manager that cannot reach the database: alone it keeps its nodes, among others it lets them go."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.ids import NodeName
from common.wire.contact import GO_ELSEWHERE
from manager.domain.members import MemberId
from manager.store import connection_pool, postgresql
from manager.store.address import ServerAddress
from manager.store.holds import EndedSession
from manager.store.postgresql import StatementLimits
from tests.fakes.lossy_tcp import LossyTcp
from tests.integration.fleet.parts import Parts
from tests.integration.managers.conftest import Start, started
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED, Cluster

pytestmark = NEEDED

N1 = NodeName("n1")


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.store.members.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.RENEW_EACH_S", 0.3)
    monkeypatch.setattr("manager.fleet.hold_queue.WELCOME_S", 2.0)
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=20, answer_s=1.0))
    monkeypatch.setattr(connection_pool, "TRY_S", 0.5)


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[LossyTcp]:
    async with LossyTcp(cluster.port) as proxy:
        yield proxy


@pytest.fixture
def start_behind(proxy: LossyTcp, cluster: Cluster, store_database: ServerAddress, tmp_path: Path) -> Start:
    """Return what runs a manager whose way to the database goes through the proxy."""
    address = ServerAddress.parse(
        cluster.url(store_database.name, port=proxy.port, query="?connect_timeout=1")
    )

    @asynccontextmanager
    async def start() -> AsyncIterator[Parts]:
        async with started(address, tmp_path) as parts:
            yield parts
            proxy.is_silent = False

    return start


@pytest.fixture
async def behind(start_behind: Start) -> AsyncIterator[Parts]:
    async with start_behind() as parts:
        yield parts


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
        assert node.disconnects[0].reason == GO_ELSEWHERE
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


async def test_who_comes_back_before_the_manager_is_a_member_again_is_welcomed_once_it_is_and_stays(
    behind: Parts, start_behind: Start, proxy: LossyTcp, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("manager.fleet.membership.LEASE_S", 1.0)
    monkeypatch.setattr("manager.store.members.LEASE_S", 600.0)
    monkeypatch.setattr("manager.fleet.hold_queue.WELCOME_S", PATIENCE_S)
    await behind.add("n1")
    node = behind.dial("n1")
    await behind.until(lambda: node.welcomes == 1)
    async with start_behind() as other:
        for each in (behind, other):
            await each.until(lambda each=each: each.fleet.membership._has_others)
        proxy.is_silent = True
        await behind.until(lambda: behind.fleet.membership.id is None)
        await other.until(lambda: other.fleet.membership.id is None)
        may_join = asyncio.Event()
        leave = behind.store.members.leave

        async def leave_later(former: MemberId) -> None:
            await may_join.wait()
            await leave(former)

        monkeypatch.setattr(behind.store.members, "leave", leave_later)
        again = behind.dial("n1")
        proxy.is_silent = False
        await other.until(lambda: other.fleet.membership.id is not None)
        await behind.store.check()
        await behind.fleet._hold_queue.flush()
        assert again.welcomes == 0
        may_join.set()
        await behind.until(lambda: behind.fleet.membership.id is not None)
        leaf = await behind.assign("n1")
        await behind.until_applied(leaf, "n1")
        await other.until_applied(leaf, "n1")
        assert (again.welcomes, again.disconnects) == (1, [])


async def test_who_has_a_session_that_is_nobodys_any_more_is_back_at_once(first: Parts, second: Parts):
    """As after a failover that lost it: found by the look, or by a report that is not kept."""
    await first.add("n1", "n2")
    looked, told = first.dial("n1"), first.dial("n2")
    await second.until(lambda: second.is_connected("n1") and second.is_connected("n2"))
    for name in ("n1", "n2"):
        facts = first.fleet.registry.get(NodeName(name))
        await first.store.holds.release({facts.name: EndedSession(facts.session, 0.0)})
    first.fleet.reports.put(first.fleet.registry.get(NodeName("n2")), 0.0)
    await first.fleet.reports.flush()
    await first.fleet.follower.catch_up()
    await first.until(lambda: bool(looked.disconnects) and bool(told.disconnects))
    for each in (looked, told):
        assert each.disconnects[0].reason == "busy"
        assert each.disconnects[0].retry_after_s < 3
