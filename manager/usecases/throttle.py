"""Throttling of failed sign-ins: each failure delays the next attempt of the same user from the same source.

Decides how long, and how many guesses are compared with a remembered password. Callers exempt holders of
unguessable credentials (256 random bits) and of passwords that were just verified on the same connection. A
browser that a user signed in with before is a source of its own. Invariants: failures at all managers of the
store count, shortly after each. Nobody can delay a user who comes from another source. A success never resets
a guesser's count. Memory is bounded. Time is monotonic, so clock steps delay nobody.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from common.errors import ThrottledError
from common.source import networks_of
from manager.domain.tallies import Tally
from manager.store.tallies import Tallies
from manager.usecases.connections import ClientConnection, OfConnections
from manager.usecases.failure_counters import FORGET_S, FailuresEverywhere

FREE_FAILURES: Final = 10
"""Failures of one user from one source before attempts are delayed: people mistype."""

COMPARED_MAX: Final = FREE_FAILURES
"""Guesses at one user from one source that are compared with the password remembered for that source.

A comparison is instant, so a higher limit would let an attacker who shares a client's address try hundreds a
second. Beyond it, the client's password is hashed again.
"""

DELAY_MAX_S: Final = 60.0
"""The longest delay.

It is reached after 16 failures. A guesser then has 1,440 guesses a day at a password of at least 12
characters.
"""

FAMILIAR_MAX: Final = 10_000
"""Remembered sources of successful sign-ins; the least recently used are dropped."""


class Throttle:
    """Sign-in throttle.

    `clock` is monotonic seconds; `tallies` shares failures between the managers of a store.
    """

    def __init__(self, clock: Callable[[], float], tallies: Tallies) -> None:
        self._clock = clock
        self._tallies = tallies
        self._pairs = FailuresEverywhere(clock, tallies, Tally.FAILED)
        self._compared = FailuresEverywhere(clock, tallies, Tally.COMPARED)
        self._guessed_s: OfConnections[str, float] = OfConnections()
        self._networks = FailuresEverywhere(clock, tallies, Tally.NETWORK_FAILED)
        self._familiar: OrderedDict[bytes, None] = OrderedDict()
        tallies.listen(Tally.PROVEN, lambda digest, _: self._note_familiar(digest))

    @property
    def remembered(self) -> int:
        """Number of user and source pairs with remembered attempts at this manager."""
        return len(self._pairs.here)

    def check(self, user: str, source: str) -> None:
        """Refuse an attempt that comes too early. Raises ThrottledError."""
        wait_s = self.wait_s(user, source)
        if wait_s > 0:
            raise ThrottledError(wait_s)

    def wait_s(self, user: str, source: str) -> float:
        """Return how long this user has to wait at this source."""
        known = self._pairs.get(user, source)
        if known is None:
            return 0.0
        return max(0.0, known.last_s + delay_s(known.count) - self._clock())

    def failed(self, user: str, source: str) -> None:
        """Count a failure, for the source and its networks."""
        self._pairs.count(user, source)
        for each in dict.fromkeys(networks_of(source)):
            self._networks.count(each)

    def succeeded(self, source: str) -> None:
        """Remember that users sign in from a source.

        Its failures stay: they may come from a guesser at the same source.
        """
        self._note_familiar(self._tallies.digest(Tally.PROVEN, source))
        self._tallies.count(Tally.PROVEN, source)

    def _note_familiar(self, digest: bytes) -> None:
        self._familiar[digest] = None
        self._familiar.move_to_end(digest)
        while len(self._familiar) > FAMILIAR_MAX:
            self._familiar.popitem(last=False)

    def may_compare(
        self, user: str, source: str, connection: ClientConnection | None, *, is_unguessable: bool
    ) -> bool:
        """Whether an attempt from this source and connection may be compared with the remembered password.

        An unguessable password is compared despite guesses at the source, but not on a connection that was
        used for guessing.
        """
        guessed_s = None if connection is None else self._guessed_s.get(connection, user)
        if guessed_s is not None and guessed_s > self._clock() - FORGET_S:
            return False
        if is_unguessable:
            return True
        known = self._compared.get(user, source)
        return known is None or known.count < COMPARED_MAX

    def compared(self, user: str, source: str) -> None:
        """Count a guess that was compared with a remembered password.

        As with failures, a success does not reset the count.
        """
        self._compared.count(user, source)

    def guessed_on(self, user: str, connection: ClientConnection) -> None:
        """Remember a guess at a user's password on a connection."""
        self._guessed_s.note(connection, user, self._clock())

    def failures_of(self, source: str) -> int:
        """Return the number of recent failures from this source, whatever the user."""
        known = self._networks.get(source)
        return known.count if known is not None else 0

    def priority_of(self, source: str) -> tuple[int, ...]:
        """Return a source's rank, lower for sources that deserve an earlier turn.

        Sources that users sign in from come first, then sources with few failures in their networks, the
        widest network first: a guesser's new address does not rank like an unrelated one.
        """
        is_familiar = self._tallies.digest(Tally.PROVEN, source) in self._familiar
        return (not is_familiar, *(self.failures_of(each) for each in networks_of(source)))


def delay_s(failures: int) -> float:
    """Return the delay of the attempt that follows this many failures."""
    if failures < FREE_FAILURES:
        return 0.0
    # beyond the tenth doubling larger powers gain nothing
    return min(DELAY_MAX_S, 2.0 ** min(failures - FREE_FAILURES, 10))
