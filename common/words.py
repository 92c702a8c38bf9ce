"""Numbers, lists and times in sentences, for every text that people read.

Pure. Invariant: a number and its noun agree (never "1 days"), and a span that is not over is never "0 days".
"""

import datetime as dt
from collections.abc import Iterable
from typing import Final

_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"))

NAMED_MAX: Final = 10
"""The most names in one sentence; it counts the rest."""


def counted(count: float, one: str, many: str = "") -> str:
    """Return a rounded number with its noun: `1 day`, `3 days`, `1,200 nodes`."""
    whole = round(count)
    return f"{whole:,} {one if abs(whole) == 1 else many or one + 's'}"


def span_of(seconds: float) -> str:
    """Return a span in its largest unit, rounded down: `3 days`, `5 hours`, `20 minutes`, `8 seconds`."""
    for size, name in _UNITS:
        if seconds >= size:
            return counted(seconds // size, name)
    return counted(max(0.0, seconds // 1), "second")


def listed(texts: Iterable[str]) -> str:
    """Name some, and count the rest."""
    every = list(texts)
    more = f" and {len(every) - NAMED_MAX} more" if len(every) > NAMED_MAX else ""
    return ", ".join(every[:NAMED_MAX]) + more


def date(seconds: float | None) -> str:
    """Return a time in UTC as text."""
    if seconds is None:
        return "a time that cannot be read"
    try:
        return f"{dt.datetime.fromtimestamp(seconds, tz=dt.UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return "a time beyond the calendar"
