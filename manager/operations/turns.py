"""Turns at what is expensive and done for strangers: hashing passwords.

Decides who is next: known devices, then, by turns, who comes from a source with the fewest failures and who has waited longest. A source
that fails a lot gets its turns at a slow pace. Invariants: one at a time, so that memory and processor are bounded; who waits is bounded, and is
told so in time; a flood from some sources takes no turn from others.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from common.errors import ThrottledError

WAITING_MAX: Final = 256
"""Attempts that wait in all: about 12 s of hashing."""

WAITING_PER_SOURCE_MAX: Final = 16
"""Attempts that wait from one source: a proxy may be one source for many people."""

WAIT_S: Final = 10.0
"""How long an attempt waits for its turn, before clients give up by themselves."""

PACED_FROM: Final = 20
"""Failures of a source after which its turns come at a pace."""

PACE_S: Final = 0.5
"""Seconds between two turns of such a source: guessing takes a tenth of one core at most."""


@dataclass(slots=True, eq=False)
class _Ticket:
    source: str
    known: bool
    number: int
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Turns:
    """See the module. `failures_of` tells how often a source failed of late; `clock` is monotonic seconds."""

    def __init__(self, failures_of: Callable[[str], int], clock: Callable[[], float]) -> None:
        self._failures_of = failures_of
        self._clock = clock
        self._waiting: list[_Ticket] = []
        self._number = 0
        self._turns = 0
        self._taken = False
        self._paced: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @asynccontextmanager
    async def take(self, source: str, *, known: bool = False) -> AsyncIterator[None]:
        """Have the turn within the block. Raises ThrottledError if too many wait, or it does not come in time."""
        ticket = self._queue(source, known=known)
        try:
            async with asyncio.timeout(WAIT_S):
                await ticket.turn
        except BaseException as error:
            self._give_up(ticket)
            if isinstance(error, TimeoutError):
                raise ThrottledError(WAIT_S) from error
            raise
        try:
            yield
        finally:
            self._taken = False
            self._choose()

    def _queue(self, source: str, *, known: bool) -> _Ticket:
        self._number += 1
        ticket = _Ticket(source, known, self._number)
        self._waiting.append(ticket)
        self._make_room(ticket)
        self._choose()
        return ticket

    def _make_room(self, newest: _Ticket) -> None:
        """Turn somebody away where too many wait: of one source anybody, so that a flood does not choose; in all, who would be last."""
        own = [each for each in self._waiting if each.source == newest.source]
        if len(own) > WAITING_PER_SOURCE_MAX:
            self._turn_away(random.choice(own))  # noqa: S311 - fairness, not secrecy
        elif len(self._waiting) > WAITING_MAX:
            self._turn_away(max(self._waiting, key=self._rank))

    def _turn_away(self, ticket: _Ticket) -> None:
        self._waiting.remove(ticket)
        if not ticket.turn.done():
            ticket.turn.set_exception(ThrottledError(WAIT_S))

    def _rank(self, ticket: _Ticket) -> tuple[bool, int, int]:
        return (not ticket.known, self._failures_of(ticket.source), ticket.number)

    def _choose(self) -> None:
        """Give the turn to who is next, now or when the pace allows it."""
        if self._taken or not self._waiting:
            return
        now_s = self._clock()
        self._paced = {source: due_s for source, due_s in self._paced.items() if due_s > now_s}
        waiting = [each for each in self._waiting if not each.turn.done()]
        due = [each for each in waiting if each.known or each.source not in self._paced]
        if not due:
            if not waiting:
                return
            if self._timer is not None:
                self._timer.cancel()
            wait_s = min(self._paced.values()) - now_s
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._choose)
            return
        self._turns += 1
        # every other turn by age alone: who is behind one proxy with a guesser waits longer, and not for ever
        ticket = min(due, key=self._rank if self._turns % 2 else _age)
        self._waiting.remove(ticket)
        self._taken = True
        if not ticket.known and self._failures_of(ticket.source) >= PACED_FROM:
            self._paced[ticket.source] = now_s + PACE_S
        ticket.turn.set_result(None)

    def _give_up(self, ticket: _Ticket) -> None:
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        elif ticket.turn.done() and not ticket.turn.cancelled() and ticket.turn.exception() is None:
            # it was given in the moment in which its owner gave up
            self._taken = False
            self._choose()


def _age(ticket: _Ticket) -> tuple[bool, int]:
    return (not ticket.known, ticket.number)
