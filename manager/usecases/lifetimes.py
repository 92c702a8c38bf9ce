"""Lifetimes by a clock that nobody can set: what was made or used in this process ends in time, whatever the clock on the wall says.

Decides nothing alone: a moment on the wall ends things, too, and is all that is known of what an earlier process or another manager made.
Invariant: no step of the clock on the wall makes anything last longer; what is remembered is bounded.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

REMEMBERED_MAX: Final = 10_000
"""Lifetimes that are remembered; those that began longest ago go first."""


@dataclass(frozen=True, slots=True)
class _End:
    at_s: float
    since_s: float


class Lifetimes:
    """`clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float], *, lasting_s: float) -> None:
        self._clock = clock
        self._lasting_s = lasting_s
        self._ends: OrderedDict[str, _End] = OrderedDict()

    def begin(self, name: str, since_s: float = 0.0) -> None:
        """Begin a lifetime, or begin it again; `since_s` is what the store has of when that was."""
        self._ends[name] = _End(self._clock() + self._lasting_s, since_s)
        self._ends.move_to_end(name)
        while len(self._ends) > REMEMBERED_MAX:
            self._ends.popitem(last=False)

    def is_over(self, name: str, since_s: float = 0.0) -> bool:
        """Whether a lifetime is over; one that was not known, or that the store says another manager has begun again, begins now."""
        known = self._ends.get(name)
        if known is None or known.since_s != since_s:
            self.begin(name, since_s)
            return False
        return known.at_s <= self._clock()
