"""Failures that are remembered for a while, of whatever they are counted for.

Decides which are forgotten where there are too many. Invariant: what is remembered is bounded, and a flood of new ones forgets itself: of
those with as many failures as most have, the one that failed longest ago goes. Whoever has failed often is not forgotten because of many who
failed once.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from manager.domain.tallies import Tally
from manager.store.tallies import Tallies

FORGET_S: Final = 3600.0
"""Failures are forgotten when there was none for this long."""

REMEMBERED_MAX: Final = 20_000
"""What failures are remembered of, of each kind: 12 MiB at most, with the longest names.

To have nine of its own forgotten a guesser needs 90,000 others, and 200,000 for those that make it wait: at the pace of strangers that takes
longer than to wait for as many guesses.
"""

ALIKE: Final = 10
"""With so many failures or more all are alike."""

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Failures:
    """How many, and when the last one was."""

    count: int
    last_s: float


class FailureCounts(Generic[K]):
    """`clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._by_count: tuple[OrderedDict[K, Failures], ...] = tuple(OrderedDict() for _ in range(ALIKE))
        self._alike: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._alike)

    def get(self, key: K) -> Failures | None:
        """Return the failures of one; None if there was none of late."""
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
        """Forget the failures of one."""
        alike = self._alike.pop(key, None)
        if alike is not None:
            del self._by_count[alike][key]


class FailuresEverywhere:
    """Failures of one kind at all managers of a store: those here, and those that the others tell of, each as bounded as the other."""

    def __init__(self, clock: Callable[[], float], tallies: Tallies, tally: Tally) -> None:
        self._tallies = tallies
        self._tally = tally
        self.here: FailureCounts[tuple[str, ...]] = FailureCounts(clock)
        self.elsewhere: FailureCounts[bytes] = FailureCounts(clock)
        tallies.listen(tally, self.elsewhere.count)

    def get(self, *whose: str) -> Failures | None:
        """Return the failures of one, wherever they were; None if there was none of late."""
        here = self.here.get(whose)
        # most stores have one manager
        other = self.elsewhere.get(self._tallies.digest(self._tally, *whose)) if len(self.elsewhere) else None
        if here is None or other is None:
            return here or other
        return Failures(here.count + other.count, max(here.last_s, other.last_s))

    def count(self, *whose: str) -> None:
        self.here.count(whose)
        self._tallies.count(self._tally, *whose)
