"""Why a renewal that is due has no order yet: what is said of those, and of no others, that the schedule passes over."""

from dataclasses import replace

import pytest

from manager.domain.renewal.capacity import ORDERS_AT_ONCE, Occupancy, beginning
from manager.domain.renewal.records import AccountId, OrderState, Problem
from manager.domain.renewal.schedule import RATE_LIMITED
from tests.unit.domain.renewal.test_schedule import DUE_S, ENTRIES, TERMS, late, order, renewal

ELSEWHERE = replace(TERMS, account_id=AccountId(2))
LIMITED = renewal(
    8,
    retry_at_s=DUE_S + 600,
    failures=1,
    problem=Problem(at_s=DUE_S, message="too many", type=RATE_LIMITED),
)
FULL = [order(number + 1, names=(f"n{number}.example.com",)) for number in range(ORDERS_AT_ONCE)]
TAKEN_OVER = [replace(each, state=OrderState.TAKEN_OVER) for each in FULL]


@pytest.mark.parametrize(
    ("others", "orders", "words"),
    [
        ([], [], ""),
        ([renewal(1)], [order(1)], "order 1 of renewal 1 for the same names is over"),
        (
            [renewal(1)],
            [order(1, names=("A.Example.COM", "192.0.2.1"))],
            "order 1 of renewal 1 for the same names is over",
        ),
        ([renewal(1, terms=ELSEWHERE)], [order(1, terms=ELSEWHERE)], ""),
        ([renewal(1)], [order(1, is_test=True)], ""),
        ([renewal(1)], [order(7)], ""),
        (late(ORDERS_AT_ONCE), FULL, "one of its account's 5 running orders is over"),
        (late(ORDERS_AT_ONCE, failures=1), FULL, ""),
        (late(ORDERS_AT_ONCE), TAKEN_OVER, ""),
        ([LIMITED], [], "2027-02-24 08:10 UTC, because the CA limits this account's requests"),
    ],
)
def test_what_keeps_an_order_from_beginning_is_said_of_those_that_are_passed_over(others, orders, words):
    own = renewal(9)
    # none of the others begins itself
    renewals = [*(replace(each, retry_at_s=max(each.retry_at_s, DUE_S + 1)) for each in others), own]
    assert Occupancy(renewals, orders, now_s=DUE_S).waits_until(own, ENTRIES[9]) == words
    assert (own in beginning(renewals, orders, ENTRIES, now_s=DUE_S)) == (not words)


@pytest.mark.parametrize(
    "own",
    [renewal(9, is_paused=True), renewal(9, terms=None), renewal(9, retry_at_s=DUE_S + 1)],
)
def test_what_is_not_due_waits_for_nobody(own):
    assert Occupancy([renewal(1), own], [order(1)], now_s=DUE_S).waits_until(own, ENTRIES[9]) == ""


def test_what_has_an_order_waits_for_nobody():
    occupancy = Occupancy([renewal(1), renewal(9)], [order(1), order(9)], now_s=DUE_S)
    assert occupancy.waits_until(renewal(9), ENTRIES[9]) == ""
