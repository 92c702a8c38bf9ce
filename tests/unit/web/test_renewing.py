"""Renewals as pages show them."""

from collections.abc import Collection
from dataclasses import replace

import pytest

from common.ids import CertificateId, CsrId
from manager.domain.renewal.records import (
    AccountId,
    AccountRecord,
    ChallengeKind,
    OrderId,
    OrderRecord,
    OrderState,
    Problem,
    RenewalId,
    RenewalRecord,
    Step,
    Terms,
)
from manager.usecases.renewal.shown import ShownRenewal
from manager.web.renewing import CHALLENGES, STATES, Renewal, renewals_of
from tests.pki import NOW_S

TERMS = Terms(account_id=AccountId(1), challenge=ChallengeKind.HTTP, names=("a.example.com",))
ACCOUNT = AccountRecord(
    id=AccountId(1),
    name="le",
    directory_url="https://ca/directory",
    staging_url="https://staging/directory",
    trusted_cas="",
    contact=(),
    binding_id="",
    url="",
    terms_agreed=True,
    created_s=NOW_S,
)
NEW = RenewalRecord(
    id=RenewalId(1), certificate_id=None, terms=TERMS, is_new=True, created_s=NOW_S, changed_s=NOW_S
)
ORDER = OrderRecord(
    id=OrderId(1),
    renewal_id=RenewalId(1),
    is_test=False,
    state=OrderState.ORDERED,
    names=("a.example.com",),
    terms=TERMS,
    replaces="",
    replaces_leaf=None,
    request_pem="",
    created_s=NOW_S,
    changed_s=NOW_S,
)
FAILED = Problem(at_s=NOW_S, message="it failed", detail="no proof")


def shown(record: RenewalRecord = NEW, *orders: OrderRecord) -> ShownRenewal:
    return ShownRenewal(renewal=record, entry=None, orders=orders)


def steps(*taken: tuple[OrderState, str], failed: Collection[str] = ()) -> tuple[Step, ...]:
    return tuple(
        Step(at_s=NOW_S + 10 * number, state=state, message=message, is_failure=message in failed)
        for number, (state, message) in enumerate(taken)
    )


def of(record: RenewalRecord, *orders: OrderRecord, account: AccountRecord | None = ACCOUNT) -> Renewal:
    return Renewal(shown=shown(record, *orders), account=account)


def test_failures_come_first_then_what_waits_for_somebody_then_what_is_next():
    records = (
        replace(NEW, id=RenewalId(1), is_paused=True),
        replace(NEW, id=RenewalId(2), created_s=NOW_S + 9),
        replace(NEW, id=RenewalId(3), created_s=NOW_S + 5),
        replace(NEW, id=RenewalId(4), created_s=NOW_S + 5),
        replace(NEW, id=RenewalId(5), terms=None, request_id=CsrId(1)),
        replace(NEW, id=RenewalId(6), failures=1, problem=FAILED),
    )
    found = renewals_of([shown(each) for each in records], {ACCOUNT.id: ACCOUNT})
    assert [each.record.id for each in found] == [6, 5, 3, 4, 2, 1]


def test_with_an_account_that_was_deactivated_nothing_comes_next_and_nothing_can_be_ordered():
    found = of(NEW, account=replace(ACCOUNT, deactivated_s=NOW_S))
    assert (found.state, found.words, found.next_at_s) == ("stopped", "Stopped", None)
    assert (found.can_order, found.can_test) == (False, False)


def test_a_certificate_that_is_not_there_yet_is_not_said_to_be_renewed_in_time():
    assert of(NEW).meaning == "Its first order begins as soon as it can."
    own = replace(NEW, certificate_id=CertificateId(3), is_new=False)
    assert of(own).meaning == "It is renewed in time."
    behind = Renewal(shown=replace(shown(own), waits_until="order 5 is over"), account=ACCOUNT)
    assert behind.meaning == "An order waits until order 5 is over."


