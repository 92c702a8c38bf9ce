"""Failure counters that expire, keyed by anything.

Decides which entries are dropped when there are too many. Invariant: memory is bounded, and a flood of new
entries displaces itself. The dropped entry is the oldest among those with the most common failure count, so a
frequent failer is not forgotten because of many keys that failed once.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from manager.domain.tallies import Tally
from manager.store.tallies import Tallies

FORGET_S: Final = 3600.0
"""Failures are forgotten after this long without another one."""

REMEMBERED_MAX: Final = 20_000
"""Remembered failures of each kind: at most 12 MiB, with the longest names.

To make the manager forget nine of its failures a guesser needs 90,000 other keys, and 200,000 to forget
delayed ones. At the pace of unauthenticated attempts that takes longer than waiting for as many guesses.
"""

ALIKE: Final = 10
"""Failure count from which on entries rank equally."""

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Failures:
    """Number of failures, and time of the last one."""

    count: int
    last_s: float


class FailureCounts(Generic[K]):
    """Failure counters of one kind. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_count: tuple[OrderedDict[K, Failures], ...] = tuple(OrderedDict() for _ in range(ALIKE))
        self._alike: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._alike)

    def get(self, key: K) -> Failures | None:
        """Return the failures of a key; None if there were none recently."""
        alike = self._alike.get(key)
        known = None if alike is None else self._by_count[alike][key]
        return known if known is not None and known.last_s > self._clock() - FORGET_S else None

    def count(self, key: K, times: int = 1) -> None:
        known = self.get(key)
        self.forget(key)
        count = times if known is None else known.count + times
        alike = min(count, ALIKE) - 1
        self._alike[key] = alike
        self._by_count[alike][key] = Failures(count, self._clock())
        while len(self._alike) > REMEMBERED_MAX:
            oldest, _ = max(self._by_count, key=len).popitem(last=False)
            del self._alike[oldest]

    def forget(self, key: K) -> None:
        """Forget the failures of a key."""
        alike = self._alike.pop(key, None)
        if alike is not None:
            del self._by_count[alike][key]


class FailuresEverywhere:
    """Failures of one kind at all managers of a store: local ones and reported ones, each bounded alike."""

    def __init__(self, clock: Callable[[], float], tallies: Tallies, tally: Tally) -> None:
        self._tallies = tallies
        self._tally = tally
        self.here: FailureCounts[tuple[str, ...]] = FailureCounts(clock)
        self.elsewhere: FailureCounts[bytes] = FailureCounts(clock)
        tallies.listen(tally, self.elsewhere.count)

    def get(self, *whose: str) -> Failures | None:
        """Return the failures of a key at all managers; None if there were none recently."""
        here = self.here.get(whose)
        # most stores have one manager
        other = self.elsewhere.get(self._tallies.digest(self._tally, *whose)) if len(self.elsewhere) else None
        if here is None or other is None:
            return here or other
        return Failures(here.count + other.count, max(here.last_s, other.last_s))

    def count(self, *whose: str) -> None:
        self.here.count(whose)
        self._tallies.count(self._tally, *whose)
