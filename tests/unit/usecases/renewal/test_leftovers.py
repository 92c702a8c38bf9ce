"""Proofs that could not be taken away: tried again until they are, told after a day, and never taken from an order that shows them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from common.errors import ConflictError
from common.words import date
from manager.domain.alarms import AlarmKind
from manager.domain.renewal.moments import LADDER_S
from manager.domain.renewal.records import OrderState, Proof, RenewalRecord
from manager.usecases.renewal.leftovers import LEFT_MOST, LEFT_MOST_S
from manager.usecases.renewal.ports import CaError
from manager.usecases.renewal.runner import RenewalRunner
from tests.patience import PATIENCE_S
from tests.pki import DAY_S
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0
WHY = "the command failed with exit status 1"


@pytest.fixture
def broken(world: Renewing, monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let nothing be taken away while this is not empty."""
    remove, faults = world.showing.remove, [True]

    async def removing(proofs: Sequence[Proof]) -> None:
        if faults:
            raise CaError(WHY)
        await remove(proofs)

    monkeypatch.setattr(world.showing, "remove", removing)
    return faults


async def test_what_could_not_be_taken_away_is_named_and_tried_again_until_it_is(
    world: Renewing, broken: list[bool]
):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(60, step_s=5)
    (order,) = await world.orders(renewal)
    assert (order.state, order.proofs) == (OrderState.SERVED, ())
    assert [each.message for each in order.steps if each.message] == [
        f"What was shown for n1.example.com could not be taken away, which is tried again: {WHY}."
    ]
    ((left,), shown) = (await world.renewal(renewal)).left, world.showing.placed
    assert (left.proof.token, left.message, left.tries) == (next(iter(shown)), WHY, 1)
    await world.pass_time(LADDER_S[0])
    assert (await world.renewal(renewal)).left[0].tries == 2
    broken.clear()
    await world.pass_time(LADDER_S[1])
    assert ((await world.renewal(renewal)).left, world.showing.placed) == ((), {})


async def test_what_an_order_that_failed_has_left_is_tried_again_too(world: Renewing, broken: list[bool]):
    renewal = await world.renewing("n1", age_days=40)
    world.server.unprovable.add("n1.example.com")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED]
    assert world.showing.placed
    world.server.unprovable.clear()
    broken.clear()
    await world.pass_time(HOUR_S)
    assert (await world.states(renewal))[-1] is OrderState.SERVED
    assert ((await world.renewal(renewal)).left, world.showing.placed) == ((), {})


async def test_what_an_order_that_was_given_up_has_left_is_named(world: Renewing, broken: list[bool]):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = HOUR_S
    await world.pass_time(60, step_s=5)
    await world.renewals.remove(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert broken
    (order,) = await world.orders(renewal)
    assert order.steps[-1].message.endswith(
        f"not renewed any more. What was shown for n1.example.com could not be taken away, which is tried again: {WHY}."
    )


async def test_what_is_left_for_a_day_is_told_and_for_a_month_is_given_up(
    world: Renewing, broken: list[bool]
):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(60, step_s=5)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(DAY_S - 120)
    assert await alarms_of(world, AlarmKind.RENEWAL_PROOF_LEFT) == []
    await world.pass_time(HOUR_S)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_PROOF_LEFT)
    assert f"http-01 proof for n1.example.com could not be removed: {WHY}. It is tried again" in alarm.details
    await world.pass_time(LEFT_MOST_S)
    assert broken
    assert (await world.renewal(renewal)).left == ()
    assert await alarms_of(world, AlarmKind.RENEWAL_PROOF_LEFT) == []


async def test_what_an_order_under_way_shows_is_not_taken_from_it(world: Renewing, broken: list[bool]):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(60, step_s=5)
    broken.clear()
    world.server.validation_s = HOUR_S
    other = await world.renewing("n2", age_days=40)
    await world.pass_time(30, step_s=5)
    (order,) = await world.orders(other)
    kept = await world.renewal(renewal)
    left = replace(kept.left[0], proof=order.proofs[0])
    await world.store.renewals.keep(replace(kept, left=(*kept.left, left)))
    await world.pass_time(LADDER_S[0])
    assert (await world.renewal(renewal)).left == ()
    assert list(world.showing.placed) == [order.proofs[0].token]


async def test_a_renewal_that_is_removed_goes_once_what_it_has_left_is_taken_away_or_after_a_day(
    world: Renewing, broken: list[bool]
):
    renewals = [await world.renewing(name, age_days=40) for name in ("n1", "n2")]
    await world.pass_time(60, step_s=5)
    for each in renewals:
        await world.renewals.remove(each.id, actor="ada")
    assert await world.renewals.list() == []
    await world.pass_time(HOUR_S)
    assert len(await world.store.renewals.list()) == 2
    kept = await world.renewal(renewals[1])
    old = tuple(replace(each, since_s=each.since_s - 2 * DAY_S) for each in kept.left)
    await world.store.renewals.keep(replace(kept, left=old, changed_s=kept.changed_s - 2 * DAY_S))
    await world.pass_time(60)
    assert [each.id for each in await world.store.renewals.list()] == [renewals[0].id]
    broken.clear()
    await world.pass_time(DAY_S)
    assert await world.store.renewals.list() == []


