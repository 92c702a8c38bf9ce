"""Managers that share a store: who was evicted changes nothing any more, whatever it does and however late."""

import asyncio
import time

import pytest

from common.codes import Role
from common.errors import MembershipLostError, Reason
from common.ids import NodeName
from manager.domain.members import MemberId
from manager.store.members import LEASE_S, RENEW_EACH_S
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED
from tests.unit.store.given import N1, N2, NOW_S, add_nodes, new_certificate, new_generation, new_trusted_ca

M1, M2 = NodeName("management"), NodeName("management-2")
"""The nodes of two managers."""

CHANGES = {
    "node": lambda store: add_nodes(store, N2),
    "removal": lambda store: store.nodes.remove(N1),
    "certificate": lambda store: store.certificates.add(new_certificate(), now_s=NOW_S),
    "CA": lambda store: store.trusted_cas.add([new_trusted_ca()], now_s=NOW_S),
    "generation": lambda store: store.generations.publish([new_generation(1)]),
    "user": lambda store: store.users.add("ann", Role.OPERATOR, password_hash="hash", now_s=NOW_S),
    "value": lambda store: store.meta.set("x", b"y"),
    "secret": lambda store: store.meta.secret_set("x", b"y"),
    "epoch": lambda store: store.meta.bump_epoch(),
    "moment": lambda store: store.meta.check(now_s=NOW_S),
    "audit": lambda store: store.audit.append(at_s=NOW_S, actor="ann", action="done", subject="x"),
    "duty": lambda store: store.duties.take("lead"),
}


async def contents_of(store) -> list[object]:
    return [
        await store.nodes.list(),
        await store.certificates.list(),
        await store.trusted_cas.list(),
        await store.generations.latest(),
        await store.users.list(),
        await store.meta.get("x"),
        await store.meta.secret_get("x"),
        await store.meta.epoch(),
        await store.meta.revision(),
        await store.audit.list(),
        await store.members.list(),
    ]


async def test_a_member_is_listed_with_its_node_and_the_moments_of_the_stores_clock(store, clock):
    first = await store.members.join(M1)
    clock.now_s += 3
    second = await store.members.join(M2)
    clock.now_s += 4
    await store.members.renew(first)
    begun = clock.now_s - 7
    assert [
        (each.id, each.node, each.started_s - begun, each.renewed_s - begun)
        for each in await store.members.list()
    ] == [(first, M1, 0, 7), (second, M2, 3, 3)]


async def test_the_clock_is_the_databases(store):
    before_s = time.time()
    await store.members.join(M1)
    (found,) = await store.members.list()
    assert before_s - 1 <= found.started_s <= time.time() + 1


async def test_who_does_not_renew_its_lease_is_evicted_and_no_sooner(store, again, clock):
    other = again()
    late, alive = await store.members.join(M1), await other.members.join(M2)
    other.act_as(alive)
    clock.now_s += LEASE_S
    assert await other.members.expire() == []
    await other.members.renew(alive)
    clock.now_s += 0.001
    assert [each.id for each in await other.members.expire()] == [late]
    assert [each.id for each in await other.members.list()] == [alive]
    assert await other.members.expire() == []


async def test_two_renewals_may_fail(store, again, clock):
    other = again()
    other.act_as(await other.members.join(M2))
    member = await store.members.join(M1)
    clock.now_s += 3 * RENEW_EACH_S
    assert await other.members.expire() == []
    await store.members.renew(member)


@pytest.mark.parametrize("how", CHANGES)
async def test_who_was_evicted_changes_nothing_and_reads_all(store, again, clock, how):
    other = again()
    await add_nodes(store, N1)
    store.act_as(await store.members.join(M1))
    other.act_as(await other.members.join(M2))
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    before = await contents_of(store)
    with pytest.raises(MembershipLostError) as caught:
        await CHANGES[how](store)
    assert caught.value.reason is Reason.BUSY
    assert await contents_of(store) == before == await contents_of(other)
    await CHANGES[how](other)


async def test_a_member_that_is_late_and_was_not_evicted_changes_what_it_likes(store, clock):
    store.act_as(await store.members.join(M1))
    clock.now_s += 1000 * LEASE_S
    await add_nodes(store, N1)
    assert await store.members.expire() == []
    await add_nodes(store, N2)


async def test_who_was_evicted_cannot_renew_and_joins_under_another_number(store, again, clock):
    other = again()
    former = await store.members.join(M1)
    store.act_as(former)
    other.act_as(await other.members.join(M2))
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    with pytest.raises(MembershipLostError):
        await store.members.renew(former)
    number = await store.members.join(M1)
    assert number > former
    with pytest.raises(MembershipLostError):
        await add_nodes(store, N1)
    store.act_as(number)
    await add_nodes(store, N1)


async def test_the_number_of_a_member_that_left_is_not_given_again(store):
    given = []
    for _ in range(3):
        given.append(await store.members.join(M1))
        store.act_as(given[-1])
        await store.members.leave(given[-1])
        with pytest.raises(MembershipLostError):
            await add_nodes(store, N1)
    assert given == sorted(set(given))
    await store.members.leave(given[0])
    assert await store.members.list() == []


async def test_what_was_begun_as_one_member_is_not_kept_as_the_next(store):
    """Such as a change that waited for its turn while its manager was evicted, and joined again."""
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def hold_up() -> None:
        async with store.transaction():
            inside.set()
            await go_on.wait()

    async def change() -> None:
        with pytest.raises(MembershipLostError):
            await add_nodes(store, N1)

    former = await store.members.join(M1)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        tasks.create_task(hold_up())
        await inside.wait()
        store.act_as(former)
        leaving = tasks.create_task(store.members.leave(former))
        changing = tasks.create_task(change())
        for _ in range(5):
            await asyncio.sleep(0)
        store.act_as(MemberId(former + 1))
        go_on.set()
        await leaving
        await changing
    assert await store.nodes.list() == []


async def test_a_lease_of_a_clock_that_was_set_back_ends_all_the_same(store, again, clock):
    other = again()
    late = await store.members.join(M1)
    clock.now_s -= 3600
    other.act_as(await other.members.join(M2))
    assert await other.members.expire() == []
    clock.now_s += LEASE_S + 1
    assert [each.id for each in await other.members.expire()] == [late]


@NEEDED
@pytest.mark.parametrize("place", ["postgresql"], indirect=True)
async def test_a_renewal_waits_for_no_other_manager_that_writes(store, again):
    other = again()
    member = await store.members.join(M1)
    async with asyncio.timeout(PATIENCE_S), other.transaction():
        await add_nodes(other, N1)
        await store.members.renew(member)


async def test_a_transaction_of_who_is_evicted_meanwhile_is_kept_whole_or_not_at_all(store, again, clock):
    """It had its turn before the other: what it changes is there before it is evicted."""
    other = again()
    store.act_as(await store.members.join(M1))
    other.act_as(await other.members.join(M2))
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        async with store.transaction():
            await add_nodes(store, N1)
            clock.now_s += LEASE_S + 1
            counting_out = tasks.create_task(other.members.expire())
            await asyncio.sleep(0)
            await add_nodes(store, N2)
        gone = await counting_out
    assert len(gone) == 1
    assert [record.name for record in await other.nodes.list()] == [N1, N2]
    with pytest.raises(MembershipLostError):
        await store.nodes.remove(N1)
