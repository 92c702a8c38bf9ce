"""What a CA has signed and is refused here counts there: of the few that it signs, one is left for whoever mends the cause."""

from dataclasses import replace

import pytest

from common.errors import NotFoundError
from common.ids import NodeName
from manager.domain.alarms import AlarmKind
from manager.domain.renewal.account_fields import AccountChanges, AccountFields
from manager.domain.renewal.budget import SIGNED_BY_ITSELF_MOST, SIGNED_MOST, allowed_s, words_of_limit
from manager.domain.renewal.records import OrderState, RenewalRecord
from manager.usecases.renewal.progress import signed_for
from tests.pki import DAY_S, make_root
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0
WEEK_S = 7 * DAY_S


async def refused(world: Renewing, *, age_days: float = 31) -> RenewalRecord:
    """Let a certificate be refused whose CA has signed it: its node has it in a slot of clients, too."""
    renewal = await world.renewing("n1", age_days=age_days)
    await world.use_cases.assignments.assign(
        renewal.certificate_id, nodes=[NodeName("n1")], slot="client", actor="ada"
    )
    await world.pass_time(60, step_s=5)
    assert (await world.states(renewal), len(world.server.issued)) == ([OrderState.FAILED], 1)
    return renewal


async def mend(world: Renewing, renewal: RenewalRecord) -> None:
    await world.use_cases.assignments.unassign(NodeName("n1"), "client", actor="ada")
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(60, step_s=5)


async def test_of_what_a_ca_signs_in_a_week_one_is_left_for_whoever_mends_the_cause_also_after_the_end(
    world: Renewing,
):
    renewal = await refused(world, age_days=44)
    # the certificate ends within a day
    await world.pass_time(6.5 * DAY_S, step_s=HOUR_S)
    assert len(world.server.issued) == SIGNED_BY_ITSELF_MOST
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert (
        "For these names it has signed 4 certificates in seven days, and a CA such as Let's Encrypt signs 5; the last one is left for whoever resumes the renewal."
        in alarm.details
    )
    await mend(world, renewal)
    assert (await world.states(renewal))[-1] is OrderState.SERVED
    assert len(world.server.issued) == SIGNED_MOST


async def test_what_is_refused_for_good_is_signed_no_more_often_than_a_ca_lets_it(world: Renewing):
    await refused(world, age_days=44)
    await world.pass_time(40 * DAY_S, step_s=HOUR_S)
    signed = [each.at_s for each in world.server.issued]
    assert len(signed) >= 2 * SIGNED_BY_ITSELF_MOST
    assert all(after - before > WEEK_S for before, after in zip(signed, signed[4:], strict=False))


async def test_what_has_ended_is_ordered_again_a_day_later_and_not_each_hour(world: Renewing):
    await refused(world, age_days=46)
    await world.pass_time(DAY_S - HOUR_S, step_s=HOUR_S)
    assert len(world.server.issued) == 1
    await world.pass_time(2 * HOUR_S, step_s=HOUR_S)
    assert len(world.server.issued) == 2


async def test_no_edit_and_no_registration_of_its_account_lets_it_be_signed_again(world: Renewing):
    renewal = await refused(world)
    before, account = await world.renewal(renewal), renewal.terms.account_id
    for changes in (
        AccountChanges(name="x"),
        AccountChanges(contact=["a@example.com"]),
        AccountChanges(trusted_cas=make_root().certificate_pem),
        AccountChanges(staging_url=""),
    ):
        await world.accounts.edit(account, changes, actor="ada")
        await world.pass_time(60, step_s=5)
    await world.accounts.register(account, actor="ada")
    await world.pass_time(60, step_s=5)
    assert (len(world.server.issued), await world.renewal(renewal)) == (1, before)


async def test_terms_that_bring_the_same_certificate_do_not_let_it_be_signed_again(world: Renewing):
    renewal = await refused(world)
    before = await world.renewal(renewal)
    await world.renewals.change(renewal.id, before.terms, actor="ada")
    await world.pass_time(60, step_s=5)
    after = await world.renewal(renewal)
    assert (len(world.server.issued), after.problem, after.failures) == (1, before.problem, 1)
    assert after.retry_at_s == before.retry_at_s


async def test_terms_that_bring_another_certificate_are_tried_at_once_while_there_are_enough_left(
    world: Renewing,
):
    renewal = await refused(world)
    world.server.profiles = {f"p{number}": "" for number in range(9)}
    for number in range(6):
        wanted = replace(renewal.terms, profile=f"p{number}")
        await world.renewals.change(renewal.id, wanted, actor="ada")
        await world.pass_time(60, step_s=5)
    assert len(world.server.issued) == SIGNED_BY_ITSELF_MOST
    kept = await world.renewal(renewal)
    assert (kept.terms.profile, kept.failures > 0) == ("p5", True)
    assert "is left for whoever resumes the renewal" in kept.problem.message
    await mend(world, renewal)
    assert (await world.states(renewal))[-1] is OrderState.SERVED


