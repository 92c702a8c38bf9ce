"""Failed sign-ins by password: each makes the next one of the same user from the same source wait longer.

Decides how long, and how many guesses are compared with a remembered password. Leaves to others who is asked at all: nobody is who holds a
credential that cannot be guessed (256 random bits), or whose password was verified a moment ago on the same connection; and a browser in
which the user signed in before is a source of its own.
Invariants: nobody can make a user wait who comes from somewhere else; what is remembered is bounded, whoever fails how often;
time is monotonic, so no step of the clock makes anybody wait longer.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from common.errors import ThrottledError

FREE_FAILURES: Final = 10
"""Failures of one user from one source before the next attempt has to wait: people mistype."""

COMPARED_MAX: Final = FREE_FAILURES
"""Guesses at one user from one source that are compared with the password remembered for that source. A comparison takes no time, so with
more of them whoever shares an address with a client could try hundreds a second; then that client's password is hashed again."""

DELAY_MAX_S: Final = 60.0
"""The longest wait. It is reached after 16 failures, and leaves a guesser 1,440 guesses a day at a password of at least 12 characters."""

FORGET_S: Final = 3600.0
"""Failures are forgotten when there was none for this long."""

REMEMBERED_MAX: Final = 10_000
"""Pairs of user and source, and sources, whose failures are remembered; those that failed longest ago go first."""


K = TypeVar("K")


@dataclass(slots=True)
class _Failures:
    count: int
    last_s: float


class Throttle:
    """See the module. `clock` is monotonic seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pairs: OrderedDict[tuple[str, str], _Failures] = OrderedDict()
        self._sources: OrderedDict[str, _Failures] = OrderedDict()
        self._compared: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    @property
    def remembered(self) -> int:
        """How many pairs of user and source are remembered."""
        return len(self._pairs)

    def check(self, user: str, source: str) -> None:
        """Refuse an attempt that comes too early. Raises ThrottledError."""
        wait_s = self.wait_s(user, source)
        if wait_s > 0:
            raise ThrottledError(wait_s)

    def wait_s(self, user: str, source: str) -> float:
        """Return how long this user has to wait at this source."""
        known = self._pairs.get((user, source))
        if known is None:
            return 0.0
        return max(0.0, known.last_s + delay_s(known.count) - self._clock())

    def failed(self, user: str, source: str) -> None:
        """Count a failure."""
        now_s = self._clock()
        _count(self._pairs, (user, source), now_s)
        _count(self._sources, source, now_s)

    def succeeded(self, user: str, source: str) -> None:
        """Forget the failures of a user who has proved who it is, at this source."""
        self._pairs.pop((user, source), None)

    def may_compare(self, user: str, source: str) -> bool:
        """Whether an attempt at this source may be compared with the password that is remembered for it."""
        known = self._compared.get((user, source))
        return known is None or known.count < COMPARED_MAX or known.last_s <= self._clock() - FORGET_S

    def compared(self, user: str, source: str) -> None:
        """Count a guess that was compared with a remembered password: a right one from there does not make up for it, as failures are."""
        _count(self._compared, (user, source), self._clock())

    def failures_of(self, source: str) -> int:
        """Return how often anybody failed from this source of late."""
        known = self._sources.get(source)
        return known.count if known is not None and known.last_s > self._clock() - FORGET_S else 0


def delay_s(failures: int) -> float:
    """Return how long the attempt after so many failures waits."""
    if failures < FREE_FAILURES:
        return 0.0
    # beyond the tenth doubling there is nothing to gain from large powers
    return min(DELAY_MAX_S, 2.0 ** min(failures - FREE_FAILURES, 10))


def _count(remembered: OrderedDict[K, _Failures], key: K, now_s: float) -> None:
    known = remembered.pop(key, None)
    if known is None or known.last_s <= now_s - FORGET_S:
        known = _Failures(0, now_s)
    remembered[key] = _Failures(known.count + 1, now_s)
    while len(remembered) > REMEMBERED_MAX:
        remembered.popitem(last=False)
