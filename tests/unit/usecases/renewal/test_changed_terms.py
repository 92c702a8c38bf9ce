"""Terms that are changed while an order is under way: what the CA signs is not thrown away, and what was changed does not wait for the next renewal."""

from dataclasses import replace

import pytest

from common.errors import ConflictError
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.capacity import limited
from manager.domain.renewal.records import AccountId, ChallengeKind, OrderState, RenewalRecord
from manager.domain.renewal.schedule import RATE_LIMITED
from manager.usecases.renewal.ports import CaError
from manager.usecases.renewal.progress import fail
from tests.pki import DAY_S
from tests.renewals import STAGING, Renewing

HOUR_S = 3600.0
MORE = ("n1.example.com", "more.example.com")
SERVED, FAILED = OrderState.SERVED, OrderState.FAILED


async def being_signed(world: Renewing, *, by_hand: bool = False) -> RenewalRecord:
    """Begin an order that the CA takes an hour to sign."""
    renewal = await world.renewing("n1", age_days=8 if by_hand else 31)
    world.server.processing_s = HOUR_S
    if by_hand:
        await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FINALISED]
    return renewal


async def change(world: Renewing, renewal: RenewalRecord, **terms: object) -> None:
    await world.renewals.change(renewal.id, replace(renewal.terms, **terms), actor="ada")


async def at_another_ca(world: Renewing, *, staging_url: str = "") -> AccountId:
    fields = AccountFields(
        name="other", directory_url="https://other.example.com/directory", staging_url=staging_url
    )
    return (await world.accounts.add(fields, actor="ada")).id


@pytest.mark.parametrize("by_hand", [False, True])
async def test_what_is_being_signed_is_taken_into_use_and_what_was_changed_is_ordered_at_once_then(
    world: Renewing, by_hand: bool
):
    renewal = await being_signed(world, by_hand=by_hand)
    await change(world, renewal, names=MORE)
    await world.pass_time(3 * HOUR_S, step_s=60)
    assert await world.states(renewal) == [SERVED, SERVED]
    assert [each.names for each in world.server.issued] == [("n1.example.com",), MORE]
    await world.pass_time(5 * DAY_S)
    assert len(world.server.issued) == 2


@pytest.mark.parametrize("changes", [{"challenge": ChallengeKind.DNS}, {}])
async def test_what_fits_the_new_terms_is_all_that_is_ordered(world: Renewing, changes: dict[str, object]):
    renewal = await being_signed(world)
    await change(world, renewal, names=MORE)
    await change(world, renewal, **changes)
    await world.pass_time(5 * DAY_S, step_s=HOUR_S)
    assert await world.states(renewal) == [SERVED]


async def test_what_was_changed_is_ordered_at_once_though_the_nodes_do_not_serve_the_former_order_yet(
    world: Renewing,
):
    renewal = await being_signed(world)
    await change(world, renewal, names=MORE)
    world.fleet.is_held = lambda _name: True
    await world.pass_time(2 * HOUR_S, step_s=60)
    assert await world.states(renewal) == [OrderState.TAKEN_OVER]
    world.fleet.is_held = lambda _name: False
    await world.pass_time(2 * HOUR_S, step_s=60)
    assert await world.states(renewal) == [SERVED, SERVED]


async def test_what_was_changed_and_changed_back_while_a_node_is_awaited_is_not_ordered_again(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    world.fleet.is_held = lambda _name: True
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.TAKEN_OVER]
    await change(world, renewal, names=MORE)
    await change(world, renewal)
    world.fleet.is_held = lambda _name: False
    await world.pass_time(5 * DAY_S, step_s=HOUR_S)
    assert await world.states(renewal) == [SERVED]


async def test_an_order_whose_request_the_ca_took_without_an_answer_is_collected_all_the_same(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.to_lose.append("finalize")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.VALIDATED]
    await change(world, renewal, names=MORE)
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [SERVED, SERVED]
    assert [each.names for each in world.server.issued] == [("n1.example.com",), MORE]


async def test_an_order_before_its_time_that_is_given_up_for_other_terms_is_followed_by_one_with_them(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=8)
    world.showing.missing_at = lambda _name: "n1"
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.ORDERED]
    world.showing.missing_at = lambda _name: ""
    await change(world, renewal, names=MORE)
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [FAILED, SERVED]
    assert [each.names for each in world.server.issued] == [MORE]


@pytest.mark.parametrize("is_down", [False, True])
async def test_another_account_does_not_wait_for_a_ca_that_does_not_sign(world: Renewing, is_down: bool):
    renewal = await being_signed(world)
    if is_down:
        world.server.to_fail += [("look", CaError("it is down"))] * 9
    other = await at_another_ca(world)
    world.server.processing_s = 0.0
    await change(world, renewal, account_id=other)
    await world.once()
    assert (await world.states(renewal))[0] is FAILED
    world.server.to_fail.clear()
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [FAILED, SERVED]


