"""What only the manager knows that has a node's session, another one shows too, and its alarms are the same."""

from collections.abc import Mapping
from dataclasses import fields

import msgspec
import pytest

import common.wire.receiver
from common.api.facts import NodeView as Shown
from common.api.fleet import PushAnswer
from common.ids import NodeName
from manager.api.facts import node_answers
from manager.channel.conversation import LimitExceeded
from manager.cli.pushes import Pursuit
from manager.domain.alarms import AlarmKind, conditions_of_nodes
from manager.domain.clocks import SKEW_KEPT_S
from manager.domain.members import Sighting
from manager.fleet.cluster_notifier import EACH_S
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts
from tests.integration.managers.conftest import Start
from tests.postgres import NEEDED

pytestmark = NEEDED

N1 = NodeName("n1")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.fleet.cluster_notifier.PUSH_AFTER_S", 0.2)
    monkeypatch.setattr("manager.fleet.cluster_notifier.EACH_S", 0.2)
    monkeypatch.setattr("manager.fleet.cluster_notifier.SWEEP_S", 0.05)


def shown(parts: Parts) -> Mapping[str, object]:
    """All that a manager shows of the node, but for what it knows to within the minute, and of its clock."""
    view = parts.fleet.node(N1)
    assert abs(view.clock_skew_s) < SKEW_KEPT_S
    close = {"clock_skew_s"} | ({"last_report_at_s"} if view.connected_at_s is not None else set())
    return {each.name: getattr(view, each.name) for each in fields(view) if each.name not in close}


def alarms(parts: Parts) -> set[AlarmKind]:
    return {each.subject.kind for each in conditions_of_nodes(parts.fleet.view())}


async def alike(*managers: Parts) -> None:
    """Wait until all show the same of the node."""
    first, *others = managers
    await first.until(lambda: all(shown(each) == shown(first) for each in others))
    assert all(alarms(each) == alarms(first) for each in others)


async def test_two_machines_with_one_key_that_dial_different_managers_are_an_alarm_at_each(
    first: Parts, second: Parts, start: Start
):
    await first.add("n1")
    one, other = first.dial("n1"), NodeSimulator(N1)
    await second.until(lambda: second.is_connected("n1"))
    second.dial("n1", other)
    await first.until(lambda: bool(one.disconnects))
    assert AlarmKind.DUPLICATE_IDENTITY not in alarms(first) | alarms(second), (
        "it may have been installed anew"
    )
    first.dial("n1", one)
    await second.until(lambda: bool(other.disconnects))
    for each in (first, second):
        await each.until(lambda each=each: AlarmKind.DUPLICATE_IDENTITY in alarms(each))
    async with start() as third:
        assert AlarmKind.DUPLICATE_IDENTITY in alarms(third)
        await alike(first, second, third)


async def test_a_node_that_goes_from_one_manager_to_the_other_and_back_is_no_copy(
    first: Parts, second: Parts
):
    await first.add("n1")
    node = first.dial("n1")
    await second.until(lambda: second.is_connected("n1"))
    for parts in (second, first, second):
        node.transport.close()
        parts.dial("n1", node)
        await parts.until(lambda parts=parts: bool(parts.fleet.registry.get(N1).session))
    await alike(first, second)
    assert first.fleet.node(N1).rivals == ()


