"""Counted nouns: a number and its noun agree, in every text that people read.

Pure. Invariant: one is never "1 days", and what is not over is never "0 days".
"""

from typing import Final

_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"))


def counted(count: float, one: str, many: str = "") -> str:
    """Return a whole number with its noun: `1 day`, `3 days`, `1,200 nodes`. What is not whole is rounded."""
    whole = round(count)
    return f"{whole:,} {one if abs(whole) == 1 else many or one + 's'}"


def span_of(seconds: float) -> str:
    """Return a span as whole units of the largest one that it fills, the rest cut off: `3 days`, `5 hours`, `20 minutes`, `8 seconds`."""
    for size, name in _UNITS:
        if seconds >= size:
            return counted(seconds // size, name)
    return counted(max(0.0, seconds // 1), "second")
