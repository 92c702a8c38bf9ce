"""Turnstile for requests: the pace at which they begin, in all and per owner, and which is next.

The next owner is the one whose turn has been due longest. Among its requests, the first of a connection goes
before those of connections already served, so that a client that keeps asking does not keep out newcomers.
With `newest_first`, an owner's newest request goes first, so that a crowd already waiting at its address
keeps no one out. With `at_once`, only so many are in progress; the others wait here, where they can be
overtaken. No request is refused: it waits, and since a connection has one request at a time, the number of
connections bounds the queue. Known peers have a separate turnstile, whose pace strangers cannot use up.
Invariant: an owner with many requests delays only itself, and the event loop never has more requests to begin
at once than the pace allows.
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
"""A request weighs one, plus one for each of these many bytes of head: the cost of reading it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The pace: `burst` at once, then `per_s`, in all and per owner, in units of request weight."""

    burst: float
    per_s: float
    each_burst: float
    each_per_s: float


@dataclass(slots=True)
class _Queue:
    """One owner's waiting requests, with their weights."""

    first: dict[asyncio.Future[bool], float] = field(default_factory=dict)
    again: dict[asyncio.Future[bool], float] = field(default_factory=dict)

    def next(self, *, newest: bool) -> tuple[asyncio.Future[bool], float] | None:
        """Remove and return the next request."""
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
        self._owners: Buckets[str] = Buckets(burst=pace.each_burst, per_s=pace.each_per_s)
        self._queues: dict[str, _Queue] = {}
        self._due: list[tuple[float, int, str]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return sum(len(queue.first) + len(queue.again) for queue in self._queues.values())

    @property
    def is_full(self) -> bool:
        """Whether no further request may be in progress now."""
        return self._at_work >= self._at_once

    def ask(self, owner: str, *, weight: float = 1.0, is_first: bool = False) -> asyncio.Future[bool]:
        """Return a future that becomes True when it is this request's turn, False if it left.

        With `at_once`, call `end` once for each turn that became True.
        """
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        queue = self._queues.get(owner)
        if queue is None:
            queue = self._queues[owner] = _Queue()
            self._schedule(owner, time.monotonic())
        (queue.first if is_first else queue.again)[turn] = weight
        self._give_turns()
        return turn

    def leave(self, owner: str, turn: asyncio.Future[bool]) -> None:
        """Note that this turn is no longer awaited."""
        queue = self._queues.get(owner)
        if queue is not None:
            queue.first.pop(turn, None)
            queue.again.pop(turn, None)
        if not turn.done():
            turn.set_result(False)

    def end(self) -> None:
        """Note that a request whose turn it was is no longer in progress."""
        self._at_work -= 1
        self._give_turns()

    def _schedule(self, owner: str, now_s: float) -> None:
        wait_s = self._owners.of(owner, now_s).spend(now_s, 0.0)
        heapq.heappush(self._due, (now_s + wait_s, next(self._order), owner))

    def _give_turns(self) -> None:
        now_s = time.monotonic()
        while self._due and self._at_work < self._at_once:
            due_s = max(self._due[0][0], now_s + self._all.spend(now_s, 0.0))
            if due_s > now_s:
                self._give_turns_in(due_s - now_s)
                return
            _, _, owner = heapq.heappop(self._due)
            found = self._queues[owner].next(newest=self._newest_first)
            if found is None:
                del self._queues[owner]
                continue
            turn, weight = found
            self._all.spend(now_s, weight)
            self._owners.of(owner, now_s).spend(now_s, weight)
            self._schedule(owner, now_s)
            if not turn.done():
                self._at_work += 1
                turn.set_result(True)

    def _give_turns_in(self, within_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(within_s, self._give_turns)
