"""Calendar of what is renewed and what expires."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.ids import CertificateId, CsrId
from common.pki.certificate import decode
from manager.domain.inventory import Entry
from manager.domain.renewal.records import (
    AccountId,
    ChallengeKind,
    Problem,
    RenewalId,
    RenewalRecord,
    Terms,
)
from manager.usecases.renewal.shown import ShownRenewal
from manager.web.renewalcalendar import DAYS, WEEKS, Calendar, Day, draw_calendar
from manager.web.renewing import Renewal
from tests import pki
from tests.pki import DAY_S, NOW_S

# 2027-01-15 08:00 UTC, a Friday
LEAF = decode(pki.current_leaf(None, ["a.example.com"]).certificate_der)
TERMS = Terms(account_id=AccountId(1), challenge=ChallengeKind.HTTP)


def entry(number: int, *, ends: float) -> Entry:
    """Return a certificate that ends in so many days."""
    leaf = replace(LEAF, not_before_s=NOW_S - 90 * DAY_S, not_after_s=round(NOW_S + ends * DAY_S))
    return Entry(
        id=CertificateId(number), leaf=leaf, uploaded=(), temporary=False, created_s=NOW_S, changed_s=NOW_S
    )


def renewal(of: Entry, *, due: float, **changes: object) -> Renewal:
    """Return one that begins in so many days."""
    record = RenewalRecord(
        id=RenewalId(of.id),
        certificate_id=of.id,
        terms=TERMS,
        # before this moment nothing begins, whatever the certificate's own is
        retry_at_s=NOW_S + due * DAY_S,
        created_s=NOW_S,
        changed_s=NOW_S,
    )
    return Renewal(shown=ShownRenewal(renewal=replace(record, **changes), entry=of, orders=()), account=None)


def found(calendar: Calendar, of: Callable[[Day], int]) -> dict[int, int]:
    """Return where something is, in days from the first one."""
    days = [day for week in calendar.weeks for day in week]
    return {number: of(day) for number, day in enumerate(days) if of(day)}


def draw(*renewals: Renewal, entries: tuple[Entry, ...] = (), cas: tuple[float, ...] = ()) -> Calendar:
    return draw_calendar(renewals, entries, [NOW_S + each * DAY_S for each in cas], now_s=NOW_S)


def test_weeks_begin_with_monday_and_the_first_has_today():
    days = [day for week in draw().weeks for day in week]
    assert [len(week) for week in draw().weeks] == [7] * WEEKS
    assert [day.label for day in days[:5]] == ["11", "12", "13", "14", "15"]
    assert [day.is_past for day in days[:6]] == [True] * 4 + [False] * 2
    assert [number for number, day in enumerate(days) if day.is_today] == [4]
    assert [(day.label, day.month) for day in days if day.label.startswith("1 ")] == [("1 Feb", "February")]


def test_a_certificate_that_is_renewed_in_time_is_on_that_day_alone():
    one = entry(1, ends=20)
    calendar = draw(renewal(one, due=10), entries=(one,))
    assert found(calendar, lambda day: day.renewed) == {14: 1}
    assert (calendar.renewed, calendar.expiring) == (1, 0)


def test_what_nothing_renews_before_its_end_is_on_the_day_of_its_end():
    late, bare = entry(1, ends=5), entry(2, ends=7)
    calendar = draw(renewal(late, due=6), entries=(late, bare), cas=(7, -1))
    assert found(calendar, lambda day: day.expiring) == {9: 1, 11: 2}
    assert calendar.renewed == 1


@pytest.mark.parametrize("changes", [{"is_paused": True}, {"request_id": CsrId(1), "terms": None}])
def test_what_waits_for_somebody_does_not_count_as_renewed(changes: dict[str, object]):
    one = entry(1, ends=20)
    calendar = draw(renewal(one, due=10, **changes), entries=(one,))
    assert (calendar.renewed, calendar.expiring) == (0, 1)


def test_a_failure_is_shown_when_it_is_tried_again_and_where_its_certificate_ends():
    one = entry(1, ends=20)
    problem = Problem(at_s=NOW_S, message="it failed")
    calendar = draw(renewal(one, due=1, failures=2, problem=problem), entries=(one,))
    assert found(calendar, lambda day: day.tried_again) == {5: 1}
    assert found(calendar, lambda day: day.expiring) == {24: 1}
    assert calendar.renewed == 0


def test_what_was_due_is_of_today_and_what_comes_after_the_calendar_is_later():
    overdue, far = entry(1, ends=3), entry(2, ends=900)
    calendar = draw(renewal(overdue, due=-50), renewal(far, due=DAYS), entries=(overdue, far))
    assert found(calendar, lambda day: day.renewed) == {4: 1}
    assert calendar.later == 1


@given(st.lists(st.floats(-100, 900), max_size=30))
def test_every_renewal_is_counted_once(due: list[float]):
    entries = [entry(number, ends=1000) for number in range(len(due))]
    calendar = draw(*[renewal(each, due=days) for each, days in zip(entries, due, strict=True)])
    assert calendar.renewed + calendar.tried_again + calendar.later == len(due)
