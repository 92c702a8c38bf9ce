"""Rate limit for what users do for themselves and is written down each time: signing in, changing the own password, making API tokens.

Decides how often. Whoever has a user's password may do these, so a loop would fill the audit log.
Invariants: one key's rate concerns no other; what is remembered is bounded; time is monotonic.
"""

import math
from collections.abc import Callable
from typing import Final

from common.errors import ThrottledError
from common.runtime.buckets import Buckets

BURST: Final = 30
"""Sign-ins of one user from one source, or tokens made for one user, that need not wait: more than anybody does by hand, or a script that
sets something up."""

EACH_S: Final = 6.0
"""Seconds between two beyond those: 14,400 a day at most."""

NOTED_BURST: Final = 60
"""Sign-ins of one user, wherever from, that have an entry of their own in the audit log; beyond those, one each EACH_S has. Others are summed."""


class RateLimit:
    """`clock` is monotonic seconds; `burst` acts need not wait, and beyond those one each `EACH_S` seconds is in time."""

    def __init__(self, clock: Callable[[], float], *, burst: int) -> None:
        self._clock = clock
        self._buckets: Buckets[tuple[str, ...]] = Buckets(burst=burst, per_s=1 / EACH_S)

    def check(self, *key: str) -> None:
        """Raise ThrottledError if the next act has to wait."""
        wait_s = self._buckets.wait_s(key, self._clock())
        if wait_s > 0:
            raise ThrottledError(wait_s, f"this was done too often; try again in {math.ceil(wait_s)} s")

    def take(self, *key: str) -> None:
        """Count an act. Raises ThrottledError if it has to wait."""
        self.check(*key)
        self.admits(*key)

    def admits(self, *key: str) -> bool:
        """Count an act, and return True, unless it came too early."""
        return self._buckets.take(key, self._clock())
