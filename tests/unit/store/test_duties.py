"""What one member does for all: one has it at a time, and who has lost it keeps nothing of it."""

import pytest

from common.errors import DutyLostError, MembershipLostError, Reason
from common.ids import NodeName
from manager.store.duties import LEAD
from manager.store.members import LEASE_S
from tests.unit.store.given import N1, N2, add_nodes

M1, M2 = NodeName("management"), NodeName("management-2")


@pytest.fixture
async def other(clock, store, again):
    store.act_as(await store.members.join(M1))
    made = again()
    made.act_as(await made.members.join(M2))
    return made


async def test_who_takes_a_duty_first_has_it(store, other):
    assert await store.duties.take(LEAD)
    assert not await other.duties.take(LEAD)
    assert await store.duties.take(LEAD)
    assert await other.duties.take("another")


async def test_a_duty_is_free_once_it_was_given_up_or_who_had_it_is_gone(store, other, clock):
    assert await store.duties.take(LEAD)
    await other.duties.give_up(LEAD)
    assert not await other.duties.take(LEAD)
    await store.duties.give_up(LEAD)
    assert await other.duties.take(LEAD)
    await other.members.leave(other._database.member)
    assert await store.duties.take(LEAD)


async def test_who_was_evicted_has_no_duty(store, other, clock):
    assert await store.duties.take(LEAD)
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    with pytest.raises(MembershipLostError):
        await store.duties.take(LEAD)
    assert await other.duties.take(LEAD)
    assert not await store.duties.take(LEAD)


async def test_what_is_done_on_a_duty_is_kept_only_by_who_has_it(store, other):
    assert await store.duties.take(LEAD)
    with store.on_condition(store.duties.condition(LEAD)):
        await add_nodes(store, N1)
        await store.duties.give_up(LEAD)
        assert await other.duties.take(LEAD)
        with pytest.raises(DutyLostError) as caught:
            await add_nodes(store, N2)
        assert caught.value.reason is Reason.BUSY
        await other.duties.give_up(LEAD)
        with pytest.raises(DutyLostError):
            await add_nodes(store, N2)
    assert [record.name for record in await store.nodes.list()] == [N1]


async def test_a_duty_that_is_another_members_of_the_same_manager_does_not_count(store, other):
    """Work that was begun before it was evicted, and goes on after it joined again and took the duty anew."""
    assert await store.duties.take(LEAD)
    begun_before = store.duties.condition(LEAD)
    await store.members.leave(store._database.member)
    store.act_as(await store.members.join(M1))
    assert await store.duties.take(LEAD)
    with store.on_condition(begun_before), pytest.raises(DutyLostError):
        await add_nodes(store, N1)
    with store.on_condition(store.duties.condition(LEAD)):
        await add_nodes(store, N1)


async def test_a_duty_and_its_member_are_asked_for_both(store, other, clock):
    assert await store.duties.take(LEAD)
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    with store.on_condition(store.duties.condition(LEAD)), pytest.raises(MembershipLostError):
        await add_nodes(store, N1)


async def test_who_is_no_member_has_no_duty(store):
    for use in (store.duties.take, store.duties.give_up):
        with pytest.raises(RuntimeError, match="acts as no member"):
            await use(LEAD)
    with pytest.raises(RuntimeError, match="acts as no member"):
        store.duties.condition(LEAD)
