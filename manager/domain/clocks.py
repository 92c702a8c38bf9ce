"""Nodes' clocks: the skew that needs attention, and the changes of skew that must be stored. Pure."""

from typing import Final

from common.bundle.verify import CLOCK_TOLERANCE_S

CLOCK_SKEW_S: Final = 300.0
"""Skew beyond which a node's clock calls fresh certificates not yet valid."""

SKEW_KEPT_S: Final = 30.0
"""Change of skew that is stored: clocks drift by a second a day, and time services correct less or much more."""

_LIMITS_S: Final = (CLOCK_TOLERANCE_S, CLOCK_SKEW_S)


def is_skew_news(skew_s: float, kept_s: float) -> bool:
    """Whether a skew differs from the stored one by SKEW_KEPT_S, or crosses a limit."""
    crosses = any((abs(skew_s) > limit_s) is not (abs(kept_s) > limit_s) for limit_s in _LIMITS_S)
    return crosses or abs(skew_s - kept_s) > SKEW_KEPT_S
