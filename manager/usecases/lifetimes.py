"""Lifetimes by the monotonic clock: things of this process expire in time, whatever the wall clock says.

Callers check the wall clock, too; only that is known for things made by an earlier process or another
manager. Invariant: no step of the wall clock prolongs anything. Memory is bounded.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

REMEMBERED_MAX: Final = 10_000
"""Remembered lifetimes; the oldest are dropped."""


@dataclass(frozen=True, slots=True)
class _End:
    at_s: float
    since_s: float


class Lifetimes:
    """Lifetimes of one kind. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float], *, lasting_s: float) -> None:
        self._clock = clock
        self._lasting_s = lasting_s
        self._ends: OrderedDict[str, _End] = OrderedDict()

    def begin(self, name: str, since_s: float = 0.0) -> None:
        """Start or restart a lifetime; `since_s` is the stored start."""
        self._ends[name] = _End(self._clock() + self._lasting_s, since_s)
        self._ends.move_to_end(name)
        while len(self._ends) > REMEMBERED_MAX:
            self._ends.popitem(last=False)

    def is_over(self, name: str, since_s: float = 0.0) -> bool:
        """Whether a lifetime is over.

        An unknown lifetime, or one that another manager has restarted according to the store, starts now.
        """
        known = self._ends.get(name)
        if known is None or known.since_s != since_s:
            self.begin(name, since_s)
            return False
        return known.at_s <= self._clock()
