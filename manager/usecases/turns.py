"""Queue for password hashing, which is expensive and done for unauthenticated clients.

Decides who is next. Known devices go first. Others alternate between the best source (one that users sign in
from, with the fewest failures) and the longest wait. An attempt that cannot succeed, such as one with an
unknown name, takes its turn while the queue is short. In a crowd, or from a source with many failures, it
only waits as if it did, and delays nobody behind it. Invariants: one attempt is hashed at a time, which
bounds memory and processor. The queue is bounded, and every attempt is answered in time. The order reveals
nothing about which attempts can succeed.
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
"""Limit of waiting attempts: about 12 s of hashing."""

WAITING_PER_USER_MAX: Final = 16
"""Limit of waiting attempts of one user from one source: a program may start with many requests at once."""

CROWD: Final = 8
"""Queue length, about 0.4 s of hashing, from which on hopeless attempts take no turns."""

WAIT_S: Final = 10.0
"""Longest wait for a turn, shorter than clients' own timeouts."""

PACED_FROM: Final = 20
"""Failures of a source after which its hopeless attempts are hashed at a limited pace."""

PACE_S: Final = 0.5
"""Seconds between two of these: guessing takes at most a tenth of one core."""

RANDOM: Final = random.Random()  # noqa: S311 - fairness, not secrecy
"""Chooses between attempts of equal rank."""


class Turn(Enum):
    """Work done in a turn: hashing, or dummy work that takes as long."""

    WORK = auto()
    DUMMY = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Request for a turn: a claimed name, from a source.

    `is_known`: from a known device. `is_hopeless`: it cannot succeed.
    """

    user: str
    source: str
    is_known: bool = False
    is_hopeless: bool = False


Priority = tuple[int, ...]
"""Rank of a source, compared like a tuple; lower ranks go first."""


@dataclass(slots=True, eq=False)
class _Ticket:
    claim: Claim
    number: int
    turn: asyncio.Future[Turn] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class HashingQueue:
    """Queue of hashing. `priority_of` returns a source's rank, lower for better sources.

    `failures_of` returns a source's failure count; `clock` is monotonic seconds.
    """

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
        """Hold the turn within the block.

        Raises ThrottledError if too many attempts wait, or if the turn does not come in time.
        """
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
        """Reject a waiting attempt if the queue is full.

        Within one user and source it is a random one, so that a flood gains nothing. Otherwise it is the last
        in rank, at random among equals.
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
        """Give the turn to the next attempt."""
        if self._taken:
            return
        # an attempt that has just left stays in the queue until its task has run
        waiting = [each for each in self._waiting if not each.turn.done()]
        # sorted once, since many attempts may be passed over before one gets the turn
        by_age = deque(sorted(waiting, key=_age))
        by_rank = deque(sorted(waiting, key=self._rank))
        for _ in waiting:
            self._turns += 1
            # every other turn goes by age alone: users who share a proxy with a guesser wait longer, but not
            # for ever
            ticket = _first(by_rank if self._turns % 2 else by_age)
            turn = Turn.DUMMY if self._is_passed_over(ticket.claim) else Turn.WORK
            self._waiting.remove(ticket)
            self._taken = turn is Turn.WORK
            ticket.turn.set_result(turn)
            if self._taken:
                return

    def _is_passed_over(self, claim: Claim) -> bool:
        """Whether an attempt must not delay others.

        It cannot notice this, since it waits as if its turn had come.
        """
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
            # the turn was given just as its owner gave up
            self._taken = False
            self._choose()


def _first(line: deque[_Ticket]) -> _Ticket:
    """Return the first attempt that had no turn yet, and drop it and everything before it from the line."""
    while line[0].turn.done():
        line.popleft()
    return line.popleft()


def _age(ticket: _Ticket) -> tuple[bool, int]:
    return (not ticket.claim.is_known, ticket.number)
