"""Limit on the connections at a port, in total and per source, and the choice of one to close to make room.

Decides only; opens and closes nothing and reads no clock. Sources are those of `common.source`. Invariant: a source
never loses a connection to another that holds as many, unless only the other is known.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar


@dataclass(slots=True, eq=False, kw_only=True)
class AdmittedConnection:
    """A counted connection. It may be closed for others from `yields_at_s` on; infinity while it is being served."""

    source: str
    yields_at_s: float = inf


def _is_nobody(_source: str) -> bool:
    return False


ConnectionT = TypeVar("ConnectionT", bound=AdmittedConnection)


class ConnectionLimit(Generic[ConnectionT]):
    """Allows at most `total` connections, and `per_source` of them from one source."""

    def __init__(self, *, total: int, per_source: int) -> None:
        self._total, self._per_source = total, per_source
        self._held: dict[ConnectionT, None] = {}
        self._counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._held)

    def held_by(self, source: str) -> int:
        """The number of connections of a source."""
        return self._counts[source]

    def has_room_for(self, source: str) -> bool:
        """Whether another connection from this source fits."""
        return len(self._held) < self._total and self._counts[source] < self._per_source

    def take(self, connection: ConnectionT) -> None:
        """Count a connection from now on."""
        self._held[connection] = None
        self._counts[connection.source] += 1

    def free(self, connection: ConnectionT) -> None:
        """Stop counting a connection; harmless if it is not counted."""
        if connection not in self._held:
            return
        del self._held[connection]
        self._counts[connection.source] -= 1
        if not self._counts[connection.source]:
            del self._counts[connection.source]

    def first_to_go(
        self, source: str, now_s: float, *, over: int = 0, is_spared: Callable[[str], bool] = _is_nobody
    ) -> ConnectionT | None:
        """Return the connection to close for a new one from `source`, None if all of them stay.

        It is the one of the largest source that has been ready to yield for longest. A source at its own limit
        gives up one of its own. A source that already has some gets another's only if it then has no more than
        the other (otherwise the two would take turns for ever), and with `over` only if the other holds over
        that many more. Spared sources give up none.
        """
        counts = self._counts
        mine = counts[source]
        is_full_of_mine = mine >= self._per_source
        least = mine + max(over, 1 if mine else 0)
        found: ConnectionT | None = None
        most, since_s = 0, inf
        for connection in self._held:
            yields_at_s, count = connection.yields_at_s, counts[connection.source]
            # the check that rejects most candidates comes first: a flood opens a connection each millisecond
            if yields_at_s > now_s or count < most or (count == most and yields_at_s >= since_s):
                continue
            if connection.source != source if is_full_of_mine else count <= least:
                continue
            if connection.source == source or not is_spared(connection.source):
                found, most, since_s = connection, count, yields_at_s
        return found

    def first_stranger_to_go(self, source: str, is_known: Callable[[str], bool]) -> ConnectionT | None:
        """Return the stranger's connection to close for a new one from `source`, which is known.

        None if no stranger yields, or if `source` is at its own limit. Strangers never keep a known source out,
        however many arrive at once, each from its own address and before any of them has to yield.
        """
        if self._counts[source] >= self._per_source:
            return None
        found: ConnectionT | None = None
        since_s = inf
        for connection in self._held:
            if connection.yields_at_s < since_s and not is_known(connection.source):
                found, since_s = connection, connection.yields_at_s
        return found
