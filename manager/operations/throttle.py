"""Failed logins are counted, so that guessing is stopped for a while.

Invariant: what is remembered is bounded, whoever fails how often.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Final

from common.errors import AccessError, Reason
from common.source import source_of

FAILURES_PER_ADDRESS: Final = 10
"""Failed logins from one address within LOCK_S before further ones are refused unread."""

FAILURES_PER_USER: Final = 100
"""The same for one user from all addresses; higher, so that a stranger cannot lock an administrator out with ease."""

LOCK_S: Final = 60.0
REMEMBERED_MAX: Final = 10_000


class Throttle:
    """See the module. `clock` is unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def check(self, whom: Mapping[str, int]) -> None:
        """Refuse if one of these has failed as often as it may. Raises AccessError BUSY."""
        now_s = self._clock()
        for who, limit in whom.items():
            recent = [moment for moment in self._failures.get(who, ()) if moment > now_s - LOCK_S]
            if len(recent) >= limit:
                raise AccessError(f"too many failed logins; try again in {LOCK_S:.0f} s", reason=Reason.BUSY)

    def count(self, who: str) -> None:
        """Count a failure."""
        now_s = self._clock()
        moments = [moment for moment in self._failures.pop(who, ()) if moment > now_s - LOCK_S]
        self._failures[who] = [*moments, now_s][-FAILURES_PER_USER:]
        while len(self._failures) > REMEMBERED_MAX:
            self._failures.popitem(last=False)


def source(address: str) -> str:
    """Return what failures from an address count for."""
    return f"address {source_of(address)}"
