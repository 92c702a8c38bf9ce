"""Sessions of nodes: the newest counts wherever it is, and what an older one brings is not kept."""

import asyncio

import pytest

from common.errors import MembershipLostError
from common.ids import NodeName
from manager.domain.members import Hold, HoldRequest
from manager.store.holds import EndedSession
from manager.store.members import LEASE_S
from tests.patience import PATIENCE_S
from tests.unit.store.given import N1, N2, add_nodes, id_of, new_generation, publish
from tests.unit.store.test_reports import report

M1, M2 = NodeName("management"), NodeName("management-2")


def greeting(node=N1, **changes) -> HoldRequest:
    given = {"node": node, "node_id": id_of(node), "address": "192.0.2.1", "agent_version": "1.0"}
    return HoldRequest(**{**given, "instance": "a", "displaces": False, **changes})


def over(number: int, last_report_s: float = 0.0) -> EndedSession:
    return EndedSession(number, last_report_s)


@pytest.fixture
async def other(clock, store, again):
    """A second member of a store, which has two nodes."""
    await add_nodes(store, N1, N2)
    store.act_as(await store.members.join(M1))
    made = again()
    made.act_as(await made.members.join(M2))
    return made


async def holds_of(store) -> dict[NodeName, Hold]:
    changes = await store.feed.since(0)
    return {each.record.name: each.hold for each in changes.nodes if each.hold is not None}


async def test_who_takes_a_node_learns_all_that_the_store_knows_of_it(store, other, clock):
    await publish(store, new_generation(1), new_generation(2, text="next"))
    await store.reports.record([report()])
    held = (await other.holds.take([greeting()]))[N1]
    assert held.state.record == await store.nodes.get(N1)
    assert held.state.generation == await store.generations.get(N1, number=2)
    assert held.state.report == report()
    assert held.state.hold == Hold(
        member=other._database.member,
        number=held.number,
        since_s=clock.now_s,
        address="192.0.2.1",
        agent_version="1.0",
    )
    assert not held.state.is_push_asked
    bare = (await store.holds.take([greeting(N2)]))[N2].state
    assert (bare.generation, bare.report) == (None, None)


async def test_a_node_is_held_by_who_took_it_last_under_a_number_that_is_higher(store, other):
    first = (await store.holds.take([greeting(), greeting(N2)]))[N1].number
    second = (await other.holds.take([greeting(address="192.0.2.2")]))[N1].number
    third = (await other.holds.take([greeting()]))[N1].number
    assert 0 < first < second < third
    found = await holds_of(store)
    assert {name: (hold.member, hold.number) for name, hold in found.items()} == {
        N1: (other._database.member, third),
        N2: (store._database.member, first),
    }


async def test_a_node_that_greets_twice_at_once_is_held_as_it_greeted_last(store, other):
    await store.holds.take([greeting(address="192.0.2.1"), greeting(address="192.0.2.2")])
    assert (await holds_of(store))[N1].address == "192.0.2.2"


async def test_nodes_that_were_removed_are_left_out_and_so_are_others_under_their_names(store, other):
    await store.nodes.remove(N1)
    assert set(await store.holds.take([greeting(), greeting(N2)])) == {N2}
    await add_nodes(store, N1)
    assert await store.holds.take([greeting()]) == {}
    assert set(await holds_of(store)) == {N2}


async def test_a_session_is_given_up_only_under_its_own_number(store, other):
    former = (await store.holds.take([greeting()]))[N1].number
    number = (await other.holds.take([greeting()]))[N1].number
    await store.holds.release({N1: over(former)})
    await store.holds.release({N1: over(number)})
    await other.holds.release({N1: over(former)})
    assert (await holds_of(store))[N1].number == number
    await other.holds.release({N1: over(number)})
    assert await holds_of(store) == {}


async def test_a_report_is_kept_only_under_the_number_of_the_session(store, other):
    former = (await store.holds.take([greeting(), greeting(N2)]))[N1].number
    assert await store.reports.record([report()], held={N1: former}) == {N1: former}
    number = (await other.holds.take([greeting()]))[N1].number
    late = report(drifts=7)
    assert await store.reports.record([late, report(N2)], held={N1: former, N2: former}) == {
        N1: number,
        N2: former,
    }
    assert await store.reports.all() == {N1: report(), N2: report(N2)}
    assert await other.reports.record([late], held={N1: number}) == {N1: number}
    assert (await store.reports.all())[N1] == late


async def test_a_report_without_a_session_is_not_kept_where_sessions_count(store, other):
    assert await store.reports.record([report()], held={}) == {N1: None}
    assert await store.reports.record([report()], held={N1: 0}) == {N1: None}
    assert await store.reports.all() == {}


async def test_what_a_member_holds_goes_with_it(store, other, clock):
    held = (await store.holds.take([greeting()]))[N1].number
    await other.holds.take([greeting(N2)])
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    assert set(await holds_of(other)) == {N2}
    with pytest.raises(MembershipLostError):
        await store.reports.record([report()], held={N1: held})
    with pytest.raises(MembershipLostError):
        await store.holds.take([greeting()])
    with pytest.raises(MembershipLostError):
        await store.holds.release({N1: over(held)})
    await other.members.leave(other._database.member)
    assert await holds_of(other) == {}


async def test_who_is_no_member_holds_nothing(store):
    with pytest.raises(RuntimeError, match="acts as no member"):
        await store.holds.take([greeting()])
    with pytest.raises(RuntimeError, match="acts as no member"):
        await store.holds.release({N1: over(1)})


async def test_thousands_are_taken_and_given_up_at_once(store, again):
    names = [NodeName(f"n{number}") for number in range(1, 1203)]
    async with store.transaction():
        await add_nodes(store, *names)
    store.act_as(await store.members.join(M1))
    held = await store.holds.take([greeting(name) for name in names])
    assert list(held) == names
    assert len({each.number for each in held.values()}) == 1
    await store.holds.release({name: over(each.number) for name, each in held.items() if name != N1})
    assert set(await holds_of(store)) == {N1}


async def test_of_two_members_that_take_a_node_at_once_one_has_it_and_the_other_sees_that(store, other):
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(each.holds.take([greeting()])) for each in (store, other)]
    numbers = [each.result()[N1].number for each in both]
    assert len(set(numbers)) == 2
    found = (await holds_of(store))[N1]
    assert found.number == max(numbers)
    assert found.member == (store, other)[numbers.index(max(numbers))]._database.member
