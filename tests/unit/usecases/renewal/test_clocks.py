"""A clock that was ahead and is set back: nothing rests for longer than its own rule says."""

import pytest

from manager.domain.renewal.moments import LADDER_S
from manager.domain.renewal.records import OrderState
from manager.usecases.renewal.ports import CaError
from tests.pki import DAY_S
from tests.renewals import Renewing

HOUR_S = 3600.0

AHEAD = pytest.mark.parametrize("ahead_s", [300.0, 5 * DAY_S, 20 * DAY_S, 365 * DAY_S])


@AHEAD
@pytest.mark.parametrize("what", ["a failure", "a proof that is waited for"])
async def test_what_was_found_while_the_clock_was_ahead_rests_no_longer_than_at_any_other_time(
    world: Renewing, what: str, ahead_s: float
):
    renewal = await world.renewing("n1", age_days=40)
    if what == "a failure":
        world.server.to_fail.append(("order", CaError("the CA could not be reached")))
    else:
        world.showing.missing_at = lambda _name: "n1"
    world.now[0] += ahead_s
    await world.once()
    (order,) = await world.orders(renewal)
    kept = await world.renewal(renewal)
    assert max(order.recheck_at_s, kept.retry_at_s) > world.now[0]
    world.now[0] -= ahead_s
    world.showing.missing_at = lambda _name: ""
    await world.pass_time(LADDER_S[0] + 60, step_s=10.0)
    assert (await world.states(renewal))[-1] is OrderState.SERVED


@AHEAD
async def test_what_the_ca_has_signed_is_collected_though_the_clock_was_ahead_while_it_did(
    world: Renewing, ahead_s: float
):
    renewal = await world.renewing("n1", days=400, age_days=300)
    world.server.processing_s = HOUR_S
    world.now[0] += ahead_s
    await world.pass_time(60, step_s=10.0)
    assert await world.states(renewal) == [OrderState.FINALISED]
    world.now[0] -= ahead_s
    (made,) = world.server.orders.values()
    made.ready_s -= ahead_s
    await world.pass_time(1.5 * HOUR_S, step_s=60.0)
    (order,) = await world.orders(renewal)
    assert order.state is OrderState.SERVED
    assert max(each.at_s for each in order.steps) <= world.now[0]
    assert [each.message for each in order.steps] == [""] * len(order.steps)


async def test_a_ca_that_asked_to_wait_is_left_alone_for_as_long_by_a_clock_that_was_set_back(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    limit = CaError("too many", type="rateLimited", retry_after_s=7 * HOUR_S)
    world.server.to_fail.append(("order", limit))
    world.now[0] += 5 * DAY_S
    await world.once()
    world.now[0] -= 5 * DAY_S
    await world.pass_time(7 * HOUR_S - 60, step_s=60.0)
    assert world.server.asked["order"] == 1
    await world.pass_time(HOUR_S, step_s=60.0)
    assert await world.states(renewal) == [OrderState.SERVED]


@AHEAD
async def test_a_window_is_asked_for_within_half_a_day_after_the_clock_was_set_back(
    world: Renewing, ahead_s: float
):
    await world.renewing("n1", days=4000)
    world.now[0] += ahead_s
    await world.once()
    asked = world.server.asked["suggested"]
    world.now[0] -= ahead_s
    await world.pass_time(12 * HOUR_S)
    assert world.server.asked["suggested"] > asked


@AHEAD
async def test_a_certificate_that_was_ordered_while_the_clock_was_ahead_is_ordered_at_once(
    world: Renewing, ahead_s: float
):
    await world.certificate(["n1"])
    account = await world.account()
    world.now[0] += ahead_s
    new = await world.renewals.order_new(
        world.terms(account, "meet.example.com"), nodes=["n1"], slot="client", actor="ada"
    )
    world.now[0] -= ahead_s
    await world.pass_time(60, step_s=5.0)
    assert len(await world.orders(new.renewal)) == 1
