"""A renewal that is resumed goes back to its plan; only what is due, or has failed before its time, is ordered."""

from manager.domain.alarms import AlarmKind
from manager.domain.renewal.records import OrderState
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
