"""Nodes' clocks: how far one may be off before somebody must act, and when the store must be told that one moved. Pure."""

from typing import Final

from common.bundle.verify import CLOCK_TOLERANCE_S

CLOCK_SKEW_S: Final = 300.0
"""A node's clock that is further off than this calls fresh certificates not yet valid."""

SKEW_KEPT_S: Final = 30.0
"""A clock is kept again once it moved by this: it drifts by a second a day, and time services correct it by less or by much more."""

_LIMITS_S: Final = (CLOCK_TOLERANCE_S, CLOCK_SKEW_S)


def is_skew_news(skew_s: float, kept_s: float) -> bool:
    """Whether a clock is so much further off, or less, than the store has it, that it would be judged otherwise."""
    crosses = any((abs(skew_s) > limit_s) is not (abs(kept_s) > limit_s) for limit_s in _LIMITS_S)
    return crosses or abs(skew_s - kept_s) > SKEW_KEPT_S