async def test_what_a_ca_has_signed_counts_also_if_its_renewal_is_removed_and_set_up_again(world: Renewing):
    renewal = await refused(world)
    for _ in range(SIGNED_BY_ITSELF_MOST - 1):
        await world.renewals.remove(renewal.id, actor="ada")
        again = await world.renewals.switch_on(renewal.certificate_id, renewal.terms, actor="ada")
        renewal = again.renewal
        await world.pass_time(60, step_s=5)
    assert len(world.server.issued) == SIGNED_BY_ITSELF_MOST
    await world.pass_time(6 * DAY_S, step_s=HOUR_S)
    assert len(world.server.issued) == SIGNED_BY_ITSELF_MOST
    assert "the last one is left for whoever resumes" in (await world.renewal(renewal)).problem.message


@pytest.mark.parametrize("with_certificate", [False, True])
async def test_what_is_left_of_a_renewal_for_counting_is_seen_by_nobody_uses_no_account_and_goes_in_a_week(
    world: Renewing, with_certificate: bool
):
    renewal = await refused(world)
    if with_certificate:
        await world.use_cases.certificates.delete([renewal.certificate_id], force=True, actor="ada")
        await world.once()
    else:
        await world.renewals.remove(renewal.id, actor="ada")
    account, names = renewal.terms.account_id, ["n1.example.com"]
    assert len(await signed_for(world.context, names, account)) == 1
    assert await world.store.renewals.list() == []
    with pytest.raises(NotFoundError):
        await world.renewals.show(renewal.id)
    await world.pass_time(WEEK_S - HOUR_S, step_s=DAY_S)
    await world.renewals.collect()
    assert len(await world.orders(renewal)) == 1
    await world.pass_time(HOUR_S)
    await world.renewals.collect()
    assert await world.orders(renewal) == []
    await world.accounts.delete(account, actor="ada")


async def test_an_account_can_go_though_what_its_ca_has_signed_still_counts(world: Renewing):
    renewal = await refused(world)
    await world.renewals.remove(renewal.id, actor="ada")
    await world.accounts.delete(renewal.terms.account_id, actor="ada")
    assert await world.accounts.list() == []


async def test_other_names_are_counted_by_themselves(world: Renewing):
    renewal = await refused(world)
    await world.pass_time(6 * DAY_S, step_s=HOUR_S)
    assert len(world.server.issued) == SIGNED_BY_ITSELF_MOST
    wanted = replace(renewal.terms, names=("n1.example.com", "more.example.com"))
    await world.renewals.change(renewal.id, wanted, actor="ada")
    await world.pass_time(60, step_s=5)
    assert len(world.server.issued) == SIGNED_BY_ITSELF_MOST + 1


async def test_certificates_of_a_day_that_are_taken_into_use_are_renewed_each_day(world: Renewing):
    world.server.lifetime_s = lambda _names: int(DAY_S)
    renewal = await world.renewing("n1", days=1)
    await world.pass_time(10 * DAY_S, step_s=600.0)
    assert len([each for each in await world.states(renewal) if each is OrderState.SERVED]) > 10
    world.server.to_spoil.append("names")
    # a moment in each window is drawn, so that in one day there may be two of them or none
    await world.pass_time(2 * DAY_S, step_s=600.0)
    states = await world.states(renewal)
    assert states.count(OrderState.FAILED) == 1
    assert states[states.index(OrderState.FAILED) + 1] is OrderState.SERVED


@pytest.mark.parametrize(
    ("signed", "from_s"),
    [([], 0.0), ([1.0, 2.0, 3.0], 0.0), ([4.0, 2.0, 3.0, 1.0], 1.0 + WEEK_S), ([1, 2, 3, 4, 5], 2 + WEEK_S)],
)
def test_the_fourth_last_must_be_a_week_old(signed: list[float], from_s: float):
    assert allowed_s(signed) == from_s


def test_once_all_are_signed_none_is_said_to_be_left():
    said = words_of_limit([1.0, 2.0, 3.0, 4.0, 5.0], now_s=6.0)
    assert "5 certificates in seven days" in said
    assert "what it signs next is left for whoever resumes" in said


async def test_what_a_ca_has_signed_counts_however_somebody_wrote_its_names(world: Renewing):
    renewal = await refused(world)
    (order,) = await world.orders(renewal)
    await world.store.orders.keep(replace(order, names=("N1.Example.COM",)))
    assert len(await signed_for(world.context, ["n1.example.com"], renewal.terms.account_id)) == 1
    same = AccountFields(name="same", directory_url="https://CA.example.com:443/directory")
    other = (await world.accounts.add(same, actor="ada")).id
    assert len(await signed_for(world.context, ["n1.example.com"], other)) == 1
