"""What a CA has signed and is refused here: by a real order, and by the test order before it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from common.ids import CertificateId, NodeName
from manager.domain.renewal.moments import Window
from manager.domain.renewal.records import OrderState, RenewalRecord, Terms
from tests.fakes.ca_server import BACKDATED_S, CaServer
from tests.pki import DAY_S
from tests.renewals import Renewing

HOUR_S = 3600.0


async def in_client_slot(world: Renewing, number: CertificateId, _ca: CaServer) -> None:
    await world.use_cases.assignments.assign(number, nodes=[NodeName("n1")], slot="client", actor="ada")


async def expired_when_signed(_world: Renewing, _number: CertificateId, ca: CaServer) -> None:
    ca.lifetime_s = lambda _names: 1800


async def other_names(_world: Renewing, _number: CertificateId, ca: CaServer) -> None:
    ca.to_spoil.append("names")


async def other_key(_world: Renewing, _number: CertificateId, ca: CaServer) -> None:
    ca.to_spoil.append("key")


REFUSED = pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (in_client_slot, "is refused here: "),
        (expired_when_signed, "is refused here: It expired on "),
        (other_names, "does not match the request: it lacks n1.example.com"),
        (other_key, "does not match the request: "),
    ],
)
Wrong = Callable[[Renewing, CertificateId, CaServer], Awaitable[None]]


async def tried(world: Renewing, **terms: object) -> tuple[RenewalRecord, Terms]:
    """Set up a renewal that is paused, with other terms than others have."""
    account, number = await world.account(), await world.certificate(["n1"], age_days=40)
    wanted = replace(world.terms(account), **terms)
    return (await world.renewals.switch_on(number, wanted, paused=True, actor="ada")).renewal, wanted


@REFUSED
async def test_a_test_order_fails_for_what_the_real_order_is_refused_for_and_says_it_in_the_same_words(
    world: Renewing, wrong: Wrong, said: str
):
    renewal, _ = await tried(world)
    for ca in (world.staging, world.server):
        await wrong(world, renewal.certificate_id, ca)
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(60, step_s=5)
    first, second = await world.orders(renewal)
    assert (first.is_test, first.state, second.is_test, second.state) == (
        True,
        OrderState.FAILED,
        False,
        OrderState.FAILED,
    )
    begins = "the real order would be refused once its CA has signed: "
    assert first.problem.message.startswith(f"{begins}the certificate ")
    assert said in first.problem.message
    # the two were signed seconds apart
    assert second.problem.message.startswith(first.problem.message.removeprefix(begins)[:60])


@REFUSED
async def test_what_was_refused_once_it_was_signed_is_not_ordered_again_for_a_day(
    world: Renewing, wrong: Wrong, said: str
):
    renewal = await world.renewing("n1", age_days=31)
    await wrong(world, renewal.certificate_id, world.server)
    await world.pass_time(DAY_S - HOUR_S, step_s=HOUR_S)
    kept = await world.renewal(renewal)
    assert (len(world.server.issued), kept.failures) == (1, 1)
    assert kept.retry_at_s - kept.problem.at_s == DAY_S
    assert said in kept.problem.message
    assert "The CA has signed it, and counts what it signs" in kept.problem.message


async def test_what_somebody_has_mended_is_ordered_again_as_soon_as_it_is_resumed(world: Renewing):
    renewal = await world.renewing("n1", age_days=31)
    await in_client_slot(world, renewal.certificate_id, world.server)
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED]
    await world.use_cases.assignments.unassign(NodeName("n1"), "client", actor="ada")
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]


async def test_a_test_order_judges_no_root_of_a_staging_environment(world: Renewing):
    renewal, _ = await tried(world, preferred_chain="Model Root")
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    (order,) = await world.orders(renewal)
    assert order.state is OrderState.TESTED
    assert order.steps[-1].message == (
        "Whether a chain ends at 'Model Root' was not tried: a staging environment has roots of its own."
    )
    assert [each.message for each in order.steps[:-1]] == [""] * (len(order.steps) - 1)


async def test_a_test_order_fails_for_a_profile_that_the_ca_itself_does_not_have(world: Renewing):
    renewal, wanted = await tried(world, profile="shortlived")
    world.staging.profiles = {"shortlived": "six days"}
    world.server.profiles = {"classic": "90 days"}
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    (order,) = await world.orders(renewal)
    assert order.problem.message == (
        "the CA itself has no profile 'shortlived'; it has classic; choose one of these, or none"
    )
    assert world.staging.asked["order"] == 0
    await world.renewals.change(renewal.id, replace(wanted, profile=""), actor="ada")
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert (await world.states(renewal))[-1] is OrderState.TESTED


async def test_a_test_order_fails_for_a_binding_that_the_ca_itself_demands(world: Renewing):
    renewal, wanted = await tried(world)
    world.server.needs_binding = True
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    (order,) = await world.orders(renewal)
    assert order.problem.message == (
        "the CA itself demands an external account binding, which the account 'le' has not; give it the identifier and the key that you have from the CA"
    )
    await world.accounts.register(wanted.account_id, actor="ada")
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert (await world.states(renewal))[-1] is OrderState.TESTED


@pytest.mark.parametrize("seconds", [600, 7000])
async def test_a_certificate_that_ends_within_hours_takes_no_place(world: Renewing, seconds: int):
    renewal = await world.renewing("n1", age_days=31)
    world.server.lifetime_s = lambda _names: seconds + BACKDATED_S
    await world.pass_time(HOUR_S, step_s=60)
    kept = await world.renewal(renewal)
    assert (len(world.server.issued), kept.certificate_id) == (1, renewal.certificate_id)
    assert "does not last long enough: it ends on " in kept.problem.message


async def test_by_a_clock_that_is_days_ahead_one_certificate_is_ordered_and_refused(world: Renewing):
    renewal = await world.renewing("n1", days=6, age_days=1)
    world.server.lifetime_s = lambda _names: 6 * DAY_S
    signed_now_s = world.server.now
    world.now[0] += 4 * DAY_S
    world.server.now = lambda: signed_now_s() - 4 * DAY_S
    await world.pass_time(HOUR_S, step_s=60)
    assert len(world.server.issued) == 1
    assert "check whether this manager's clock is ahead" in (await world.renewal(renewal)).problem.message


async def test_a_window_that_has_always_passed_brings_few_certificates(world: Renewing):
    renewal = await world.renewing("n1", age_days=31)
    world.server.has_passed_windows = lambda _names: True
    await world.pass_time(2 * DAY_S, step_s=600)
    # at once, after an hour, after six more, after another day
    assert len(world.server.issued) == 4
    assert (await world.renewal(renewal)).failures == 0
    await world.pass_time(7 * DAY_S, step_s=HOUR_S)
    # and every two days
    assert len(world.server.issued) == 7


async def test_a_revoked_certificate_of_six_days_is_renewed_within_the_hour_after_ordinary_renewals(
    world: Renewing,
):
    world.server.lifetime_s = lambda _names: 6 * DAY_S
    world.server.poll_at_s = 600.0
    renewal = await world.renewing("n1", age_days=3, days=6)
    await world.pass_time(7 * DAY_S, step_s=HOUR_S)
    ordinary = await world.orders(renewal)
    assert [each.state for each in ordinary] == [OrderState.SERVED] * 3
    past = Window(start_s=world.now[0] - 2 * HOUR_S, end_s=world.now[0] - HOUR_S)
    world.server.windows[world.server.issued[-1].identifier] = past
    await world.pass_time(2 * HOUR_S, step_s=60)
    taken_over_s = (await world.orders(renewal))[-1].reached_s(OrderState.TAKEN_OVER)
    assert len(await world.orders(renewal)) == 4
    # while the next one is revoked at once
    assert (await world.renewal(renewal)).window_from_s == taken_over_s + 6 * HOUR_S
