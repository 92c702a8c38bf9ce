"""Places at a port: how many connections may be held there, in all and from one source, and whose goes when none is left.

Decides only; opens and closes nothing and reads no clock. Sources are those of `common.source`. Invariant: a source never loses a
place to one that holds as many.
"""

from collections import Counter
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar


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
