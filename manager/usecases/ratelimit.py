"""Rate limit for what users do for themselves and is written down each time: signing in, changing one's own password, making API tokens.

Decides how often, at all managers of the store together. Whoever has a user's password may do these, so a loop would fill the audit log.
Invariants: one key's rate concerns no other; what is remembered is bounded; time is monotonic.
"""

import math
from collections.abc import Callable
from typing import Final

from common.errors import ThrottledError
from common.runtime.buckets import Buckets
from manager.domain.tallies import Tally
from manager.store.tallies import Tallies

BURST: Final = 30
"""Sign-ins of one user from one source, or tokens made for one user, that need not wait: more than anybody does by hand, or a script that
sets something up."""

EACH_S: Final = 6.0
"""Seconds between two beyond those: 14,400 a day at most."""

NOTED_BURST: Final = 60
"""Sign-ins of one user, wherever from, that have an entry of their own in the audit log; beyond those, one each EACH_S has. Others are summed."""


class RateLimit:
    """`clock` is monotonic seconds; `burst` acts of the kind `tally` need not wait, and beyond those one each `EACH_S` seconds is in time."""

    def __init__(self, clock: Callable[[], float], tallies: Tallies, tally: Tally, *, burst: int) -> None:
        self._clock = clock
        self._tallies = tallies
        self._tally = tally
        self._buckets: Buckets[bytes] = Buckets(burst=burst, per_s=1 / EACH_S)
        tallies.listen(tally, self._receive)

    def _receive(self, digest: bytes, times: int) -> None:
        self._buckets.take_some(digest, self._clock(), times)

    def check(self, *key: str) -> None:
        """Raise ThrottledError if the next act has to wait."""
        wait_s = self._buckets.wait_s(self._tallies.digest(self._tally, *key), self._clock())
        if wait_s > 0:
            raise ThrottledError(wait_s, f"this was done too often; try again in {math.ceil(wait_s)} s")

    def take(self, *key: str) -> None:
        """Count an act. Raises ThrottledError if it has to wait."""
        self.check(*key)
        self.admits(*key)

    def admits(self, *key: str) -> bool:
        """Count an act, and return True, unless it came too early."""
        is_admitted = self._buckets.take(self._tallies.digest(self._tally, *key), self._clock())
        if is_admitted:
            self._tallies.count(self._tally, *key)
        return is_admitted
