"""Which renewals begin now, and when to look again."""

from dataclasses import replace

import pytest

from common.ids import CertificateId, Fingerprint
from common.pki.certificate import decode
from manager.domain.inventory import Entry
from manager.domain.renewal.capacity import (
    ACCOUNT_LIMIT_MOST_S,
    ORDERS_AT_ONCE,
    PLACE_OF_FINALISED_S,
    beginning,
    limited,
    next_s,
)
from manager.domain.renewal.moments import Window
from manager.domain.renewal.records import (
    AccountId,
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
from manager.domain.renewal.schedule import (
    NEW_URGENT_S,
    PAUSED_MOST_S,
    asked_s,
    begins_at_s,
    manual_retry_at_s,
    moment_of,
    names_of,
    next_step_at_s,
    urgent_s,
    why_obsolete,
)
from tests.pki import DAY_S, NOW_S, make_leaf, make_root

ROOT = make_root()
LEAF = decode(
    make_leaf(
        ROOT,
        ["a.example.com"],
        addresses=["192.0.2.1"],
        not_before_s=NOW_S,
        not_after_s=NOW_S + 45 * DAY_S - 1,
    ).certificate_der
)
TERMS = Terms(account_id=AccountId(1), challenge=ChallengeKind.HTTP)
WINDOW = Window(start_s=NOW_S + 100.0, end_s=NOW_S + 200.0)


def entry(number: int = 1, **changes) -> Entry:
    made = Entry(
        id=CertificateId(number), leaf=LEAF, uploaded=(), temporary=False, created_s=0.0, changed_s=0.0
    )
    return replace(made, **changes)


def renewal(number: int = 1, **changes) -> RenewalRecord:
    made = RenewalRecord(
        id=RenewalId(number),
        certificate_id=CertificateId(number),
        terms=TERMS,
        created_s=float(NOW_S),
        changed_s=float(NOW_S),
    )
    return replace(made, **changes)


def order(number: int = 1, **changes) -> OrderRecord:
    made = OrderRecord(
        id=OrderId(number),
        renewal_id=RenewalId(number),
        is_test=False,
        state=OrderState.ORDERED,
        names=("a.example.com", "192.0.2.1"),
        terms=TERMS,
        replaces="",
        replaces_leaf=LEAF.fingerprint,
        request_pem="",
        created_s=float(NOW_S),
        changed_s=float(NOW_S),
    )
    return replace(made, **changes)


def test_a_window_counts_for_the_certificate_that_it_was_suggested_for():
    own = renewal(window=WINDOW, window_of=LEAF.fingerprint)
    assert WINDOW.start_s <= moment_of(own, entry()) < WINDOW.end_s
    other = renewal(window=WINDOW, window_of=Fingerprint("f" * 64))
    assert moment_of(other, entry()) > NOW_S + 28 * DAY_S


def test_what_has_no_certificate_yet_is_due_at_once_and_what_is_gone_never():
    new = renewal(certificate_id=None, is_new=True)
    assert moment_of(new, None) == NOW_S
    gone = renewal(certificate_id=None)
    assert (gone.is_over, moment_of(gone, None)) == (True, None)


def test_nothing_begins_while_it_is_paused_or_rests():
    assert begins_at_s(renewal(is_paused=True), entry()) is None
    assert begins_at_s(renewal(retry_at_s=NOW_S + 1e8), entry()) == NOW_S + 1e8


def test_a_renewal_is_urgent_once_half_of_the_time_from_its_moment_to_the_end_is_gone():
    own = renewal(window=Window(start_s=NOW_S, end_s=NOW_S), window_of=LEAF.fingerprint)
    assert urgent_s(order(), own, entry()) == NOW_S + (45 * DAY_S - 1) / 2
    assert urgent_s(order(), own, None) is None


def test_what_has_no_certificate_yet_is_urgent_an_hour_after_its_order_began():
    new = renewal(certificate_id=None, is_new=True, created_s=NOW_S - 2 * DAY_S)
    assert urgent_s(order(created_s=NOW_S), new, None) == NOW_S + NEW_URGENT_S


def test_names_are_those_of_the_terms_or_all_that_the_certificate_has():
    assert names_of(TERMS, entry()) == ("a.example.com", "192.0.2.1")
    assert names_of(replace(TERMS, names=("b.example.com",)), entry()) == ("b.example.com",)
    assert names_of(TERMS, None) == ()


def test_names_are_ordered_as_cas_write_them_each_once():
    given = ("B.Example.COM", "b.example.com", "2001:DB8:0::1")
    assert names_of(replace(TERMS, names=given), entry()) == ("b.example.com", "2001:db8::1")


def late(count: int, **changes) -> list[RenewalRecord]:
    names = [f"n{number}.example.com" for number in range(count)]
    return [
        renewal(number + 1, terms=replace(TERMS, names=(name,)), **changes)
        for number, name in enumerate(names)
    ]


ENTRIES = {CertificateId(number): entry(number) for number in range(1, 20)}
DUE_S = NOW_S + 40 * DAY_S


def test_of_an_account_few_begin_at_once():
    found = beginning(late(ORDERS_AT_ONCE + 3), [], ENTRIES, now_s=DUE_S)
    assert len(found) == ORDERS_AT_ONCE
    other = replace(
        late(1)[0], id=RenewalId(19), terms=Terms(account_id=AccountId(2), challenge=ChallengeKind.HTTP)
    )
    assert other in beginning([*late(ORDERS_AT_ONCE + 3), other], [], ENTRIES, now_s=DUE_S)


@pytest.mark.parametrize(
    ("state", "is_counted"),
    [
        (OrderState.CREATED, True),
        (OrderState.DOWNLOADED, True),
        (OrderState.TAKEN_OVER, False),
    ],
)
def test_orders_count_until_the_ca_has_no_more_to_do(state: OrderState, is_counted: bool):
    renewals = late(ORDERS_AT_ONCE + 1)
    orders = [order(number + 1, state=state) for number in range(ORDERS_AT_ONCE)]
    assert len(beginning(renewals, orders, ENTRIES, now_s=DUE_S)) == (0 if is_counted else 1)


def test_orders_that_fail_again_and_again_keep_no_others_from_beginning():
    renewals = [*late(ORDERS_AT_ONCE, failures=1), renewal(9, terms=replace(TERMS, names=("z.example.com",)))]
    orders = [order(number + 1) for number in range(ORDERS_AT_ONCE)]
    assert [each.id for each in beginning(renewals, orders, ENTRIES, now_s=DUE_S)] == [9]


def test_orders_of_paused_renewals_keep_no_others_from_beginning():
    renewals = [
        *late(ORDERS_AT_ONCE, is_paused=True),
        renewal(9, terms=replace(TERMS, names=("z.example.com",))),
    ]
    orders = [order(number + 1) for number in range(ORDERS_AT_ONCE)]
    assert [each.id for each in beginning(renewals, orders, ENTRIES, now_s=DUE_S)] == [9]


@pytest.mark.parametrize(("waited_s", "begun"), [(PLACE_OF_FINALISED_S, []), (PLACE_OF_FINALISED_S + 1, [9])])
def test_orders_whose_ca_takes_its_time_to_sign_keep_no_others_from_beginning_for_long(waited_s, begun):
    renewals = [*late(ORDERS_AT_ONCE), renewal(9, terms=replace(TERMS, names=("z.example.com",)))]
    steps = (Step(at_s=DUE_S - waited_s, state=OrderState.FINALISED),)
    orders = [order(number + 1, state=OrderState.FINALISED, steps=steps) for number in range(ORDERS_AT_ONCE)]
    assert [each.id for each in beginning(renewals, orders, ENTRIES, now_s=DUE_S)] == begun


def test_an_order_that_the_ca_signs_keeps_no_other_of_its_names_from_beginning():
    found = beginning([renewal(1), renewal(2)], [order(1, state=OrderState.FINALISED)], ENTRIES, now_s=DUE_S)
    assert [each.id for each in found] == [2]


def test_two_of_the_same_names_do_not_begin_together():
    same = [renewal(1), renewal(2)]
    assert [each.id for each in beginning(same, [], ENTRIES, now_s=DUE_S)] == [1]
    assert beginning(same, [order(1)], ENTRIES, now_s=DUE_S) == []
    elsewhere = replace(TERMS, account_id=AccountId(2))
    assert len(beginning([renewal(1), renewal(2, terms=elsewhere)], [], ENTRIES, now_s=DUE_S)) == 2


def test_an_order_whose_renewal_is_gone_holds_up_no_other_of_its_names():
    begun = beginning([renewal(1)], [order(2)], ENTRIES, now_s=DUE_S)
    assert [each.id for each in begun] == [1]


def test_a_test_order_holds_up_no_order():
    tests = [order(number + 1, is_test=True) for number in range(ORDERS_AT_ONCE)]
    assert [each.id for each in beginning([renewal()], tests, ENTRIES, now_s=DUE_S)] == [1]


def test_a_test_order_of_other_terms_than_those_that_count_is_looked_at_at_once():
    tested = order(is_test=True, recheck_at_s=9.0)
    assert next_step_at_s(tested, renewal(), entry(), limits={}) == 9.0
    assert next_step_at_s(tested, renewal(terms=replace(TERMS, profile="short")), entry(), limits={}) == 0.0
    assert next_step_at_s(tested, renewal(terms=None), entry(), limits={}) == 0.0


def test_those_begin_first_that_end_first():
    sooner = decode(
        make_leaf(ROOT, ["s.example.com"], not_before_s=NOW_S, not_after_s=NOW_S + 41 * DAY_S).certificate_der
    )
    entries = {**ENTRIES, CertificateId(3): entry(3, leaf=sooner)}
    assert beginning(late(6), [], entries, now_s=DUE_S)[0].id == 3


def test_what_is_renewed_by_request_or_not_due_begins_no_order():
    assert beginning([renewal(terms=None)], [], ENTRIES, now_s=DUE_S) == []
    assert beginning([renewal()], [], ENTRIES, now_s=NOW_S) == []


def test_an_order_rests_for_the_ca_after_a_failure_and_while_it_is_paused():
    assert next_step_at_s(order(recheck_at_s=5.0), renewal(retry_at_s=7.0), entry(), limits={}) == 7.0
    paused = renewal(is_paused=True)
    assert next_step_at_s(order(), paused, entry(), limits={}) == paused.changed_s + PAUSED_MOST_S
    other = replace(TERMS, profile="short")
    assert (
        next_step_at_s(order(recheck_at_s=5.0), renewal(is_paused=True, terms=other), entry(), limits={})
        == 0.0
    )
    for state in (OrderState.FINALISED, OrderState.DOWNLOADED):
        assert (
            next_step_at_s(order(state=state, recheck_at_s=5.0), renewal(is_paused=True), entry(), limits={})
            == 5.0
        )
    rested = renewal(is_paused=True, retry_at_s=9.0)
    assert next_step_at_s(order(is_test=True), rested, entry(), limits={}) == 0.0
    assert next_step_at_s(order(state=OrderState.TAKEN_OVER), rested, entry(), limits={}) == 9.0
    assert next_step_at_s(order(), renewal(certificate_id=None, retry_at_s=9.0), entry(), limits={}) == 0.0


def test_an_order_whose_certificate_was_replaced_waits_for_no_ca_and_no_pause():
    other = entry(leaf=decode(make_leaf(ROOT, ["a.example.com"]).certificate_der))
    limits = {TERMS.account_id: 7.0}
    for state in (OrderState.CREATED, OrderState.PLACED, OrderState.FINALISED):
        useless = order(state=state, recheck_at_s=5.0)
        assert next_step_at_s(useless, renewal(is_paused=True), other, limits=limits) == 0.0
    assert next_step_at_s(order(), renewal(retry_at_s=9.0), other, limits={}) == 9.0


def limited_renewal(wait_s: float) -> RenewalRecord:
    problem = Problem(at_s=DUE_S, message="too many", type="rateLimited")
    return renewal(19, retry_at_s=DUE_S + wait_s, problem=problem, failures=1)


def test_a_short_rate_limit_is_the_accounts_and_a_long_one_that_of_its_names():
    short, long = limited_renewal(ACCOUNT_LIMIT_MOST_S), limited_renewal(ACCOUNT_LIMIT_MOST_S + 1)
    assert limited([short]) == {TERMS.account_id: DUE_S + ACCOUNT_LIMIT_MOST_S}
    assert limited([long, renewal(retry_at_s=DUE_S + 60.0, problem=None)]) == {}
    assert beginning([renewal(), short], [], ENTRIES, now_s=DUE_S) == []
    assert [each.id for each in beginning([renewal(), long], [], ENTRIES, now_s=DUE_S)] == [1]
    until_s = DUE_S + ACCOUNT_LIMIT_MOST_S
    asked = {"window_of": LEAF.fingerprint, "poll_at_s": 1e12}
    assert next_s([renewal(**asked), replace(short, **asked)], [], ENTRIES, now_s=DUE_S) == until_s
    waiting = order(state=OrderState.CREATED)
    assert next_step_at_s(waiting, renewal(), entry(), limits=limited([short])) == until_s
    assert next_step_at_s(order(), renewal(), entry(), limits=limited([short])) == 0.0


def test_what_somebody_mended_is_tried_at_once_unless_the_ca_asked_to_wait():
    assert manual_retry_at_s(renewal(retry_at_s=9.0, problem=Problem(at_s=0.0, message="it failed"))) == 0.0
    assert manual_retry_at_s(limited_renewal(60.0)) == DUE_S + 60.0


def test_a_ca_is_asked_anew_about_a_certificate_that_it_was_not_asked_about():
    assert asked_s(renewal(poll_at_s=9.0, window_of=LEAF.fingerprint), entry()) == 9.0
    assert asked_s(renewal(poll_at_s=9.0), entry()) == 0.0
    for nothing in (renewal(terms=None), renewal(is_paused=True)):
        assert asked_s(nothing, entry()) is None
    assert asked_s(renewal(), None) is None


@pytest.mark.parametrize("state", [OrderState.CREATED, OrderState.PLACED, OrderState.VALIDATED])
def test_other_terms_make_an_order_useless_until_the_ca_has_its_request(state: OrderState):
    changed = renewal(terms=replace(TERMS, profile="short"))
    assert "renewed with was changed" in why_obsolete(order(state=state), changed, entry())
    assert why_obsolete(order(state=OrderState.FINALISED), changed, entry()) == ""
    assert why_obsolete(order(state=state), renewal(), entry()) == ""


def test_another_certificate_in_its_place_makes_an_order_useless():
    other = decode(make_leaf(ROOT, ["a.example.com"]).certificate_der)
    for state in (OrderState.CREATED, OrderState.DOWNLOADED):
        assert "put in the place" in why_obsolete(order(state=state), renewal(), entry(leaf=other))
    assert "gone" in why_obsolete(order(), renewal(certificate_id=None), None)


def test_what_is_done_next_is_the_first_of_all():
    asked = {"window_of": LEAF.fingerprint, "poll_at_s": NOW_S + 50.0}
    assert next_s([], [], {}, now_s=NOW_S) == float("inf")
    assert next_s([renewal(**asked)], [], ENTRIES, now_s=NOW_S) == NOW_S + 50.0
    assert next_s([renewal(**asked)], [], ENTRIES, now_s=DUE_S) == DUE_S
    resting = order(recheck_at_s=NOW_S + 10.0)
    assert next_s([renewal(**asked)], [resting], ENTRIES, now_s=NOW_S) == NOW_S + 10.0
    due = next_s([renewal(window_of=LEAF.fingerprint, poll_at_s=1e12)], [], ENTRIES, now_s=NOW_S)
    assert NOW_S + 28 * DAY_S < due < NOW_S + 31 * DAY_S
