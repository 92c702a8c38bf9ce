"""Limit on the connections at a port, in all and from one source, and which one is closed to make room.

Decides only; opens and closes nothing and reads no clock. Sources are those of `common.source`. Invariant: a source never loses a
connection to one that holds as many, unless it is a stranger's and the other is known.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar


@dataclass(slots=True, eq=False, kw_only=True)
class AdmittedConnection:
    """A connection that counts. From `yields_at_s` on it may be closed for others; infinity: it is being served."""

    source: str
    yields_at_s: float = inf


def _is_nobody(_source: str) -> bool:
    return False


ConnectionT = TypeVar("ConnectionT", bound=AdmittedConnection)


class ConnectionLimit(Generic[ConnectionT]):
    """At most `total` connections, and `per_source` of them from one source."""

    def __init__(self, *, total: int, per_source: int) -> None:
        self._total, self._per_source = total, per_source
        self._held: dict[ConnectionT, None] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def held_by(self, source: str) -> int:
        """How many connections a source has."""
        return self._counts[source]

    def has_room_for(self, source: str) -> bool:
        """Whether one more from this source fits."""
        return len(self._held) < self._total and self._counts[source] < self._per_source

    def take(self, connection: ConnectionT) -> None:
        """Count a connection from now on."""
        self._held[connection] = None
        self._counts[connection.source] += 1

    def free(self, connection: ConnectionT) -> None:
        """Count it no more; harmless if it is not counted."""
        if connection not in self._held:
            return
        del self._held[connection]
        self._counts[connection.source] -= 1
        if not self._counts[connection.source]:
            del self._counts[connection.source]

    def first_to_go(
        self, source: str, now_s: float, *, over: int = 0, is_spared: Callable[[str], bool] = _is_nobody
    ) -> ConnectionT | None:
        """Return which connection is closed for one more from `source`; None if all of them stay.

        It is the one that has yielded for longest among those of the source that holds most. A source that has all that one may have
        gives up one of its own. One that has some already gets another's only if that leaves it with no more (else two would take
        turns for ever), and with `over` only if the other holds so many more. Other sources that are spared give up none.
        """
        counts = self._counts
        mine = counts[source]
        is_full_of_mine = mine >= self._per_source
        least = mine + max(over, 1 if mine else 0)
        found: ConnectionT | None = None
        most, since_s = 0, inf
        for connection in self._held:
            yields_at_s, count = connection.yields_at_s, counts[connection.source]
            # first what most of hundreds fail at: a flood brings a connection each millisecond
            if yields_at_s > now_s or count < most or (count == most and yields_at_s >= since_s):
                continue
            if connection.source != source if is_full_of_mine else count <= least:
                continue
            if connection.source == source or not is_spared(connection.source):
                found, most, since_s = connection, count, yields_at_s
        return found

    def first_stranger_to_go(self, source: str, is_known: Callable[[str], bool]) -> ConnectionT | None:
        """Return which connection of a source that nobody knows is closed for one more from `source`, which somebody does; None if none yields, or that has all that one may have.

        However many strangers come at once, from an address each and before any of them has to yield, they keep nobody out who is known.
        """
        if self._counts[source] >= self._per_source:
            return None
        found: ConnectionT | None = None
        since_s = inf
        for connection in self._held:
            if connection.yields_at_s < since_s and not is_known(connection.source):
                found, since_s = connection, connection.yields_at_s
        return found
