"""Test orders: what they ask, for how long they wait, and that they hold nothing up."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.renewal.records import ChallengeKind, OrderState, Proof, RenewalRecord
from manager.domain.renewal.schedule import RATE_LIMITED
from manager.usecases.renewal.ports import CaError
from manager.usecases.renewal.proving import TRIED_WITHIN_S
from manager.usecases.renewal.runner import RenewalRunner
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
    assert "node 'n1', port 80 does not show the proof for n1.example.com" in order.problem.message
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
    assert test.problem.message == "The test was ended because the real order begins."
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


async def assert_ordered_in_place_of_the_test(world: Renewing, renewal: RenewalRecord) -> None:
    """Look that the test has ended, with all that was shown for it, and that one certificate was ordered and is served."""
    assert world.showing.placed != {}
    await world.pass_time(60, step_s=5)
    failed, test, real = await world.orders(renewal)
    assert test.problem.message == "The test was ended because the real order begins."
    assert [each.state for each in (failed, test, real)] == [
        OrderState.FAILED,
        OrderState.FAILED,
        OrderState.SERVED,
    ]
    assert (world.showing.placed, len(world.server.issued), len(world.staging.issued)) == ({}, 1, 0)


async def test_what_is_ordered_by_hand_takes_the_place_of_a_test_order(world: Renewing):
    renewal = await failed_early(world)
    begun = await world.renewals.order_now(renewal.id, actor="ada")
    assert (begun.is_test, begun.state) == (False, OrderState.CREATED)
    await assert_ordered_in_place_of_the_test(world, renewal)


async def test_what_is_ordered_again_because_it_is_resumed_takes_the_place_of_a_test_order(world: Renewing):
    renewal = await failed_early(world)
    resumed = await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    assert resumed.next_at_s == world.now[0]
    await assert_ordered_in_place_of_the_test(world, renewal)


async def test_what_is_resumed_is_ordered_once_a_test_order_whose_proofs_are_of_another_kind_has_ended(
    world: Renewing,
):
    renewal = await world.renewing("n1")
    await world.use_cases.assignments.assign(
        renewal.certificate_id, nodes=[NodeName("n1")], slot="client", actor="ada"
    )
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED]
    world.staging.validation_s = HOUR_S
    await world.use_cases.assignments.unassign(NodeName("n1"), "client", actor="ada")
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    wanted = replace(renewal.terms, challenge=ChallengeKind.DNS)
    await world.renewals.change(renewal.id, wanted, actor="ada")
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(60, step_s=5)
    assert [each.is_test for each in await world.orders(renewal)] == [False, True, False]


@pytest.mark.parametrize("is_limited", [False, True])
async def test_proofs_of_a_test_are_gone_before_the_order_that_took_its_place_waits_for_anything(
    world: Renewing, is_limited: bool
):
    renewal = await failed_early(world)
    assert world.showing.placed != {}
    await world.renewals.order_now(renewal.id, actor="ada")
    if is_limited:
        limit = CaError("too many", type=RATE_LIMITED, retry_after_s=HOUR_S)
        world.server.to_fail.append(("order", limit))
    else:
        await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(60, step_s=5)
    assert (await world.states(renewal))[-1] is OrderState.CREATED
    assert world.showing.placed == {}


async def test_a_test_order_takes_the_place_of_no_other(world: Renewing):
    renewal = await failed_early(world)
    with pytest.raises(
        ConflictError, match="a test order of this renewal is running; wait until it has ended"
    ):
        await world.renewals.test(renewal.id, actor="ada")
    await world.renewals.order_now(renewal.id, actor="ada")
    with pytest.raises(ConflictError, match="an order of this renewal is running"):
        await world.renewals.test(renewal.id, actor="ada")


async def test_a_test_order_whose_proofs_are_of_another_kind_ends_before_an_order_by_hand(world: Renewing):
    renewal = await failed_early(world)
    wanted = replace(renewal.terms, challenge=ChallengeKind.DNS)
    await world.renewals.change(renewal.id, wanted, actor="ada")
    with pytest.raises(ConflictError, match="wait until it has ended"):
        await world.renewals.order_now(renewal.id, actor="ada")
    await world.once()
    assert world.showing.placed == {}
    assert not (await world.renewals.order_now(renewal.id, actor="ada")).is_test


async def test_a_proof_of_a_test_is_removed_though_it_is_placed_after_the_real_order_has_ended(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=5)
    place = world.showing.place

    async def place_slowly(proofs: Sequence[Proof], *, until_s: float) -> None:
        monkeypatch.setattr(world.showing, "place", place)
        await world.renewals.order_now(renewal.id, actor="ada")
        meanwhile = RenewalRunner(world.dependencies, at_once=1)
        for _ in range(30):
            await meanwhile.once(world.lead)
            world.fleet.settle(await world.context.inventories.current())
            world.now[0] += 5
        assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
        await place(proofs, until_s=until_s)

    monkeypatch.setattr(world.showing, "place", place_slowly)
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
    assert world.showing.placed == {}
