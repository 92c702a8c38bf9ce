"""Lifetimes by a clock that nobody can set: what was made or used in this process ends in time, whatever the clock on the wall says.

Decides nothing alone: a moment on the wall ends things, too, and is all that is known of what an earlier process made. Invariant: no step of
the clock on the wall makes anything last longer; what is remembered is bounded.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

REMEMBERED_MAX: Final = 10_000
"""Lifetimes that are remembered; those that began longest ago go first."""


class Lifetimes:
    """`clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float], *, lasting_s: float) -> None:
        self._clock = clock
        self._lasting_s = lasting_s
        self._ends_s: OrderedDict[str, float] = OrderedDict()

    def begin(self, name: str) -> None:
        """Begin a lifetime, or begin it anew."""
        self._ends_s[name] = self._clock() + self._lasting_s
        self._ends_s.move_to_end(name)
        while len(self._ends_s) > REMEMBERED_MAX:
            self._ends_s.popitem(last=False)

    def is_over(self, name: str) -> bool:
        """Tell whether a lifetime is over; one that was not known begins now."""
        if name not in self._ends_s:
            self.begin(name)
        return self._ends_s[name] <= self._clock()