@pytest.mark.parametrize("search", ["A.EXAMPLE", "le", "pki@"])
def test_a_renewal_is_found_by_its_names_its_account_and_who_gets_its_request(search: str):
    other = replace(
        NEW, id=RenewalId(2), terms=replace(TERMS, account_id=AccountId(9), names=("b.test",)), send_to="x"
    )
    wanted = [shown(replace(NEW, send_to="pki@example.com")), shown(other)]
    (found,) = renewals_of(wanted, {ACCOUNT.id: ACCOUNT}, search=search)
    assert found.record.id == 1


def test_an_attempt_that_failed_is_told_from_a_step_that_has_something_to_say():
    order = replace(
        ORDER,
        steps=steps(
            (OrderState.CREATED, ""),
            (OrderState.ORDERED, ""),
            (OrderState.PLACED, "the CA is asked although n2 is missing"),
            (OrderState.ORDERED, "it failed"),
            (OrderState.PLACED, "the CA is asked although n2 is missing"),
            (OrderState.FAILED, "it failed again"),
            failed={"it failed", "it failed again"},
        ),
    )
    (attempt,) = of(NEW, order).attempts
    assert [each.kind for each in attempt.steps] == ["ok", "ok", "info", "bad", "info", "bad"]
    assert [each.words for each in attempt.steps[2:5]].count("an attempt failed") == 1
    assert [each.later_s for each in attempt.steps] == [0, 10, 10, 10, 10, 10]


def test_what_an_order_waits_for_is_told_unless_its_last_step_tells_it():
    waiting = replace(ORDER, steps=steps((OrderState.ORDERED, "")), problem=FAILED)
    told = replace(waiting, steps=steps((OrderState.ORDERED, "it failed"), failed={"it failed"}))
    assert [each.waits_for for each in of(NEW, waiting, told, ORDER).attempts] == ["it failed", "", ""]


@pytest.mark.parametrize(
    ("state", "problem", "kind"),
    [
        (OrderState.SERVED, None, "ok"),
        (OrderState.TESTED, None, "ok"),
        (OrderState.FAILED, FAILED, "bad"),
        (OrderState.ORDERED, None, "wait"),
        (OrderState.TAKEN_OVER, FAILED, "warn"),
    ],
)
def test_an_attempt_has_the_shape_of_how_it_went(state: OrderState, problem: Problem | None, kind: str):
    (attempt,) = of(NEW, replace(ORDER, state=state, problem=problem)).attempts
    assert attempt.kind == kind


def test_only_what_would_go_on_at_once_is_offered():
    waiting, over = replace(NEW, is_new=True), replace(ORDER, state=OrderState.SERVED)
    assert (of(waiting, over).can_order, of(waiting, over).can_test) == (True, True)
    assert (of(waiting, ORDER).can_order, of(waiting, ORDER).can_test) == (False, False)
    tried = of(waiting, replace(ORDER, is_test=True))
    assert (tried.can_order, tried.can_test) == (True, False)
    paused = replace(NEW, is_paused=True)
    assert (of(paused).can_order, of(paused).can_test) == (False, True)
    failing = replace(NEW, failures=1)
    # also if it has an order, which then rests no longer
    assert of(failing).can_order
    assert of(failing, ORDER).can_order
    assert not of(NEW, account=replace(ACCOUNT, staging_url="")).can_test
    by_request = replace(NEW, terms=None, is_new=False, certificate_id=CertificateId(1))
    assert (of(by_request, account=None).can_order, of(by_request, account=None).can_test) == (False, False)


def test_a_failure_says_how_often():
    assert of(replace(NEW, failures=2)).words == "Failed 2 times"
    assert of(NEW).words == "Waiting"


def test_what_is_renewed_is_named_by_its_first_name_and_by_its_number_where_it_has_none():
    assert of(NEW).title == "a.example.com"
    ending = replace(NEW, terms=None, is_new=False)
    assert (of(ending, account=None).title, of(ending, account=None).state) == ("renewal 1", "ending")


@pytest.mark.parametrize("kind", list(ChallengeKind))
def test_every_challenge_has_its_words(kind: ChallengeKind):
    assert of(replace(NEW, terms=replace(TERMS, challenge=kind))).proven == CHALLENGES[kind]


def test_every_state_has_its_own_shape_or_words():
    assert len({words for _, words, _ in STATES.values()}) == len(STATES)
