"""A certificate that is replaced while its renewal fails: what was wrong with the former one is none of the new one's."""

from collections.abc import Sequence

import pytest

from common.ids import NodeName
from manager.domain.alarms import AlarmKind
from manager.domain.model import AssignmentRecord
from manager.domain.renewal.account_fields import AccountChanges
from manager.domain.renewal.moments import LADDER_S
from manager.domain.renewal.records import OrderState, RenewalRecord
from manager.usecases.renewal.ports import CaError, Ordered
from manager.usecases.renewal.taking_over import TakingOver
from tests.fakes.ca import ModelCa
from tests.pki import DAY_S, make_root
from tests.renewals import Renewing
from tests.unit.usecases.renewal.by_hand import put_another
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0


async def assert_forgotten(world: Renewing, renewal: RenewalRecord) -> None:
    kept = await world.renewal(renewal)
    assert (kept.failures, kept.retry_at_s, kept.problem) == (0, 0.0, None)
    assert await alarms_of(world, AlarmKind.RENEWAL_FAILED) == []


@pytest.mark.parametrize("is_paused", [False, True])
@pytest.mark.parametrize(
    ("act", "state"),
    [
        ("order", OrderState.CREATED),
        ("answer", OrderState.ORDERED),
        ("finalize", OrderState.VALIDATED),
        ("download", OrderState.FINALISED),
    ],
)
async def test_an_order_that_rests_after_a_failure_ends_with_it_as_soon_as_another_certificate_is_put_there(
    world: Renewing, act: str, state: OrderState, is_paused: bool
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.to_fail.append((act, CaError("it is down")))
    await world.pass_time(30, step_s=5)
    assert (await world.states(renewal), (await world.renewal(renewal)).failures) == ([state], 1)
    if is_paused:
        await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await put_another(world, renewal)
    await world.once()
    (order,) = await world.orders(renewal)
    assert order.problem.message == (
        "The order was given up, because another certificate was put in the place of the one to be renewed."
    )
    assert world.showing.placed == {}
    await assert_forgotten(world, renewal)


async def test_a_pause_does_not_hold_an_order_in_whose_certificates_place_another_one_was_put(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.validation_s = HOUR_S
    await world.pass_time(30, step_s=5)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(30, step_s=5)
    assert await world.states(renewal) == [OrderState.PLACED]
    await put_another(world, renewal)
    await world.once()
    assert (await world.states(renewal), world.showing.placed) == ([OrderState.FAILED], {})


async def test_an_order_in_whose_certificates_place_another_one_was_put_rests_when_its_ca_cannot_say_what_it_signed(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.to_fail.append(("finalize", CaError("it is down")))
    await world.pass_time(30, step_s=5)
    assert await world.states(renewal) == [OrderState.VALIDATED]
    world.server.is_down = lambda: True
    wanted = world.terms(renewal.terms.account_id, "n1.example.com")
    await world.renewals.change(renewal.id, wanted, actor="ada")
    await put_another(world, renewal)
    before = world.server.asked["look"]
    await world.pass_time(DAY_S, step_s=HOUR_S)
    assert world.server.asked["look"] - before <= len(LADDER_S)
    await assert_forgotten(world, renewal)
    world.server.is_down = lambda: False
    await world.pass_time(LADDER_S[-1], step_s=HOUR_S)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]


@pytest.mark.parametrize("is_removed", [False, True])
async def test_an_order_that_is_of_no_use_any_more_and_cannot_be_given_up_rests_by_itself(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, is_removed: bool
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.validation_s = HOUR_S
    await world.pass_time(20, step_s=10)
    tried: list[float] = []

    async def failing(_proofs: object) -> None:
        tried.append(world.now[0])
        raise LookupError("what no step foresees")

    with monkeypatch.context() as patched:
        patched.setattr(world.showing, "remove", failing)
        if is_removed:
            await world.renewals.remove(renewal.id, actor="ada")
        else:
            await put_another(world, renewal)
            await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
        await world.pass_time(LADDER_S[0] + 100, step_s=10)
    assert (len(tried), (await world.renewal(renewal)).failures) == (2, 0)
    assert tried[1] - tried[0] >= LADDER_S[0]
    await world.pass_time(LADDER_S[1], step_s=60)
    assert (await world.store.orders.unfinished(), world.showing.placed) == ([], {})


async def test_what_fails_while_another_certificate_is_put_there_is_not_that_ones_failure(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=31)

    async def refused(_ca: ModelCa, _names: Sequence[str], **_given: str) -> Ordered:
        await put_another(world, renewal)
        raise CaError("no", is_final=True)

    monkeypatch.setattr(ModelCa, "order", refused)
    await world.once()
    assert await world.states(renewal) == [OrderState.FAILED]
    await assert_forgotten(world, renewal)
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(20 * DAY_S)
    assert await world.states(renewal) == [OrderState.FAILED]


async def test_what_was_mended_orders_nothing_before_its_time_once_another_certificate_is_put_there(
    world: Renewing,
):
    renewal = await world.renewing("n1")
    world.server.to_fail.append(("order", CaError("no", is_final=True)))
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.once()
    changes = AccountChanges(trusted_cas=make_root().certificate_pem)
    await world.accounts.edit(renewal.terms.account_id, changes, actor="ada")
    assert (await world.renewal(renewal)).follows_at_once
    await put_another(world, renewal)
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED]
    assert not (await world.renewal(renewal)).follows_at_once


async def test_other_terms_are_ordered_at_once_also_if_another_certificate_is_put_there_before(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.to_fail.append(("finalize", CaError("it is down")))
    await world.pass_time(30, step_s=5)
    world.server.is_down = lambda: True
    wanted = world.terms(renewal.terms.account_id, "n1.example.com")
    await world.renewals.change(renewal.id, wanted, actor="ada")
    await world.once()
    assert (await world.renewal(renewal)).failures == 1
    world.server.is_down = lambda: False
    await put_another(world, renewal)
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]


async def test_no_alarm_tells_of_a_failure_with_another_certificate_also_before_it_is_forgotten(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=31)
    world.server.to_fail.append(("order", CaError("no", is_final=True)))
    await world.once()
    assert len(await alarms_of(world, AlarmKind.RENEWAL_FAILED)) == 1
    await put_another(world, renewal)
    assert (await world.renewal(renewal)).failures == 1
    assert await alarms_of(world, AlarmKind.RENEWAL_FAILED) == []


async def first_of(world: Renewing) -> RenewalRecord:
    """Order a certificate for a node that has none."""
    await world.store.nodes.add(
        NodeName("n1"), "node", names=["n1.example.com"], addresses=[], now_s=world.now[0]
    )
    terms = world.terms(await world.account(), "n1.example.com")
    return (await world.renewals.order_new(terms, nodes=[NodeName("n1")], slot="server", actor="ada")).renewal


@pytest.mark.parametrize("is_first", [False, True])
async def test_a_failure_once_the_new_certificate_is_in_place_rests_and_is_forgotten_when_nodes_serve_it(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, is_first: bool
):
    renewal = await (first_of(world) if is_first else world.renewing("n1", age_days=31))
    looked: list[NodeName] = []

    def failing(_taking_over: TakingOver, place: AssignmentRecord, _entry: object) -> str:
        looked.append(place.node)
        raise LookupError("what no step foresees")

    with monkeypatch.context() as patched:
        patched.setattr(TakingOver, "_not_served", failing)
        await world.pass_time(60, step_s=5)
    assert (await world.states(renewal), looked) == ([OrderState.TAKEN_OVER], ["n1"])
    assert (await world.renewal(renewal)).failures == 1
    assert len(await alarms_of(world, AlarmKind.RENEWAL_FAILED)) == 1
    await world.pass_time(LADDER_S[0] + 60, step_s=5)
    assert await world.states(renewal) == [OrderState.SERVED]
    await assert_forgotten(world, renewal)
