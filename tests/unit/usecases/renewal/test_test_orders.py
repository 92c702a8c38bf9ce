"""Test orders: what they ask, for how long they wait, and that they hold nothing up."""

import pytest

from common.errors import ConflictError
from manager.domain.renewal.records import OrderState, RenewalRecord
from manager.usecases.renewal.steps import TRIED_WITHIN_S
from tests.renewals import Renewing

HOUR_S = 3600.0


async def test_a_test_order_asks_the_staging_directory_and_takes_nothing_into_use(world: Renewing):
    account, number = await world.account(), await world.certificate(["n1"], age_days=40)
    made = await world.renewals.switch_on(number, world.terms(account), paused=True, actor="ada")
    renewal = made.renewal
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.TESTED]
    assert (len(world.server.orders), len(world.staging.issued)) == (0, 1)
    assert (await world.renewal(renewal)).certificate_id == number
    assert len(await world.store.certificates.list()) == 1


async def test_a_test_waits_a_minute_for_a_node_and_then_fails_with_its_name(world: Renewing):
    account, number = await world.account(), await world.certificate(["n1"])
    made = await world.renewals.switch_on(number, world.terms(account), paused=True, actor="ada")
    world.showing.missing_at = lambda _name: "node 'n1', port 80"
    await world.renewals.test(made.renewal.id, actor="ada")
    await world.pass_time(TRIED_WITHIN_S + 30, step_s=10)
    (order,) = await world.orders(made.renewal)
    assert order.state is OrderState.FAILED
    assert "node 'n1', port 80 does not show it for n1.example.com" in order.problem.message
    assert world.staging.asked["answer"] == 0


async def test_a_test_that_fails_says_why_at_once_and_costs_the_renewal_nothing(world: Renewing):
    account, number = await world.account(), await world.certificate(["n1"])
    made = await world.renewals.switch_on(number, world.terms(account), paused=True, actor="ada")
    renewal = made.renewal
    world.staging.unprovable.add("n1.example.com")
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(HOUR_S)
    (order,) = await world.orders(renewal)
    assert (order.state, order.problem.type) == (OrderState.FAILED, "unauthorized")
    assert (await world.renewal(renewal)).failures == 0
    await world.renewals.test(renewal.id, actor="ada")


async def test_a_test_order_that_waits_ends_as_soon_as_the_real_one_is_due(world: Renewing):
    account, number = await world.account(), await world.certificate(["n1"], age_days=40)
    made = await world.renewals.switch_on(number, world.terms(account), paused=True, actor="ada")
    world.staging.validation_s = HOUR_S
    await world.renewals.test(made.renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(made.renewal) == [OrderState.PLACED]
    await world.renewals.set_paused(made.renewal.id, paused=False, actor="ada")
    await world.pass_time(60, step_s=5)
    test, real = await world.orders(made.renewal)
    assert (test.state, real.state) == (OrderState.FAILED, OrderState.SERVED)
    assert test.problem.message == "The order was given up, because the real order begins."
    assert (world.showing.placed, (await world.renewal(made.renewal)).failures) == ({}, 0)


async def test_a_change_of_a_renewal_ends_its_test_order_at_once_so_that_another_can_begin(world: Renewing):
    account, number = await world.account(), await world.certificate(["n1"])
    made = await world.renewals.switch_on(number, world.terms(account), paused=True, actor="ada")
    world.staging.validation_s = 2 * HOUR_S
    await world.renewals.test(made.renewal.id, actor="ada")
    await world.pass_time(1500, step_s=5)
    await world.renewals.change(made.renewal.id, world.terms(account, "n1.example.com"), actor="ada")
    await world.once()
    (test,) = await world.orders(made.renewal)
    assert test.problem.message == (
        "The order was given up, because what the certificate is renewed with was changed."
    )
    assert world.showing.placed == {}
    await world.renewals.test(made.renewal.id, actor="ada")


async def failed_early(world: Renewing) -> RenewalRecord:
    """Return a renewal whose order before its time has failed for good, while a test order of it is under way."""
    renewal = await world.renewing("n1")
    world.server.unprovable.add("n1.example.com")
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(HOUR_S, step_s=60)
    assert await world.states(renewal) == [OrderState.FAILED]
    world.server.unprovable.clear()
    world.staging.validation_s = HOUR_S
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    return await world.renewal(renewal)


async def test_a_test_order_is_never_taken_for_the_one_that_is_ordered_by_hand(world: Renewing):
    renewal = await failed_early(world)
    with pytest.raises(ConflictError, match="a test order of this renewal is under way; wait for its end"):
        await world.renewals.order_now(renewal.id, actor="ada")


async def test_what_cannot_be_ordered_again_for_a_test_is_not_resumed_either(world: Renewing):
    renewal = await failed_early(world)
    before = await world.renewal(renewal)
    with pytest.raises(ConflictError, match="wait for its end, and resume then"):
        await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    assert await world.renewal(renewal) == before
    await world.pass_time(2 * HOUR_S)
    resumed = await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    assert resumed.orders[0].state is OrderState.CREATED
    assert not resumed.orders[0].is_test
