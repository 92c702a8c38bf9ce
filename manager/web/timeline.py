"""Expiry timeline: bars of the expiries in each week of the coming year.

Pure. Invariant: each expiry is counted once: as expired, in a week's bar, or as later.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from common.pki.expiry import ALARM_DAYS, DAY_S, EXPIRING_DAYS, Nearness

WEEKS: Final = 52
WEEK_S: Final = 7 * DAY_S
TOP: Final = 14
"""The space above the highest bar, for its number."""

FOOT: Final = 20
"""The space below, for the months."""

ROOMY: Final = 600
"""A narrower drawing has fewer and shorter labels."""

LEAST: Final = 3.0
"""The least height of a bar, so that one certificate beside a thousand is visible."""


@dataclass(frozen=True, slots=True)
class Expiry:
    """The time of an expiry, and its urgency."""

    at_s: float
    urgency: Nearness


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One week. `urgency` is the highest in it: alarm, soon or calm."""

    x: float
    y: float
    width: float
    height: float
    certificates: int
    trusted_cas: int
    begins_s: float
    urgency: str

    @property
    def count(self) -> int:
        return self.certificates + self.trusted_cas


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineMark:
    """A labelled line across: the start of a month, or the end of a significant period."""

    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A drawing of `width` by `height` units."""

    width: int
    height: int
    expired_certificates: int
    expired_trusted_cas: int
    later: int
    bars: Sequence[Bar]
    months: Sequence[TimelineMark]
    limits: Sequence[TimelineMark]

    @property
    def base(self) -> int:
        """The base line of the bars."""
        return self.height - FOOT

    @property
    def highest(self) -> int:
        """The number of expiries in the fullest week."""
        return max((bar.count for bar in self.bars), default=0)


def draw_timeline(
    certificates: Iterable[Expiry], trusted_cas: Iterable[Expiry], *, now_s: float, width: int, height: int
) -> Timeline:
    """Draw the expiries."""
    ends, ca_ends = list(certificates), list(trusted_cas)
    by_week, cas_by_week = _by_week(ends, now_s), _by_week(ca_ends, now_s)
    urgencies = _urgencies((*ends, *ca_ends), now_s)
    step = width / WEEKS
    room = height - TOP - FOOT
    most = max((by_week[week] + cas_by_week[week] for week in range(WEEKS)), default=0)
    bars = []
    for week in range(WEEKS):
        count = by_week[week] + cas_by_week[week]
        if count:
            tall = max(LEAST, room * count / most)
            bars.append(
                Bar(
                    x=round(week * step + step * 0.15, 1),
                    y=round(height - FOOT - tall, 1),
                    width=round(step * 0.7, 1),
                    height=round(tall, 1),
                    certificates=by_week[week],
                    trusted_cas=cas_by_week[week],
                    begins_s=now_s + week * WEEK_S,
                    urgency=urgencies[week],
                )
            )
    return Timeline(
        width=width,
        height=height,
        expired_certificates=by_week[-1],
        expired_trusted_cas=cas_by_week[-1],
        later=by_week[WEEKS] + cas_by_week[WEEKS],
        bars=bars,
        months=_months(now_s, width),
        limits=[
            TimelineMark(
                x=round(days * DAY_S / WEEK_S * step, 1),
                label=f"{days} days" if width >= ROOMY else str(days),
            )
            for days in (ALARM_DAYS, EXPIRING_DAYS)
        ],
    )


def _week(end: Expiry, now_s: float) -> int:
    """Count weeks from now: -1 has expired, WEEKS is after the drawing."""
    return -1 if end.at_s < now_s else min(int((end.at_s - now_s) // WEEK_S), WEEKS)


def _by_week(ends: Iterable[Expiry], now_s: float) -> Counter[int]:
    return Counter(_week(end, now_s) for end in ends)


def _urgencies(ends: Iterable[Expiry], now_s: float) -> dict[int, Nearness]:
    order, found = list(Nearness), dict[int, Nearness]()
    for end in ends:
        week = _week(end, now_s)
        found[week] = min(found.get(week, end.urgency), end.urgency, key=order.index)
    return found


def _months(now_s: float, width: int) -> list[TimelineMark]:
    """Return the months' starts, every third in a narrow drawing, without one cut off at the edge."""
    start = dt.datetime.fromtimestamp(now_s, dt.UTC)
    every = 1 if width >= ROOMY else 3
    marks = []
    for ahead in range(1, 13, every):
        years, month = divmod(start.month - 1 + ahead, 12)
        begins = dt.datetime(start.year + years, month + 1, 1, tzinfo=dt.UTC)
        x = (begins.timestamp() - now_s) / WEEK_S * width / WEEKS
        if x < width - 30:
            marks.append(TimelineMark(x=round(x, 1), label=begins.strftime("%b")))
    return marks
