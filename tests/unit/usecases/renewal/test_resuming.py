"""A renewal that is resumed goes back to its plan; only what is due, or has failed before its time, is ordered."""

from dataclasses import replace
from functools import partial

import pytest

from common.errors import NotFoundError
from manager.domain.alarms import AlarmKind
from manager.domain.renewal.records import OrderState, RenewalRecord
from manager.usecases.renewal.ports import CaError
from tests.pki import DAY_S
from tests.renewals import Renewing
from tests.unit.usecases.renewal.by_hand import put_another
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0


async def test_resuming_goes_back_to_the_plan_of_a_certificate_that_somebody_has_put_there_since_one_failed(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.to_fail.append(("order", CaError("no", is_final=True)))
    await world.pass_time(60, step_s=5)
    assert (await world.renewal(renewal)).failures == 1
    await put_another(world, renewal)
    await world.pass_time(60, step_s=5)
    kept = await world.renewal(renewal)
    assert (kept.failures, kept.problem) == (0, None)
    assert await alarms_of(world, AlarmKind.RENEWAL_FAILED) == []
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(20 * DAY_S)
    assert await world.states(renewal) == [OrderState.FAILED]


async def test_resuming_what_was_paused_and_has_not_failed_orders_nothing_before_its_time(world: Renewing):
    renewal = await world.renewing("n1", age_days=8)
    await world.pass_time(60, step_s=5)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(DAY_S)
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(15 * DAY_S)
    assert await world.orders(renewal) == []


async def test_an_order_whose_renewal_is_paused_for_long_ends_with_its_proofs_and_another_follows_the_pause(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = HOUR_S / 4
    await world.pass_time(60)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(1.1 * HOUR_S)
    assert await world.states(renewal) == [OrderState.FAILED]
    assert world.showing.placed == {}
    assert (await world.renewal(renewal)).failures == 0
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(HOUR_S)
    assert (await world.states(renewal))[-1] is OrderState.SERVED


async def ended_early(world: Renewing, *, has_other_names: bool = False) -> RenewalRecord:
    """Let an order before its time end since its renewal is paused for long; one for other names follows an order that was given up for them."""
    renewal = await world.renewing("n1", age_days=5)
    world.showing.missing_at = lambda _name: "n1"
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    if has_other_names:
        terms = replace(renewal.terms, names=("n1.example.com", "more.example.com"))
        await world.renewals.change(renewal.id, terms, actor="ada")
        await world.pass_time(60, step_s=5)
    assert (await world.states(renewal))[-1] is OrderState.ORDERED
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(1.1 * HOUR_S)
    assert set(await world.states(renewal)) == {OrderState.FAILED}
    world.showing.missing_at = lambda _name: ""
    return renewal


@pytest.mark.parametrize("has_other_names", [False, True])
async def test_what_ended_before_its_time_while_it_was_paused_is_ordered_again_once_it_is_resumed(
    world: Renewing, has_other_names: bool
):
    renewal = await ended_early(world, has_other_names=has_other_names)
    await world.pass_time(DAY_S)
    assert set(await world.states(renewal)) == {OrderState.FAILED}
    resumed = await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    assert resumed.next_at_s == world.now[0]
    await world.pass_time(5 * DAY_S)
    assert (await world.states(renewal))[-1] is OrderState.SERVED
    assert len(world.server.issued) == 1


async def test_what_ended_while_it_was_paused_is_not_ordered_again_for_another_certificate(world: Renewing):
    renewal = await ended_early(world)
    await put_another(world, renewal)
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(5 * DAY_S)
    assert await world.states(renewal) == [OrderState.FAILED]


async def test_what_was_removed_is_neither_paused_nor_resumed_nor_changed(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.showing.missing_at = lambda _name: "n1"
    await world.pass_time(30, step_s=5)
    await world.renewals.remove(renewal.id, actor="ada")
    removed = await world.renewal(renewal)
    for act in (
        partial(world.renewals.set_paused, paused=True),
        partial(world.renewals.set_paused, paused=False),
        partial(world.renewals.change, terms=renewal.terms),
    ):
        with pytest.raises(NotFoundError, match=f"there is no renewal {renewal.id}"):
            await act(renewal.id, actor="ada")
    assert await world.renewal(removed) == removed
