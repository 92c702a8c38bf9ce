"""Renewal calendar: renewals and unrenewed expiries on each day of the coming weeks.

Pure. Days are in UTC. Invariants: each renewal with a next moment is counted once, on a day or as later; a
certificate is counted on the day it expires unless a renewal that has not failed comes first.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from common.pki.expiry import DAY_S
from manager.domain.inventory import Entry
from manager.web.renewing import Renewal

WEEKS: Final = 6
DAYS: Final = 7 * WEEKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of the calendar. `label` is its number, with the month's name at the start of one.

    `month` is the month's name, for readers who do not see the other days.
    """

    label: str
    month: str
    is_past: bool
    is_today: bool
    renewed: int
    tried_again: int
    expiring: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Weeks from Monday to Sunday, this one first. `later` counts renewals after the last."""

    weeks: Sequence[Sequence[Day]]
    later: int

    @property
    def renewed(self) -> int:
        return sum(day.renewed for week in self.weeks for day in week)

    @property
    def tried_again(self) -> int:
        return sum(day.tried_again for week in self.weeks for day in week)

    @property
    def expiring(self) -> int:
        return sum(day.expiring for week in self.weeks for day in week)


def draw_calendar(
    renewals: Iterable[Renewal], entries: Iterable[Entry], ca_ends: Iterable[float], *, now_s: float
) -> Calendar:
    """Draw renewals and expiries. Due renewals count for today; past expiries are omitted."""
    begins_s = _week_s(now_s)
    renewed, tried_again, covered = Counter[int](), Counter[int](), set()
    for each in renewals:
        if each.next_at_s is None or each.state == "requested":
            # nothing is due before a user has acted
            continue
        at_s, entry = max(each.next_at_s, now_s), each.shown.entry
        if each.state == "failing":
            tried_again[_day(at_s, begins_s)] += 1
            continue
        renewed[_day(at_s, begins_s)] += 1
        if entry is not None and entry.leaf.not_after_s is not None and entry.leaf.not_after_s > at_s:
            covered.add(entry.id)
    ends = [entry.leaf.not_after_s for entry in entries if entry.id not in covered]
    expiring = Counter(
        _day(end_s, begins_s) for end_s in (*ends, *ca_ends) if end_s is not None and end_s >= now_s
    )
    days = [
        _drawn(begins_s + number * DAY_S, now_s, renewed[number], tried_again[number], expiring[number])
        for number in range(DAYS)
    ]
    return Calendar(
        weeks=[days[first : first + 7] for first in range(0, DAYS, 7)],
        later=renewed[DAYS] + tried_again[DAYS],
    )


def _week_s(now_s: float) -> float:
    """Return the start of the week's Monday."""
    today_s = now_s // DAY_S * DAY_S
    return today_s - _date(now_s).weekday() * DAY_S


def _date(at_s: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(at_s, dt.UTC)


def _day(at_s: float, begins_s: float) -> int:
    """Count days from the first one; DAYS means after the calendar."""
    return min(int((at_s - begins_s) // DAY_S), DAYS)


def _drawn(day_s: float, now_s: float, renewed: int, tried_again: int, expiring: int) -> Day:
    date = _date(day_s)
    return Day(
        label=date.strftime("1 %b") if date.day == 1 else str(date.day),
        month=date.strftime("%B"),
        is_past=day_s + DAY_S <= now_s,
        is_today=day_s <= now_s < day_s + DAY_S,
        renewed=renewed,
        tried_again=tried_again,
        expiring=expiring,
    )
