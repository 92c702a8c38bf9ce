"""Faults of the manager's own, and of CAs that want what nobody ordered: each holds up one renewal at most."""

from dataclasses import replace
from typing import Any, NoReturn

import pytest

from common.errors import CertcastError, Reason
from manager.domain.inventory import Entry
from manager.domain.renewal.moments import LADDER_S, Window
from manager.domain.renewal.names import is_ordered
from manager.domain.renewal.records import ChallengeKind, LeftProof, OrderState, Proof, RenewalRecord
from manager.usecases.material_checks import read_for_key
from manager.usecases.renewal import runner, windows
from manager.usecases.renewal.fault_isolation import FAULT, RESTS_S
from manager.usecases.renewal.ports import Authorization
from tests.fakes.ca import ModelCa
from tests.fakes.workers import InPlace
from tests.renewals import Renewing

UNFORESEEN = "what nobody foresaw"

PROOF = Proof(
    name="n1.example.com",
    authorization_url="https://ca/authorization/1",
    challenge_url="https://ca/challenge/1",
    token="token",
    response="response",
)


async def unforeseen(*_: object, **__: object) -> NoReturn:
    raise LookupError(UNFORESEEN)


async def test_what_a_ca_gave_is_read_in_workers(world: Renewing):
    await world.renewing("n1", age_days=40)
    await world.pass_time(120, step_s=5)
    assert isinstance(world.context.workers, InPlace)
    assert {"choose_chain", "read_for_key"} <= set(world.context.workers.calls)