@pytest.mark.parametrize("is_gone", [False, True])
async def test_a_former_account_stays_until_nothing_is_signed_for_it_and_an_order_without_its_account_is_given_up(
    world: Renewing, is_gone: bool
):
    renewal = await being_signed(world)
    fields = AccountFields(name="other", directory_url="https://other.example.com/directory")
    other = (await world.accounts.add(fields, actor="ada")).id
    await change(world, renewal, account_id=other)
    former = renewal.terms.account_id
    with pytest.raises(ConflictError, match="nobody could collect it any more"):
        await world.accounts.delete(former, actor="ada")
    if is_gone:
        # as an earlier release let it go
        await world.store.accounts.delete(former)
    world.server.processing_s = 0.0
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [FAILED, SERVED]
    if not is_gone:
        await world.accounts.delete(former, actor="ada")


async def test_what_is_refused_after_its_account_went_is_a_failure_like_any_other(world: Renewing):
    renewal = await being_signed(world)
    order = await world.store.orders.unfinished_of(renewal.id)
    fields = AccountFields(name="other", directory_url="https://other.example.com/directory")
    other = (await world.accounts.add(fields, actor="ada")).id
    await change(world, renewal, account_id=other)
    await world.store.accounts.delete(renewal.terms.account_id)
    context = world.renewals._context
    await fail(context, order, CaError("it is not what was asked for", is_final=True, is_signed=True))
    assert (await world.renewal(renewal)).failures == 1


async def test_terms_that_are_changed_while_nothing_is_ordered_wait_for_the_next_renewal(world: Renewing):
    renewal = await world.renewing("n1", age_days=8)
    await change(world, renewal, names=MORE)
    await world.pass_time(5 * DAY_S)
    assert await world.orders(renewal) == []


async def test_a_renewal_by_request_follows_nothing_at_once(world: Renewing):
    renewal = await being_signed(world, by_hand=True)
    await change(world, renewal, names=MORE)
    await world.renewals.change(renewal.id, None, send_to="pki", actor="ada")
    await world.pass_time(3 * HOUR_S, step_s=60)
    assert (await world.renewal(renewal)).request_id is None


@pytest.mark.parametrize("state", [OrderState.PLACED, OrderState.VALIDATED])
async def test_an_order_by_former_terms_ends_while_its_renewal_is_paused_so_that_the_new_ones_can_be_tried(
    world: Renewing, state: OrderState
):
    renewal = await world.renewing("n1", age_days=40)
    if state is OrderState.PLACED:
        world.server.validation_s = HOUR_S
    else:
        world.server.to_fail.append(("finalize", CaError("it is down")))
    await world.pass_time(30, step_s=5)
    assert await world.states(renewal) == [state]
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await change(world, renewal, account_id=await at_another_ca(world, staging_url=STAGING))
    await world.pass_time(30, step_s=5)
    assert await world.states(renewal) == [FAILED]
    assert world.showing.placed == {}
    assert (await world.accounts.deactivate(renewal.terms.account_id, actor="ada")).is_deactivated
    await world.renewals.test(renewal.id, actor="ada")
    world.server.validation_s = 0.0
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [FAILED, OrderState.TESTED]


async def limited_for(world: Renewing, seconds: float) -> RenewalRecord:
    """Let a CA ask a renewal that is due to wait."""
    renewal = await world.renewing("n1", age_days=40)
    error = CaError("the CA refused", type=RATE_LIMITED, detail="too many", retry_after_s=seconds)
    world.server.to_fail.append(("order", error))
    await world.once()
    assert (await world.renewal(renewal)).retry_at_s >= world.now[0] + seconds
    return renewal


@pytest.mark.parametrize("wait_s", [HOUR_S, 7 * HOUR_S])
async def test_another_ca_is_not_waited_for_as_long_as_the_former_asked_and_holds_up_no_other_order(
    world: Renewing, wait_s: float
):
    renewal = await limited_for(world, wait_s)
    await change(world, renewal, account_id=await at_another_ca(world))
    kept = await world.renewal(renewal)
    assert (kept.retry_at_s, kept.problem, limited([kept])) == (0.0, None, {})
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [FAILED, SERVED]


@pytest.mark.parametrize(("wait_s", "is_kept"), [(HOUR_S, False), (7 * HOUR_S, True)])
async def test_another_account_at_the_same_ca_waits_for_what_is_counted_of_names_and_not_of_the_former_account(
    world: Renewing, wait_s: float, is_kept: bool
):
    renewal = await limited_for(world, wait_s)
    await change(world, renewal, account_id=await world.account("second"))
    kept = await world.renewal(renewal)
    assert (kept.retry_at_s > world.now[0], kept.problem is not None) == (is_kept, is_kept)
    assert limited([kept]) == {}


async def test_a_request_does_not_wait_for_a_ca_that_is_asked_no_more(world: Renewing):
    renewal = await limited_for(world, HOUR_S)
    await world.renewals.change(renewal.id, None, send_to="pki", actor="ada")
    kept = await world.renewal(renewal)
    assert (kept.retry_at_s, kept.problem) == (0.0, None)


async def test_the_same_account_is_waited_for_with_other_names_too(world: Renewing):
    renewal = await limited_for(world, HOUR_S)
    await change(world, renewal, names=MORE)
    kept = await world.renewal(renewal)
    assert limited([kept]) == {renewal.terms.account_id: kept.retry_at_s}
