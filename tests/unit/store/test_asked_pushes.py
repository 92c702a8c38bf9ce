"""Pushes that are asked for at one member, of nodes that another one holds."""

import pytest

from common.errors import MembershipLostError
from common.ids import NodeName
from manager.domain.members import AskedPush
from manager.store.asked_pushes import KEPT_S
from manager.store.members import LEASE_S
from tests.unit.store.given import N1, N2, add_nodes
from tests.unit.store.test_holds import greeting

M1, M2 = NodeName("management"), NodeName("management-2")
N3 = NodeName("n3")


@pytest.fixture
async def other(clock, store, again):
    """A second member, which holds n1; the first holds n2, and nobody n3."""
    await add_nodes(store, N1, N2, N3)
    store.act_as(await store.members.join(M1))
    made = again()
    made.act_as(await made.members.join(M2))
    await made.holds.take([greeting(N1)])
    await store.holds.take([greeting(N2)])
    return made


async def asked_of(store) -> set[NodeName]:
    return {each.record.name for each in (await store.feed.since(0)).nodes if each.is_push_asked}


async def test_a_push_is_left_to_who_holds_the_node_and_taken_once(store, other, clock):
    assert await store.asked_pushes.ask([N1, N2, N3, NodeName("n4")], is_forced=False, asked_by="ann") == {N1}
    assert await asked_of(store) == {N1}
    assert await store.asked_pushes.take() == []
    assert await other.asked_pushes.take() == [
        AskedPush(node=N1, is_forced=False, asked_by="ann", asked_s=clock.now_s)
    ]
    assert await other.asked_pushes.take() == []
    assert await asked_of(store) == set()


@pytest.mark.parametrize("forced", [(True, False), (False, True)])
async def test_a_push_that_was_asked_for_twice_is_one_and_forced_if_either_was(store, other, forced):
    for is_forced, who in zip(forced, ("ann", "bob"), strict=True):
        await store.asked_pushes.ask([N1], is_forced=is_forced, asked_by=who)
    ((is_forced, who),) = [(each.is_forced, each.asked_by) for each in await other.asked_pushes.take()]
    assert (is_forced, who) == (True, "bob")


async def test_a_push_that_nobody_waits_for_any_more_is_not_taken_nor_forces_a_later_one(store, other, clock):
    await store.asked_pushes.ask([N1], is_forced=True, asked_by="ann")
    clock.now_s += KEPT_S + 1
    await store.asked_pushes.ask([N1], is_forced=False, asked_by="bob")
    assert [each.is_forced for each in await other.asked_pushes.take()] == [False]
    await store.asked_pushes.ask([N1], is_forced=True, asked_by="ann")
    clock.now_s += KEPT_S + 1
    assert await other.asked_pushes.take() == []
    assert await asked_of(store) == set()


async def test_who_takes_a_node_over_takes_the_push_that_was_left_for_its_former_holder(store, other):
    await store.asked_pushes.ask([N1], is_forced=True, asked_by="ann")
    held = await store.holds.take([greeting(N1)])
    assert held[N1].state.is_push_asked
    assert await other.asked_pushes.take() == []
    assert [each.node for each in await store.asked_pushes.take()] == [N1]


async def test_a_push_that_is_taken_in_a_change_that_fails_is_still_there(store, other):
    await store.asked_pushes.ask([N1], is_forced=False, asked_by="ann")

    async def take_and_fail() -> None:
        async with other.transaction():
            assert len(await other.asked_pushes.take()) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await take_and_fail()
    assert len(await other.asked_pushes.take()) == 1


async def test_who_was_evicted_neither_asks_nor_takes(store, other, clock):
    await store.asked_pushes.ask([N1], is_forced=False, asked_by="ann")
    clock.now_s += LEASE_S + 1
    await store.members.renew(store._database.member)
    await store.members.expire()
    assert await other.asked_pushes.take() == []
    with pytest.raises(MembershipLostError):
        await other.asked_pushes.ask([N2], is_forced=False, asked_by="ann")
