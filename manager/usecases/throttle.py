"""Failed sign-ins by password: each makes the next one of the same user from the same source wait longer.

Decides how long, and how many guesses are compared with a remembered password. Leaves to others who is asked at all: nobody is who holds a
credential that cannot be guessed (256 random bits), or whose password was verified a moment ago on the same connection; and a browser in
which the user signed in before is a source of its own.
Invariants: it is the failures at all managers of the store that count, a moment after each; nobody can make a user wait who comes from
somewhere else; no success gives a guesser anything back, whoever it is that
succeeds; what is remembered is bounded, whoever fails how often; time is monotonic, so no step of the clock makes anybody wait longer.
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
"""Failures of one user from one source before the next attempt has to wait: people mistype."""

COMPARED_MAX: Final = FREE_FAILURES
"""Guesses at one user from one source that are compared with the password remembered for that source. A comparison takes no time, so with
more of them whoever shares an address with a client could try hundreds a second; then that client's password is hashed again."""

DELAY_MAX_S: Final = 60.0
"""The longest wait. It is reached after 16 failures, and leaves a guesser 1,440 guesses a day at a password of at least 12 characters."""

FAMILIAR_MAX: Final = 10_000
"""Sources that somebody signed in from that are remembered; those that were used longest ago go first."""


class Throttle:
    """`clock` is monotonic seconds; `tallies` is how managers of one store tell each other."""

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
        """How many pairs of user and source are remembered of what was tried here."""
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
        """Count a failure, of the source's networks, too."""
        self._pairs.count(user, source)
        for each in dict.fromkeys(networks_of(source)):
            self._networks.count(each)

    def succeeded(self, source: str) -> None:
        """Remember that people sign in from a source. Its failures stay: they may be a guesser's, who shares it with them."""
        self._note_familiar(self._tallies.digest(Tally.PROVEN, source))
        self._tallies.count(Tally.PROVEN, source)

    def _note_familiar(self, digest: bytes) -> None:
        self._familiar[digest] = None
        self._familiar.move_to_end(digest)
        while len(self._familiar) > FAMILIAR_MAX:
            self._familiar.popitem(last=False)

    @property
    def remembered_of_connections(self) -> int:
        """On how many connections somebody guessed, counted by user."""
        return len(self._guessed_s)

    def may_compare(
        self, user: str, source: str, connection: ClientConnection | None, *, is_unguessable: bool
    ) -> bool:
        """Whether an attempt at this source, on this connection, may be compared with the password that is remembered for it.

        One that nobody finds by guessing is compared however many guess there, but on a connection of somebody who does.
        """
        guessed_s = None if connection is None else self._guessed_s.get(connection, user)
        if guessed_s is not None and guessed_s > self._clock() - FORGET_S:
            return False
        if is_unguessable:
            return True
        known = self._compared.get(user, source)
        return known is None or known.count < COMPARED_MAX

    def compared(self, user: str, source: str) -> None:
        """Count a guess that was compared with a remembered password: a right one from there does not make up for it, as failures are."""
        self._compared.count(user, source)

    def guessed_on(self, user: str, connection: ClientConnection) -> None:
        """Remember that somebody guessed at a user on a connection."""
        self._guessed_s.note(connection, user, self._clock())

    def failures_of(self, source: str) -> int:
        """Return how often anybody failed from this source of late."""
        known = self._networks.get(source)
        return known.count if known is not None else 0

    def priority_of(self, source: str) -> tuple[int, ...]:
        """Return what is less for a source that deserves to be asked before others.

        One that people sign in from does, then one with few failures in its networks, the widest first: a guesser's new address is not a stranger's.
        """
        is_familiar = self._tallies.digest(Tally.PROVEN, source) in self._familiar
        return (not is_familiar, *(self.failures_of(each) for each in networks_of(source)))


def delay_s(failures: int) -> float:
    """Return how long the attempt after so many failures waits."""
    if failures < FREE_FAILURES:
        return 0.0
    # beyond the tenth doubling there is nothing to gain from large powers
    return min(DELAY_MAX_S, 2.0 ** min(failures - FREE_FAILURES, 10))
