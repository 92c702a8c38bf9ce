"""Rate limit of audited actions of users: signing in, changing their password, making API tokens.

Decides how often, for all managers of the store together. A user's password is enough to do these in a loop,
which would fill the audit log. Invariants: keys are limited independently. Memory is bounded. Time is
monotonic.
"""

import math
from collections.abc import Callable
from typing import Final

from common.errors import ThrottledError
from common.runtime.buckets import Buckets
from manager.domain.tallies import Tally
from manager.store.tallies import Tallies

BURST: Final = 30
"""Sign-ins of one user and source, or tokens of one user, without a delay: more than set-up scripts need."""

EACH_S: Final = 6.0
"""Seconds between further ones: at most 14,400 a day."""

NOTED_BURST: Final = 60
"""Sign-ins of one user, from anywhere, with their own audit entries.

Further ones get an entry each EACH_S; the rest are summed.
"""


class RateLimit:
    """Rate limiter. `clock` is monotonic seconds.

    `burst` actions of the kind `tally` pass without a delay; after that, one in each `EACH_S` seconds.
    """

    def __init__(self, clock: Callable[[], float], tallies: Tallies, tally: Tally, *, burst: int) -> None:
        self._clock = clock
        self._tallies = tallies
        self._tally = tally
        self._buckets: Buckets[bytes] = Buckets(burst=burst, per_s=1 / EACH_S)
        tallies.listen(tally, self._receive)

    def _receive(self, digest: bytes, times: int) -> None:
        self._buckets.take_some(digest, self._clock(), times)

    def check(self, *key: str) -> None:
        """Raise ThrottledError if the next action has to wait."""
        wait_s = self._buckets.wait_s(self._tallies.digest(self._tally, *key), self._clock())
        if wait_s > 0:
            raise ThrottledError(wait_s, f"this was done too often; try again in {math.ceil(wait_s)} s")

    def take(self, *key: str) -> None:
        """Count an action. Raises ThrottledError if it has to wait."""
        self.check(*key)
        self.admits(*key)

    def admits(self, *key: str) -> bool:
        """Count an action and return True, unless it came too early."""
        is_admitted = self._buckets.take(self._tallies.digest(self._tally, *key), self._clock())
        if is_admitted:
            self._tallies.count(self._tally, *key)
        return is_admitted