async def test_of_what_a_renewal_leaves_the_latest_is_kept(world: Renewing, broken: list[bool]):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(60, step_s=5)
    kept = await world.renewal(renewal)
    many = tuple(
        replace(kept.left[0], proof=replace(kept.left[0].proof, token=f"token-{number}"))
        for number in range(LEFT_MOST)
    )
    await world.store.renewals.keep(replace(kept, left=many))
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    left = (await world.renewal(renewal)).left
    assert broken
    assert (len(left), left[0].proof.token) == (LEFT_MOST, "token-1")


async def test_an_account_that_only_removed_renewals_use_still_is_refused_with_until_when(
    world: Renewing, broken: list[bool]
):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(60, step_s=5)
    await world.renewals.remove(renewal.id, actor="ada")
    with pytest.raises(ConflictError) as refused:
        await world.accounts.delete(renewal.terms.account_id, actor="ada")
    assert (
        f"renewals that were removed still use this account: renewal {renewal.id}." in refused.value.message
    )
    until = date((await world.renewal(renewal)).changed_s + DAY_S)
    assert f"on {until} at the latest" in refused.value.message
    broken.clear()
    await world.pass_time(DAY_S)
    await world.accounts.delete(renewal.terms.account_id, actor="ada")


async def test_an_account_that_others_use_too_is_refused_for_those_first(world: Renewing, broken: list[bool]):
    renewal, _ = await world.renewing("n1", age_days=40), await world.renewing("n2", age_days=40)
    await world.pass_time(60, step_s=5)
    await world.renewals.remove(renewal.id, actor="ada")
    with pytest.raises(ConflictError, match="let them use another one first"):
        await world.accounts.delete(renewal.terms.account_id, actor="ada")
    assert broken


async def test_what_the_ca_wants_to_see_once_more_is_shown_after_it_was_taken_away(
    world: Renewing, broken: list[bool], monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = DAY_S
    await world.pass_time(60, step_s=5)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(3 * HOUR_S, step_s=60)
    (ended,) = await world.orders(renewal)
    assert (ended.state, len((await world.renewal(renewal)).left)) == (OrderState.FAILED, 1)
    broken.clear()
    remove, begun = world.showing.remove, []

    async def is_on_its_way() -> bool:
        order = (await world.orders(renewal))[-1]
        return order.state is not OrderState.PLACED and order.recheck_at_s <= world.now[0]

    async def slowly(proofs: Sequence[Proof]) -> None:
        if not begun:
            begun.append(proofs)
            async with asyncio.timeout(PATIENCE_S):
                # one that was faster, and needed it before it was taken away, removes it itself, when it is placed
                while await is_on_its_way():  # noqa: ASYNC110 - looks on, as people do
                    await asyncio.sleep(0)
        await remove(proofs)

    monkeypatch.setattr(world.showing, "remove", slowly)
    world.server.validation_s = 5
    (made,) = world.server.orders.values()
    made.proven = dict.fromkeys(made.proven, "pending")
    world.runner = RenewalRunner(world.dependencies, at_once=3)
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    kept = await world.renewal(renewal)
    left = tuple(replace(each, retry_at_s=world.now[0]) for each in kept.left)
    await world.store.renewals.keep(
        replace(kept, left=left, follows_at_once=True, poll_at_s=world.now[0] + HOUR_S)
    )
    await world.pass_time(60, step_s=5)
    assert begun == [[kept.left[0].proof]]
    (_, order) = await world.orders(renewal)
    assert (order.state, (await world.renewal(renewal)).failures) == (OrderState.SERVED, 0)
    assert world.showing.placed == {}


async def two_with_one_proof(world: Renewing) -> tuple[RenewalRecord, RenewalRecord, Proof]:
    """Let orders of two renewals show the same proof: the CA has one authorization for both."""
    world.runner = RenewalRunner(world.dependencies, at_once=3)
    world.server.validation_s = 600
    one, other = await world.renewing("n1", age_days=40), await world.renewing("n2", age_days=40)
    await world.pass_time(60, step_s=5)
    (first,), (second,) = await world.orders(one), await world.orders(other)
    assert first.state is second.state is OrderState.PLACED
    await world.store.orders.keep(replace(first, proofs=(*first.proofs, *second.proofs)))
    return one, other, second.proofs[0]


async def test_an_order_that_is_given_up_takes_nothing_away_that_another_one_shows(world: Renewing):
    one, other, proof = await two_with_one_proof(world)
    await world.renewals.remove(one.id, actor="ada")
    await world.pass_time(30, step_s=5)
    assert list(world.showing.placed) == [proof.token]
    await world.pass_time(900, step_s=5)
    assert await world.states(other) == [OrderState.SERVED]
    assert world.showing.placed == {}


async def test_of_two_orders_that_end_at_once_with_one_proof_one_takes_it_away(world: Renewing):
    one, other, _ = await two_with_one_proof(world)
    await world.pass_time(900, step_s=5)
    assert [await world.states(each) for each in (one, other)] == 2 * [[OrderState.SERVED]]
    assert world.showing.placed == {}


async def test_what_was_left_long_ago_is_tried_at_once_and_for_a_day_once_its_renewal_is_removed(
    world: Renewing, broken: list[bool]
):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(3 * DAY_S)
    kept = await world.renewal(renewal)
    assert kept.left[0].retry_at_s > world.now[0] + HOUR_S
    await world.renewals.remove(renewal.id, actor="ada")
    await world.pass_time(HOUR_S)
    (left,) = (await world.renewal(renewal)).left
    assert left.tries == kept.left[0].tries + 1
    await world.renewals.remove(renewal.id, actor="ada")
    broken.clear()
    await world.pass_time(60)
    assert (world.showing.placed, await world.store.renewals.list()) == ({}, [])
