"""Certificates that somebody renews by sending a request to a CA."""

import pytest

from common.errors import ConflictError
from manager.domain.alarms import AlarmKind
from manager.usecases.csrs import CsrChanges, KeyChoice
from tests.pki import DAY_S, chain_pem, sign_request
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0


@pytest.fixture
async def requested(world: Renewing):
    """A certificate that is renewed by request, shortly before it is due."""
    number = await world.certificate(["n1"], age_days=28)
    made = await world.renewals.switch_on(number, None, send_to="certs@example.com", actor="ada")
    return made.renewal


async def test_a_request_is_opened_in_time_and_somebody_is_told_whom_to_send_it(world: Renewing, requested):
    await world.pass_time(60)
    assert await world.use_cases.csrs.list() == []
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    (request,) = await world.use_cases.csrs.list()
    assert (request.replaces_id, request.subject_alt_names) == (requested.certificate_id, ("n1.example.com",))
    assert (await world.renewal(requested)).request_id == request.id
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_REQUESTED)
    assert f"request {request.id}: send that to certs@example.com" in alarm.details


async def test_what_is_renewed_by_request_is_not_ordered_and_whoever_tries_is_told_so(
    world: Renewing, requested
):
    with pytest.raises(ConflictError) as refused:
        await world.renewals.order_now(requested.id, actor="ada")
    assert (
        refused.value.message
        == "nothing is ordered for this: it is renewed by a request that is sent to its CA"
    )


async def test_its_answer_is_what_is_renewed_next_and_lowers_the_alarm(world: Renewing, requested):
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    (request,) = await world.use_cases.csrs.list()
    answered = await world.use_cases.csrs.answer(
        request.id,
        certificate=sign_request(world.server.issuer, request.pem) + chain_pem(world.server.issuer),
        parameters="",
        take_over=True,
        nodes=[],
        slot="server",
        actor="ada",
    )
    await world.pass_time(60)
    kept = await world.renewal(requested)
    assert (kept.certificate_id, kept.request_id) == (answered.kept.certificate.id, None)
    assert await alarms_of(world, AlarmKind.RENEWAL_REQUESTED) == []
    await world.pass_time(DAY_S, step_s=HOUR_S)
    assert len(await world.use_cases.csrs.list()) == 1


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
