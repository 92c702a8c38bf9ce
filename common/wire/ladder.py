"""Retry ladder: how long refused or failed content rests before the next attempt, the same on both sides.

Invariant: every refusal is tried again, later each time, and at least once an hour.
"""

from typing import Final

LADDER_S: Final = (60.0, 300.0, 900.0, 3600.0)
"""From the design of bundle and node. The last step repeats."""


def step_s(attempts: int) -> float:
    """Return how long content rests after its `attempts`-th failure in a row (from 1)."""
    return LADDER_S[min(max(attempts, 1), len(LADDER_S)) - 1]


def remaining_s(until_s: float, now_s: float, *, longest_s: float = LADDER_S[-1]) -> float:
    """Return how much of a rest is left.

    A clock that was set back must not prolong a rest, so the result is at most `longest_s`, and 0 if far more
    than that seems to be left.
    """
    left_s = until_s - now_s
    if left_s > longest_s + LADDER_S[-1]:
        return 0.0
    return max(0.0, min(left_s, longest_s))
