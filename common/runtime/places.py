"""Places at a port: how many connections may be held there, in all and from one source, and whose goes when none is left.

Decides only; opens and closes nothing and reads no clock. Sources are those of `common.source`. Invariants: a source never loses a
place to one that holds as many, and whatever is remembered is bounded.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass
from math import inf
from typing import Final, Generic, TypeVar

SOURCES_MAX: Final = 10_000
"""Sources whose pace is remembered; the one that came least lately is forgotten first."""


@dataclass(slots=True, eq=False, kw_only=True)
class Place:
    """One connection's hold. From `yields_at_s` on it goes if others need it; infinity: it is being served."""

    source: str
    yields_at_s: float = inf


PlaceT = TypeVar("PlaceT", bound=Place)


class Places(Generic[PlaceT]):
    """At most `total` places, and `per_source` of them for one source."""

    def __init__(self, *, total: int, per_source: int) -> None:
        self._total, self._per_source = total, per_source
        self._held: dict[PlaceT, None] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def held_by(self, source: str) -> int:
        """How many places a source has."""
        return self._counts[source]

    def has_room_for(self, source: str) -> bool:
        """Whether one more from this source fits."""
        return len(self._held) < self._total and self._counts[source] < self._per_source

    def take(self, place: PlaceT) -> None:
        """Note a place that is held from now on."""
        self._held[place] = None
        self._counts[place.source] += 1

    def free(self, place: PlaceT) -> None:
        """Note that a place is free again; harmless if it is already."""
        if place not in self._held:
            return
        del self._held[place]
        self._counts[place.source] -= 1
        if not self._counts[place.source]:
            del self._counts[place.source]

    def first_to_go(self, source: str, now_s: float, *, over: int = 0) -> PlaceT | None:
        """Return whose place one more from `source` may have; None if everybody keeps theirs.

        It is the one that has yielded for longest among those of the source that holds most. A source that has all that one may have
        gives up one of its own. One that has some already gets another's only if that leaves it with no more (else two would take
        turns for ever), and with `over` only if the other holds so many more.
        """
        mine = self._counts[source]
        is_full_of_mine = mine >= self._per_source
        least = mine + max(over, 1 if mine else 0)
        found: PlaceT | None = None
        most, since_s = 0, inf
        for place in self._held:
            if place.yields_at_s > now_s:
                continue
            count = self._counts[place.source]
            if place.source != source if is_full_of_mine else count <= least:
                continue
            if (count, -place.yields_at_s) > (most, -since_s):
                found, most, since_s = place, count, place.yields_at_s
        return found


class Bucket:
    """A pace that may be exceeded for a moment: `burst` at once, then `per_s`."""

    __slots__ = ("_at_s", "_burst", "_left", "_per_s")

    def __init__(self, *, burst: float, per_s: float, now_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._left, self._at_s = burst, now_s

    def _refill(self, now_s: float) -> None:
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s

    def take(self, now_s: float, amount: float = 1.0) -> bool:
        """Take this much if it is there."""
        self._refill(now_s)
        if self._left < amount:
            return False
        self._left -= amount
        return True

    def wait_s(self, now_s: float, amount: float = 1.0) -> float:
        """Return for how many seconds this much is not there yet."""
        self._refill(now_s)
        return max(0.0, (amount - self._left) / self._per_s)

    def spend(self, now_s: float, amount: float) -> float:
        """Take this much, there or not, and return for how many seconds nothing more should be taken."""
        self._refill(now_s)
        self._left -= amount
        return max(0.0, -self._left / self._per_s)


class Paces:
    """A bucket for each source."""

    def __init__(self, *, burst: float, per_s: float) -> None:
        self._burst, self._per_s = burst, per_s
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def allows(self, source: str, now_s: float) -> bool:
        """Count one of a source, and say whether it is within its pace."""
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = Bucket(burst=self._burst, per_s=self._per_s, now_s=now_s)
            if len(self._buckets) > SOURCES_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(source)
        return bucket.take(now_s)
