"""What is done once is done by one manager, and by another one when that is gone."""

import asyncio
import time
from collections.abc import Sequence

import pytest

from common.errors import DutyLostError, MembershipLostError
from common.ids import MANAGEMENT_NODE, NodeName
from manager.domain.model import GenerationRecord
from manager.store.records import NewGeneration
from manager.usecases.alarm_evaluation import SILENT_S
from manager.usecases.alarms import AlarmUseCases
from manager.usecases.context import Context
from tests.fakes.workers import InPlace
from tests.integration.fleet.parts import Parts
from tests.integration.managers.conftest import Start
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED

pytestmark = NEEDED

N1 = NodeName("n1")


@pytest.fixture(autouse=True)
def _short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.store.members.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.RENEW_EACH_S", 0.3)


async def test_a_node_that_nobody_has_is_published_to_by_who_leads(first: Parts, second: Parts, monkeypatch):
    published: list[Sequence[NewGeneration]] = []

    async def publish(items: Sequence[NewGeneration]) -> Sequence[GenerationRecord]:
        published.append(items)
        return []

    monkeypatch.setattr(second.store.generations, "publish", publish)
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    leaf = await second.assign("n1")
    await second.until(lambda: second.desired("n1") == leaf)
    assert await second.fleet.reconciler.reconcile()
    assert (first.fleet.lead.is_ours, second.fleet.lead.is_ours) == (True, False)
    assert not any(published)


async def test_another_manager_leads_once_the_one_that_did_has_ended(start: Start):
    async with start() as first:
        await first.add("n1")
        async with start() as second:
            first.stand_still()
            await first.fleet.close()
            first.is_killed = True
            await second.until(lambda: second.fleet.lead.is_ours)
            leaf = await second.assign("n1")
            await second.until(lambda: second.desired("n1") == leaf)


async def test_a_leader_that_was_killed_is_followed_by_another_and_its_nodes_are_free(
    first: Parts, second: Parts
):
    await first.add("n1")
    node = first.dial("n1")
    await second.until(lambda: second.is_connected("n1"))
    first.kill()
    await second.until(lambda: second.fleet.lead.is_ours)
    await second.until(lambda: second.state("n1") == "offline")
    leaf = await second.assign("n1")
    second.dial("n1", node)
    await second.until_applied(leaf, "n1")
    assert len(await second.store.members.list()) == 1


async def test_a_leader_that_stood_still_changes_nothing_when_it_goes_on(first: Parts, second: Parts):
    await first.add("n1")
    node = first.dial("n1")
    await second.until(lambda: second.is_connected("n1"))
    first.stand_still()
    await second.until(lambda: second.fleet.lead.is_ours)
    # it believes what it believed
    assert first.fleet.lead.is_ours
    with pytest.raises((DutyLostError, MembershipLostError)), first.fleet.lead.enforced():
        await first.store.meta.set("x", b"y")
    new = await second.assign("n1")
    await second.until(lambda: second.desired("n1") == new)
    before = [each.generation for each in await second.store.generations.history(N1)]
    with pytest.raises(MembershipLostError):
        await first.assign("n1")
    await first.fleet.push([N1], forced=True)
    assert [each.generation for each in await second.store.generations.history(N1)] == before
    first.go_on()
    await first.until(lambda: bool(node.disconnects))
    await first.until(lambda: not first.fleet.lead.is_ours and first.fleet.membership.fault() == "")
    assert second.fleet.lead.is_ours
    first.dial("n1")
    await first.until_applied(new, "n1")


async def test_whoever_does_not_lead_knows_whether_the_alarms_are_evaluated(
    first: Parts, second: Parts, monkeypatch
):
    monkeypatch.setattr("manager.usecases.alarm_evaluation.EVALUATE_S", 0.05)
    monkeypatch.setattr("manager.usecases.alarm_evaluation.SETTLE_S", 0.0)
    now = [1000.0]
    alarms = [
        AlarmUseCases(
            Context(
                store=parts.store,
                inventories=parts.inventories,
                fleet=parts.fleet,
                workers=InPlace(),
                own_node=MANAGEMENT_NODE,
                clock=time.time,
                monotonic=lambda: now[0],
            )
        )
        for parts in (first, second)
    ]
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        leading = tasks.create_task(alarms[0].evaluator.run(first.fleet, first.fleet.lead))
        looking = tasks.create_task(alarms[1].evaluator.run(second.fleet, second.fleet.lead))
        for _ in range(3):
            now[0] += SILENT_S
            while alarms[1].evaluator.age_s() > 0:  # noqa: ASYNC110 - looks on, as an operator would
                await asyncio.sleep(0.01)
        leading.cancel()
        now[0] += SILENT_S + 1
        await asyncio.sleep(0.2)
        assert alarms[1].evaluator.age_s() > SILENT_S
        looking.cancel()
