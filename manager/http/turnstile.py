"""Turnstile for requests: at what pace they are let in, in all and of each owner, and who is next.

Decides who is next: the owner whose turn has been due for longest; among one owner's requests the first of a connection before those of
connections that have been served already, as who asks again and again shall not keep out newcomers. With `newest_first` the newest
of an owner's goes first, so that a crowd that is waiting at its address keeps nobody out. Who is taken to be honest goes ahead of all
others, but for one of four, since somebody else may be at such an address. Where `at_once` is set, only so many are at work: what waits,
waits here, where it can be overtaken. Nobody is refused: a request waits, and one connection has one request at a time, so the connections
bound who waits. Invariant: an owner with much to ask waits for itself, and the event loop never has more requests to begin at once than
the pace allows.
"""

import asyncio
import heapq
import itertools
import time
from dataclasses import dataclass, field
from math import inf
from typing import Final

from common.runtime.buckets import Bucket, Buckets

HEAD_UNIT_BYTES: Final = 4096
"""A request counts once, and once more for each of these in its head: that is what reading it costs."""

AHEAD_MAX: Final = 3
"""So many go ahead in a row while others are due, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much is let in: `burst` at once, then `per_s`, in all and of each owner; in what requests are weighed by."""

    burst: float
    per_s: float
    each_burst: float
    each_per_s: float


_Owner = tuple[bool, str]
"""Whether it goes ahead, and who it is."""


@dataclass(slots=True)
class _Queue:
    """Who waits of one owner, with what it counts for."""

    first: dict[asyncio.Future[bool], float] = field(default_factory=dict)
    again: dict[asyncio.Future[bool], float] = field(default_factory=dict)

    def next(self, *, newest: bool) -> tuple[asyncio.Future[bool], float] | None:
        """Take out who is next."""
        for queue in (self.first, self.again):
            for turn in reversed(queue) if newest else queue:
                return turn, queue.pop(turn)
        return None


class Turnstile:
    def __init__(self, pace: Pace, *, newest_first: bool = False, at_once: float = inf) -> None:
        self._pace = pace
        self._newest_first = newest_first
        self._at_once = at_once
        self._at_work = 0
        self._all = Bucket(burst=pace.burst, per_s=pace.per_s, now_s=time.monotonic())
        self._owners: Buckets[_Owner] = Buckets(burst=pace.each_burst, per_s=pace.each_per_s)
        self._queues: dict[_Owner, _Queue] = {}
        # by whether they go ahead
        self._due: dict[bool, list[tuple[float, int, _Owner]]] = {True: [], False: []}
        self._went_ahead = 0
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return sum(len(queue.first) + len(queue.again) for queue in self._queues.values())

    @property
    def is_full(self) -> bool:
        """Whether nobody more may be at work now."""
        return self._at_work >= self._at_once

    def ask(
        self, owner: str, *, weight: float = 1.0, is_first: bool = False, goes_ahead: bool = False
    ) -> asyncio.Future[bool]:
        """Return what becomes true when it is this request's turn; false if it left.

        Where `at_once` is set, `end` is called once for each turn that became true.
        """
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        key = (goes_ahead, owner)
        queue = self._queues.get(key)
        if queue is None:
            queue = self._queues[key] = _Queue()
            self._schedule(key, time.monotonic())
        (queue.first if is_first else queue.again)[turn] = weight
        self._let_in()
        return turn

    def leave(self, owner: str, turn: asyncio.Future[bool]) -> None:
        """Note that nobody waits for this turn any more."""
        for goes_ahead in (True, False):
            queue = self._queues.get((goes_ahead, owner))
            if queue is not None:
                queue.first.pop(turn, None)
                queue.again.pop(turn, None)
        if not turn.done():
            turn.set_result(False)

    def end(self) -> None:
        """Note that what had its turn is not at work any more."""
        self._at_work -= 1
        self._let_in()

    def _schedule(self, owner: _Owner, now_s: float) -> None:
        wait_s = self._owners.of(owner, now_s).spend(now_s, 0.0)
        heapq.heappush(self._due[owner[0]], (now_s + wait_s, next(self._order), owner))

    def _let_in(self) -> None:
        now_s = time.monotonic()
        while self._at_work < self._at_once:
            due = self._first_due(now_s)
            if due is None:
                return
            _, _, owner = heapq.heappop(due)
            found = self._queues[owner].next(newest=self._newest_first)
            if found is None:
                del self._queues[owner]
                continue
            turn, weight = found
            self._all.spend(now_s, weight)
            self._owners.of(owner, now_s).spend(now_s, weight)
            self._schedule(owner, now_s)
            if not turn.done():
                self._went_ahead = self._went_ahead + 1 if owner[0] else 0
                self._at_work += 1
                turn.set_result(True)

    def _first_due(self, now_s: float) -> list[tuple[float, int, _Owner]] | None:
        """Return the queue whose first may come in now; None, and it is looked again in time, if there is none."""
        queues = [queue for queue in (self._due[True], self._due[False]) if queue]
        if not queues:
            return None
        due_s = max(min(queue[0][0] for queue in queues), now_s + self._all.spend(now_s, 0.0))
        if due_s > now_s:
            self._come_back(due_s - now_s)
            return None
        ready = [queue for queue in queues if queue[0][0] <= now_s]
        return ready[-1] if self._went_ahead >= AHEAD_MAX else ready[0]

    def _come_back(self, within_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(within_s, self._let_in)
