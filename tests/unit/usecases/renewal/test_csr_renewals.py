"""Certificates that somebody renews by sending a request to a CA."""

from typing import Any

import pytest

from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.alarms import AlarmKind
from manager.domain.model import CsrRecord
from manager.domain.renewal.records import OrderState
from manager.usecases.csrs import AnsweredCsr, CsrChanges, CsrUseCases, KeyChoice
from tests.pki import DAY_S, NOW_S, chain_pem, sign_request
from tests.renewals import Renewing
from tests.unit.usecases.renewal.by_hand import put_another
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0


@pytest.fixture
async def requested(world: Renewing):
    """A certificate that is renewed by request, shortly before it is due."""
    number = await world.certificate(["n1"], age_days=28)
    made = await world.renewals.switch_on(number, None, send_to="certs@example.com", actor="ada")
    return made.renewal


async def answer(world: Renewing, *, take_over: bool = True) -> AnsweredCsr:
    """Answer the request that is open, as its CA does."""
    (request,) = await world.use_cases.csrs.list()
    return await world.use_cases.csrs.answer(
        request.id,
        certificate=sign_request(world.server.issuer, request.pem) + chain_pem(world.server.issuer),
        parameters="",
        take_over=take_over,
        nodes=[],
        slot="server",
        actor="ada",
    )


async def test_a_request_is_opened_in_time_and_somebody_is_told_whom_to_send_it(world: Renewing, requested):
    await world.pass_time(60)
    assert await world.use_cases.csrs.list() == []
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    (request,) = await world.use_cases.csrs.list()
    assert (request.replaces_id, request.subject_alt_names) == (requested.certificate_id, ("n1.example.com",))
    assert (await world.renewal(requested)).request_id == request.id
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_REQUESTED)
    assert f"request {request.id}: send the request to certs@example.com" in alarm.details


async def test_what_is_renewed_by_request_is_not_ordered_and_whoever_tries_is_told_so(
    world: Renewing, requested
):
    with pytest.raises(ConflictError) as refused:
        await world.renewals.order_now(requested.id, actor="ada")
    assert (
        refused.value.message
        == "this certificate is renewed by a signing request sent to its CA, so nothing can be ordered"
    )


async def test_its_answer_is_what_is_renewed_next_and_lowers_the_alarm(world: Renewing, requested):
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    answered = await answer(world)
    await world.pass_time(60)
    kept = await world.renewal(requested)
    assert (kept.certificate_id, kept.request_id) == (answered.kept.certificate.id, None)
    assert await alarms_of(world, AlarmKind.RENEWAL_REQUESTED) == []
    await world.pass_time(DAY_S, step_s=HOUR_S)
    assert len(await world.use_cases.csrs.list()) == 1


async def test_an_answer_that_is_not_taken_over_raises_an_alarm_until_a_node_uses_it(
    world: Renewing, requested
):
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    answered = await answer(world, take_over=False)
    await world.pass_time(60)
    assert await alarms_of(world, AlarmKind.RENEWAL_REQUESTED) == []
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_UNSERVED)
    assert "It was renewed, but no node uses it" in alarm.details
    await world.use_cases.assignments.assign(
        answered.kept.certificate.id, nodes=[NodeName("n1")], slot="server", actor="ada"
    )
    await world.pass_time(60)
    assert await alarms_of(world, AlarmKind.RENEWAL_UNSERVED) == []


async def test_a_request_that_waits_already_is_not_opened_a_second_time(world: Renewing, requested):
    await world.use_cases.csrs.create(
        replaces=requested.certificate_id,
        changes=CsrChanges(),
        key=KeyChoice(is_alike=True),
        actor="ada",
    )
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    (request,) = await world.use_cases.csrs.list()
    assert (await world.renewal(requested)).request_id == request.id


async def test_a_request_that_was_deleted_is_opened_again(world: Renewing, requested):
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    (request,) = await world.use_cases.csrs.list()
    await world.use_cases.csrs.delete([request.id], actor="ada")
    await world.pass_time(60)
    (again,) = await world.use_cases.csrs.list()
    assert again.id != request.id


async def test_none_is_opened_while_it_is_paused(world: Renewing, requested):
    await world.renewals.set_paused(requested.id, paused=True, actor="ada")
    await world.pass_time(5 * DAY_S, step_s=HOUR_S)
    assert await world.use_cases.csrs.list() == []


async def test_a_request_that_is_open_is_waited_for_no_longer_once_the_certificate_is_ordered(
    world: Renewing, requested
):
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    former = (await world.renewal(requested)).request_id
    await world.renewals.change(requested.id, world.terms(await world.account()), actor="ada")
    assert await alarms_of(world, AlarmKind.RENEWAL_REQUESTED) == []
    await world.pass_time(DAY_S)
    assert await world.states(requested) == [OrderState.SERVED]
    await world.renewals.change(requested.id, None, send_to="pki", actor="ada")
    await world.pass_time(35 * DAY_S)
    assert (await world.renewal(requested)).request_id not in {None, former}
    assert len(await alarms_of(world, AlarmKind.RENEWAL_REQUESTED)) == 1


async def test_no_answer_is_waited_for_once_somebody_has_put_another_certificate_in_place(
    world: Renewing, requested
):
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    await put_another(world, requested)
    await world.pass_time(60)
    assert (await world.renewal(requested)).request_id is None
    assert await alarms_of(world, AlarmKind.RENEWAL_REQUESTED) == []
    assert len(await world.use_cases.csrs.list()) == 1


async def test_no_request_is_opened_while_what_was_ordered_waits_to_be_taken_over(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    # what it brings is not valid yet
    monkeypatch.setattr("tests.fakes.ca_server.BACKDATED_S", -2 * HOUR_S)
    await world.pass_time(600, step_s=30)
    assert await world.states(renewal) == [OrderState.DOWNLOADED]
    await world.renewals.change(renewal.id, None, send_to="pki", actor="ada")
    await world.pass_time(600, step_s=30)
    assert await world.use_cases.csrs.list() == []
    await world.pass_time(3 * HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert await world.use_cases.csrs.list() == []


@pytest.mark.parametrize("is_answered", [False, True])
async def test_what_is_ordered_by_the_time_that_a_request_is_opened_or_answered_waits_for_none(
    world: Renewing, requested, monkeypatch: pytest.MonkeyPatch, is_answered: bool
):
    if is_answered:
        await world.pass_time(3 * DAY_S, step_s=HOUR_S)
        await answer(world)
    terms, of = world.terms(await world.account()), CsrUseCases.get if is_answered else CsrUseCases.create

    async def slow(csrs: CsrUseCases, *args: Any, **kwargs: Any) -> CsrRecord:
        made = await of(csrs, *args, **kwargs)
        if world.now[0] > NOW_S and (await world.renewal(requested)).terms is None:
            await world.renewals.change(requested.id, terms, actor="ada")
        return made

    monkeypatch.setattr(CsrUseCases, of.__name__, slow)
    await world.pass_time(4 * DAY_S, step_s=HOUR_S)
    kept = await world.renewal(requested)
    assert (kept.terms, kept.request_id) == (terms, None)
    assert await world.states(requested) == [OrderState.SERVED]
