"""Clock that all managers of a store share: the database's time, continued by this machine's monotonic clock.

Decides which answer of the database is believed. Invariant: reading the clock costs nothing and never waits;
where several managers can run, no manager's own wall clock counts.
"""

import time
from collections.abc import Awaitable, Callable


class StoreClock:
    """`wall` and `monotonic` are this machine's, in seconds.

    `wall` counts until the database has told its time.
    """

    def __init__(
        self, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._ahead_s: float | None = None

    def now_s(self) -> float:
        """Return the time, in unix seconds."""
        return self._wall() if self._ahead_s is None else self._monotonic() + self._ahead_s

    async def note(self, ask: Callable[[], Awaitable[float]]) -> float:
        """Ask the database for its time, adjust this clock to it, and return the answer.

        The time that the answer spent on its way does not move this clock.
        """
        began_s = self._monotonic()
        said_s = await ask()
        doubt_s = (self._monotonic() - began_s) / 2
        ahead_s = said_s - (began_s + doubt_s)
        if self._ahead_s is None or abs(ahead_s - self._ahead_s) > doubt_s:
            self._ahead_s = ahead_s
        return said_s
