"""Allowance for what users do for themselves and is written down each time: signing in, changing the own password, making API tokens.

Decides how often. Whoever has a user's password may do these, so a loop would fill the audit log.
Invariants: one key's allowance concerns no other; what is remembered is bounded; time is monotonic.
"""

import math
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from common.errors import ThrottledError

BURST: Final = 30
"""Sign-ins of one user from one source, or tokens made for one user, that need not wait: more than anybody does by hand, or a script that
sets something up."""

EACH_S: Final = 6.0
"""Seconds between two beyond those: 14,400 a day at most."""

NOTED_BURST: Final = 60
"""Sign-ins of one user, wherever from, that have an entry of their own in the audit log; beyond those, one each EACH_S has. Others are summed."""

REMEMBERED_MAX: Final = 10_000
"""Keys that are remembered; those that were used longest ago go first."""


class Allowance:
    """See the module. `clock` is monotonic seconds; `burst` acts need not wait, and beyond those one each `each_s` seconds is in time."""

    def __init__(self, clock: Callable[[], float], *, burst: int, each_s: float = EACH_S) -> None:
        self._clock = clock
        self._each_s = each_s
        self._ahead_max_s = burst * each_s
        self._spent_until_s: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def check(self, *key: str) -> None:
        """Raise ThrottledError if the next act has to wait."""
        wait_s = self._wait_s(key)
        if wait_s > 0:
            raise ThrottledError(wait_s, f"this was done too often; try again in {math.ceil(wait_s)} s")

    def take(self, *key: str) -> None:
        """Count an act. Raises ThrottledError if it has to wait."""
        self.check(*key)
        self._count(key)

    def admits(self, *key: str) -> bool:
        """Count an act, and return True, unless it came too early."""
        if self._wait_s(key) > 0:
            return False
        self._count(key)
        return True

    def _wait_s(self, key: tuple[str, ...]) -> float:
        ahead_s = max(0.0, self._spent_until_s.get(key, 0.0) - self._clock())
        return ahead_s + self._each_s - self._ahead_max_s

    def _count(self, key: tuple[str, ...]) -> None:
        self._spent_until_s[key] = max(self._spent_until_s.get(key, 0.0), self._clock()) + self._each_s
        self._spent_until_s.move_to_end(key)
        while len(self._spent_until_s) > REMEMBERED_MAX:
            self._spent_until_s.popitem(last=False)