async def test_a_push_that_takes_long_is_under_way_at_every_manager_until_it_ends(
    first: Parts, second: Parts, start: Start
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    node = second.dial("n1", NodeSimulator(N1, behaviour="never_concludes"))
    await first.assign("n1")
    await second.until(lambda: second.state("n1") == "installing")
    await first.until(lambda: first.fleet.node(N1).push is not None)
    await alike(first, second)
    assert (first.state("n1"), first.fleet.counts()) == ("installing", {"installing": 1})
    async with start() as third:
        await alike(second, third)
        (plan,) = await third.fleet.push([N1], forced=False)
        assert plan.why == "a push of the same generation is under way"
    node.transport.close()
    await first.until(lambda: first.state("n1") == "offline")
    await alike(first, second)
    assert first.fleet.node(N1).push.result == "lost"
    first.dial("n1", NodeSimulator(N1))
    await second.until(lambda: second.state("n1") == "in_sync")
    await alike(first, second)


async def test_a_push_that_a_manager_made_which_was_killed_is_lost_and_made_by_the_next(
    first: Parts, second: Parts, start: Start, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("manager.store.members.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.LEASE_S", 5.0)
    monkeypatch.setattr("manager.fleet.membership.RENEW_EACH_S", 0.3)
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    second.dial("n1", NodeSimulator(N1, behaviour="never_concludes"))
    await first.assign("n1")
    await first.until(lambda: first.fleet.node(N1).push is not None)
    second.kill()
    await first.until(lambda: first.state("n1") == "offline")
    async with start() as third:
        await alike(first, third)
        assert third.fleet.node(N1).push.result == "lost"
        node = third.dial("n1")
        await first.until(lambda: first.state("n1") == "in_sync")
        assert node.applied_at
        await alike(first, third)


async def test_whoever_waits_for_a_push_that_another_manager_makes_is_told_how_it_ended(
    first: Parts, second: Parts
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    node = second.dial("n1", NodeSimulator(N1, behaviour="rolls_back"))
    await first.until(lambda: first.state("n1") != "offline")
    for behaviour, failed in (("rolls_back", ["n1"]), ("works", [])):
        node.behaviour = behaviour
        await first.assign("n1")
        plans = [
            msgspec.convert(each, PushAnswer, from_attributes=True)
            for each in await first.fleet.push([N1], forced=True)
        ]
        pursuit = Pursuit(plans)
        with first.fleet.subscribe("") as subscription:
            while pursuit.waiting:
                views = await subscription.take(0.1)
                for each in node_answers(views):
                    pursuit.take(msgspec.convert(each, Shown, from_attributes=True))
        assert pursuit.failed == failed
        await alike(first, second)


async def test_a_flood_is_told_once_in_a_while_and_so_is_its_end(
    first: Parts, second: Parts, monkeypatch: pytest.MonkeyPatch, record_property
):
    monkeypatch.setattr("manager.channel.allowance.step_s", lambda _: 3.0)
    told: list[Mapping[NodeName, Sighting]] = []
    tell = second.store.sightings.tell

    async def count(noticed: Mapping[NodeName, Sighting]) -> None:
        told.extend([noticed] if noticed else [])
        await tell(noticed)

    monkeypatch.setattr(second.store.sightings, "tell", count)
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    for _ in range(200):
        second.dial("n1")
        (connection, *_) = second.fleet.connections.all()
        second.fleet.conversations.handle(connection, LimitExceeded("bytes"))
    await first.until(lambda: "bytes, from" in first.fleet.node(N1).flood)
    assert AlarmKind.NODE_FLOODS in alarms(first) & alarms(second)
    await first.until(lambda: first.fleet.node(N1).flood == "")
    await alike(first, second)
    record_property("writes_of_200_floods", len(told))
    assert len(told) <= 4


async def test_a_manager_that_was_evicted_tells_again_what_it_noticed(first: Parts, second: Parts):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    second.fleet.connections.floods.record(second.fleet.registry.get(N1), "192.0.2.9", "connections")
    second.fleet._notifier.note_sighting(N1)
    await first.until(lambda: first.fleet.node(N1).flood == "connections, from 192.0.2.9")
    await first.store.members.leave(second.fleet.membership.id)
    await first.until(lambda: first.fleet.node(N1).flood == "")
    await second.fleet.membership.renew()
    await second.fleet.membership.renew()
    await first.until(lambda: first.fleet.node(N1).flood == "connections, from 192.0.2.9")


async def test_why_an_agent_was_sent_away_is_told_at_every_manager_until_one_welcomes_it(
    first: Parts, second: Parts, monkeypatch: pytest.MonkeyPatch
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    node = NodeSimulator(N1)
    with monkeypatch.context() as patch:
        patch.setattr(common.wire.receiver, "PROTOCOL", 99)
        second.dial("n1", node)
        await second.until(lambda: bool(node.disconnects))
    await first.until(lambda: "upgrade the older side" in first.fleet.node(N1).turned_away)
    await alike(first, second)
    (alarm,) = conditions_of_nodes([first.fleet.node(N1)])
    assert "upgrade the older side" in alarm.details
    first.dial("n1", node)
    await second.until(lambda: second.is_connected("n1"))
    await first.until(lambda: first.fleet.node(N1).turned_away == "")
    await alike(first, second)


async def test_when_a_node_was_heard_last_is_the_same_at_each_manager_and_the_next(
    first: Parts, second: Parts, start: Start
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    node = second.dial("n1")
    await first.until(lambda: first.is_connected("n1"))
    heard_s = second.fleet.node(N1).last_report_at_s
    node.tick()
    await second.until(lambda: second.fleet.node(N1).last_report_at_s > heard_s)
    first.fleet.follower.note_reports_elsewhere(heard_s + 1000)
    node.transport.close()
    await first.until(lambda: first.state("n1") == "offline")
    await alike(first, second)
    async with start() as third:
        await alike(second, third)
        assert third.fleet.node(N1).last_report_at_s > heard_s


async def test_a_node_that_has_joined_is_awaited_by_no_manager_once_it_was_published_to(
    first: Parts, second: Parts
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    second.dial("n1")
    for each in (first, second):
        await each.until(lambda each=each: not each.fleet.registry.get(N1).awaiting_first_report)
    await alike(first, second)


def test_one_node_costs_at_most_one_such_write_in_some_seconds():
    assert EACH_S >= 5