async def test_a_worker_that_dies_says_nothing_about_the_certificate(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    run, deaths = world.context.workers.run, []

    async def dying(timeout_s: float, function: Any, *args: Any, **kwargs: Any) -> Any:
        if function is read_for_key and not deaths:
            deaths.append(function)
            raise CertcastError("the process that does this work ended unexpectedly", reason=Reason.INTERNAL)
        return await run(timeout_s, function, *args, **kwargs)

    monkeypatch.setattr(world.context.workers, "run", dying)
    await world.pass_time(120, step_s=5)
    kept = await world.renewal(renewal)
    assert kept.problem.message == "the process that does this work ended unexpectedly"
    assert await world.states(renewal) == [OrderState.DOWNLOADED]
    await world.pass_time(LADDER_S[0] + 120)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert world.server.asked["order"] == 1


async def test_a_fault_of_the_manager_that_one_order_meets_holds_up_no_other(world: Renewing):
    one, other = await world.renewing("n1", age_days=40), await world.renewing("n2", age_days=40)
    world.server.to_fail.append(("order", LookupError("what no step foresees")))
    await world.pass_time(120, step_s=5)
    kept = [await world.renewal(each) for each in (one, other)]
    assert sorted(each.failures for each in kept) == [0, 1]
    assert {each.problem.message for each in kept if each.problem} == {FAULT}
    states = [await world.states(each) for each in (one, other)]
    assert sorted(states) == [[OrderState.CREATED], [OrderState.SERVED]]
    await world.pass_time(LADDER_S[0] + 120)
    assert [await world.states(each) for each in (one, other)] == 2 * [[OrderState.SERVED]]


async def test_a_fault_of_the_manager_when_one_window_is_asked_for_holds_up_no_other(world: Renewing):
    await world.renewing("n1", age_days=1)
    await world.renewing("n2", age_days=1)
    world.server.to_fail.append(("suggested", LookupError("what nobody foresees")))
    await world.pass_time(60, step_s=5)
    assert world.server.asked["suggested"] == 2
    assert len(world.server.asked_window_s) == 2


async def test_a_proof_of_a_name_that_was_not_ordered_is_not_shown(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    authorization = ModelCa.authorization

    async def of_another(ca: ModelCa, url: str, kind: ChallengeKind) -> Authorization:
        return replace(await authorization(ca, url, kind), name="n2.example.com")

    monkeypatch.setattr(ModelCa, "authorization", of_another)
    await world.pass_time(120, step_s=5)
    kept = await world.renewal(renewal)
    assert kept.problem.message == "the CA demands proof for n2.example.com, which was not ordered"
    assert await world.states(renewal) == [OrderState.FAILED]
    assert world.showing.placed == {}


@pytest.mark.parametrize("name", ["N1.Example.com", "2001:DB8:0::1", "*.example.com"])
def test_a_name_is_one_that_was_ordered_however_a_ca_writes_it(name: str):
    written = {"2001:DB8:0::1": "2001:db8::1", "*.example.com": "example.com"}.get(name, name.lower())
    assert is_ordered(written, ["other.example.com", name])
    assert not is_ordered(written, ["other.example.com"])


async def test_a_fault_that_one_certificate_meets_before_its_ca_is_asked_holds_up_no_other(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    one, other = await world.renewing("n1", age_days=5), await world.renewing("n2", age_days=40)
    odd = await world.renewing("n3", age_days=5)
    entries = (await world.context.inventories.current()).entries
    serial_no, ari_id = entries[odd.certificate_id].leaf.serial_no, windows.ari_id

    def failing(key_id: str | None, given: str) -> str | None:
        if given == serial_no:
            raise ValueError("what nobody foresaw")
        return ari_id(key_id, given)

    monkeypatch.setattr(windows, "ari_id", failing)
    await world.pass_time(120, step_s=5)
    assert await world.states(other) == [OrderState.SERVED]
    assert (await world.renewal(one)).poll_at_s > world.now[0]
    assert (await world.renewal(odd)).poll_at_s > world.now[0]


@pytest.mark.parametrize("answer", ["a window", "nothing"])
async def test_a_fault_that_is_met_as_one_window_is_kept_holds_up_no_other_of_the_account(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, answer: str
):
    odd, other = await world.renewing("n1", age_days=40), await world.renewing("n2", age_days=40)
    world.server.has_renewal_info = answer == "a window"
    window_for = windows.window_for

    def failing(renewal: RenewalRecord, entry: Entry | None) -> Window | None:
        if renewal.id == odd.id:
            raise ValueError(UNFORESEEN)
        return window_for(renewal, entry)

    monkeypatch.setattr(windows, "window_for", failing)
    await world.pass_time(120, step_s=5)
    assert [await world.states(each) for each in (odd, other)] == 2 * [[OrderState.SERVED]]


async def test_a_fault_that_is_met_in_taking_a_proof_away_holds_up_nothing(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    leaving, due = await world.renewing("n1", age_days=1), await world.renewing("n2", age_days=40)
    left = LeftProof(
        challenge=ChallengeKind.HTTP,
        proof=PROOF,
        since_s=world.now[0],
        tries=1,
        retry_at_s=world.now[0],
        message="",
    )
    await world.store.renewals.keep(replace(await world.renewal(leaving), left=(left,)))
    monkeypatch.setattr(world.showing, "remove", unforeseen)
    await world.pass_time(60, step_s=5)
    assert await world.states(due) == [OrderState.SERVED]
    for renewal, tries in ((leaving, 2), (due, 1)):
        (kept,) = (await world.renewal(renewal)).left
        assert (kept.message, kept.tries) == (FAULT, tries)
    (order,) = await world.orders(due)
    assert [each.message for each in order.steps if each.message] == [
        f"What was shown for n2.example.com could not be taken away, which is tried again: {FAULT}."
    ]


async def test_an_order_of_a_renewal_that_was_removed_ends_whatever_is_met_in_taking_its_proofs_away(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = 3600.0
    await world.pass_time(30, step_s=5)
    monkeypatch.setattr(world.showing, "remove", unforeseen)
    await world.renewals.remove(renewal.id, actor="ada")
    await world.pass_time(30, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED]


@pytest.mark.parametrize("place", ["fail", "fail_to_begin"])
async def test_a_fault_that_cannot_even_be_kept_rests_and_holds_up_no_other(
    world: Renewing, monkeypatch: pytest.MonkeyPatch, place: str
):
    odd = await world.renewing("n1", age_days=40)
    with monkeypatch.context() as patch:
        patch.setattr(runner, place, unforeseen)
        if place == "fail":
            world.server.to_fail += 2 * [("order", LookupError(UNFORESEEN))]
        else:
            patch.setattr(world.context.workers, "run", unforeseen)
        await world.pass_time(RESTS_S - 10, step_s=1)
        # or it would be looked at again and again meanwhile
        assert await world.runner.once(world.lead) > world.now[0]
    assert len(world.server.to_fail) == (place == "fail")
    world.server.to_fail.clear()
    other = await world.renewing("n2", age_days=40)
    await world.pass_time(5, step_s=1)
    assert await world.states(other) == [OrderState.SERVED]
    assert await world.states(odd) == [OrderState.CREATED][: place == "fail"]
    await world.pass_time(30, step_s=5)
    assert await world.states(odd) == [OrderState.SERVED]


async def test_a_fault_that_is_met_as_a_renewal_is_forgotten_holds_up_no_other(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    odd, due = await world.renewing("n1", age_days=1), await world.renewing("n2", age_days=40)
    await world.use_cases.certificates.delete([odd.certificate_id], force=True, actor="ada")
    with monkeypatch.context() as patch:
        patch.setattr(runner, "delete_or_retire", unforeseen)
        patch.setattr(runner, "fail_to_begin", unforeseen)
        await world.pass_time(30, step_s=5)
    assert await world.states(due) == [OrderState.SERVED]
    assert len(await world.store.renewals.list()) == 2
    await world.pass_time(RESTS_S, step_s=5)
    assert [each.id for each in await world.store.renewals.list()] == [due.id]
