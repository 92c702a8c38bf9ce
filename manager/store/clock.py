"""The one clock of all managers of a store: its database's, gone on by this machine's clock that nobody can set.

Decides which answer of the database is believed. Invariant: asking costs nothing and never waits; no manager's own clock on the wall counts
where several managers can be.
"""

import time
from collections.abc import Awaitable, Callable


class StoreClock:
    """`wall` and `monotonic` are this machine's, in seconds; until the database has said what time it is, `wall` is all that is known."""

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
        """Ask the database, and return what it says; from now on it is that much later or earlier here.

        What the answer could not know, as it was on its way, does not move this clock.
        """
        began_s = self._monotonic()
        said_s = await ask()
        doubt_s = (self._monotonic() - began_s) / 2
        ahead_s = said_s - (began_s + doubt_s)
        if self._ahead_s is None or abs(ahead_s - self._ahead_s) > doubt_s:
            self._ahead_s = ahead_s
        return said_s
