"""Turns at what is expensive and done for strangers: hashing passwords.

Decides who is next: known devices, then, by turns, who comes from where people sign in and the fewest failures come from, and who has waited
longest. An attempt that cannot succeed, such as one with a name that nobody has, takes its turn like any other while few wait; in a crowd,
and from where a lot failed, it is only told when its turn has come, and whoever waits behind it does not wait for it.
Invariants: one at a time, so that memory and processor are bounded; who waits is bounded, and is told so in time; who goes before whom
depends on nothing that tells which attempts can succeed.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from common.errors import ThrottledError

WAITING_MAX: Final = 256
"""Attempts that wait in all: about 12 s of hashing."""

WAITING_PER_USER_MAX: Final = 16
"""Attempts of one user from one source that wait: a program may begin with many requests at once."""

CROWD: Final = 8
"""Attempts that wait, about 0.4 s of hashing, from which on those that cannot succeed take no turns from others."""

WAIT_S: Final = 10.0
"""How long an attempt waits for its turn, before clients give up on their own."""

PACED_FROM: Final = 20
"""Failures of a source after which its attempts that cannot succeed are hashed at a pace."""

PACE_S: Final = 0.5
"""Seconds between two that are: guessing takes a tenth of one core at most."""

RANDOM: Final = random.Random()  # noqa: S311 - fairness, not secrecy
"""Who goes of those that are alike."""


class Turn(Enum):
    """What somebody does whose turn has come: the work, or dummy work that takes as long."""

    WORK = auto()
    DUMMY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who wants a turn: a name as somebody claims it, from a source; `is_known` from a known device, `is_hopeless` if it cannot succeed."""

    user: str
    source: str
    is_known: bool = False
    is_hopeless: bool = False


Priority = tuple[int, ...]
"""How little a source deserves a turn, compared like a tuple."""


@dataclass(slots=True, eq=False)
class _Ticket:
    claim: Claim
    number: int
    turn: asyncio.Future[Turn] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class HashingQueue:
    """`priority_of` a source is less for better ones; `failures_of` tells how often it failed; `clock` is monotonic seconds."""

    def __init__(
        self,
        priority_of: Callable[[str], Priority],
        failures_of: Callable[[str], int],
        clock: Callable[[], float],
    ) -> None:
        self._priority_of = priority_of
        self._failures_of = failures_of
        self._clock = clock
        self._waiting: list[_Ticket] = []
        self._number = 0
        self._turns = 0
        self._taken = False
        self._paced: dict[str, float] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @asynccontextmanager
    async def take(self, claim: Claim) -> AsyncIterator[Turn]:
        """Have the turn within the block. Raises ThrottledError if too many wait, or it does not come in time."""
        ticket = self._queue(claim)
        try:
            async with asyncio.timeout(WAIT_S):
                turn = await ticket.turn
        except BaseException as error:
            self._give_up(ticket)
            if isinstance(error, TimeoutError):
                raise ThrottledError(WAIT_S) from error
            raise
        try:
            yield turn
        finally:
            if turn is Turn.WORK:
                self._taken = False
                self._choose()

    def _queue(self, claim: Claim) -> _Ticket:
        self._number += 1
        ticket = _Ticket(claim, self._number)
        self._waiting.append(ticket)
        self._make_room(ticket)
        self._choose()
        return ticket

    def _make_room(self, newest: _Ticket) -> None:
        """Turn somebody away where too many wait.

        Of one user at one source that is anybody, so that a flood does not choose; in all, who would be last, and of those that are alike anybody.
        """
        who = (newest.claim.user, newest.claim.source)
        own = [each for each in self._waiting if (each.claim.user, each.claim.source) == who]
        if len(own) > WAITING_PER_USER_MAX:
            self._turn_away(RANDOM.choice(own))
        elif len(self._waiting) > WAITING_MAX:
            crowds = Counter(each.claim.source for each in self._waiting)
            self._turn_away(
                max(
                    self._waiting,
                    key=lambda each: (self._priority(each), crowds[each.claim.source], RANDOM.random()),
                )
            )

    def _turn_away(self, ticket: _Ticket) -> None:
        self._waiting.remove(ticket)
        if not ticket.turn.done():
            ticket.turn.set_exception(ThrottledError(WAIT_S))

    def _priority(self, ticket: _Ticket) -> Priority:
        return (not ticket.claim.is_known, *self._priority_of(ticket.claim.source))

    def _rank(self, ticket: _Ticket) -> tuple[Priority, int]:
        return (self._priority(ticket), ticket.number)

    def _choose(self) -> None:
        """Give the turn to who is next."""
        if self._taken:
            return
        # who has just left is still in line until its task has run
        waiting = [each for each in self._waiting if not each.turn.done()]
        # in order once, as a crowd may have to be passed over before somebody gets the turn
        by_age = deque(sorted(waiting, key=_age))
        by_rank = deque(sorted(waiting, key=self._rank))
        for _ in waiting:
            self._turns += 1
            # every other turn by age alone: who is behind one proxy with a guesser waits longer, and not for ever
            ticket = _first(by_rank if self._turns % 2 else by_age)
            turn = Turn.DUMMY if self._is_passed_over(ticket.claim) else Turn.WORK
            self._waiting.remove(ticket)
            self._taken = turn is Turn.WORK
            ticket.turn.set_result(turn)
            if self._taken:
                return

    def _is_passed_over(self, claim: Claim) -> bool:
        """Whether this one is not to keep others waiting. Told by nothing that it shows, since it waits on as if its turn had come."""
        if not claim.is_hopeless:
            return False
        if len(self._waiting) > CROWD:
            return True
        if self._failures_of(claim.source) < PACED_FROM:
            return False
        now_s = self._clock()
        self._paced = {source: due_s for source, due_s in self._paced.items() if due_s > now_s}
        if claim.source in self._paced:
            return True
        self._paced[claim.source] = now_s + PACE_S
        return False

    def _give_up(self, ticket: _Ticket) -> None:
        if ticket in self._waiting:
            self._waiting.remove(ticket)
        elif (
            ticket.turn.done()
            and not ticket.turn.cancelled()
            and ticket.turn.exception() is None
            and ticket.turn.result() is Turn.WORK
        ):
            # it was given in the moment in which its owner gave up
            self._taken = False
            self._choose()


def _first(line: deque[_Ticket]) -> _Ticket:
    """Return the first who has had no turn yet, and shorten the line to those after it."""
    while line[0].turn.done():
        line.popleft()
    return line.popleft()


def _age(ticket: _Ticket) -> tuple[bool, int]:
    return (not ticket.claim.is_known, ticket.number)
