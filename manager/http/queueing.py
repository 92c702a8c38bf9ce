"""Fair queueing of a resource: how much is in use at once, each owner's share, and how long a request waits.

Decides who is next: the first to ask, unless that owner already has its full share. An owner with heavy use
keeps its share a while longer; meanwhile others have the resource and that owner rests. Invariant: no owner
ever takes more than its share, and neither use nor the queue grows without bound.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from common.errors import OverloadedError
from common.runtime.buckets import Buckets


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The amount of a resource (`in_all`), each owner's share (`each`), the queue's length and longest wait.

    `what` names the resource in the plural, for people.
    """

    what: str
    in_all: int
    each: int
    waiting_in_all: int
    waiting_each: int
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCycle:
    """How long one owner may use a resource: `burst_s` at once, then this share of the time.

    No rest is longer than `rest_max_s`, so that a request waiting for its end is not given up.
    """

    burst_s: float
    share: float
    rest_max_s: float


class FairQueue:
    """A queue for one limited resource. Without a `duty_cycle`, no owner has to rest."""

    def __init__(self, limit: Limit, duty_cycle: DutyCycle | None = None) -> None:
        self._limit = limit
        self._duty_cycle = duty_cycle
        self._used = (
            None if duty_cycle is None else Buckets[str](burst=duty_cycle.burst_s, per_s=duty_cycle.share)
        )
        self._held: Counter[str] = Counter()
        self._taken = 0
        self._waiting: dict[asyncio.Future[None], tuple[str, int]] = {}

    @property
    def taken(self) -> int:
        """How much is in use now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return len(self._waiting)

    @asynccontextmanager
    async def take(self, owner: str, amount: int = 1, *, rests: bool = True) -> AsyncIterator[None]:
        """Hold `amount` within the block, `Limit.each` at most.

        Raises OverloadedError if it was not granted in time.

        Use with `rests=False` does not count towards the owner's duty cycle either.
        """
        await self._acquire(owner, amount)
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            yield
        finally:
            self._give_back(amount)
            rest_s = self._rest_s(owner, loop.time(), loop.time() - began_s) if rests else 0.0
            if rest_s:
                loop.call_later(rest_s, self._free_share, owner, amount)
            else:
                self._free_share(owner, amount)

    async def _acquire(self, owner: str, amount: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = (owner, amount)
        self._grant()
        if not turn.done():
            self._check_room(turn, owner)
        try:
            async with asyncio.timeout(self._limit.wait_s):
                await turn
        except BaseException as error:
            if self._waiting.pop(turn, None) is None:
                # it was granted just as its owner gave up
                self._give_back(amount)
                self._free_share(owner, amount)
            if isinstance(error, TimeoutError):
                raise self._overload_error(own=self._is_full(owner, amount)) from error
            raise

    def _check_room(self, turn: asyncio.Future[None], owner: str) -> None:
        own = sum(1 for each, _ in self._waiting.values() if each == owner)
        if own > self._limit.waiting_each or len(self._waiting) > self._limit.waiting_in_all:
            del self._waiting[turn]
            raise self._overload_error(own=own > self._limit.waiting_each)

    def _rest_s(self, owner: str, now_s: float, used_s: float) -> float:
        if self._duty_cycle is None or self._used is None:
            return 0.0
        bucket = self._used.of(owner, now_s)
        if bucket.take(now_s, used_s):
            return 0.0
        bucket.take_some(now_s, used_s)
        return min(used_s * (1 / self._duty_cycle.share - 1), self._duty_cycle.rest_max_s)

    def _give_back(self, amount: int) -> None:
        """Release the amount to others; the owner's share stays taken."""
        self._taken -= amount
        self._grant()

    def _free_share(self, owner: str, amount: int) -> None:
        self._held[owner] -= amount
        if not self._held[owner]:
            del self._held[owner]
        self._grant()

    def _grant(self) -> None:
        for turn, (owner, amount) in list(self._waiting.items()):
            if turn.cancelled() or self._is_full(owner, amount):
                continue
            if self._taken + amount > self._limit.in_all:
                # nothing overtakes, or a large request would wait forever
                break
            del self._waiting[turn]
            self._taken += amount
            self._held[owner] += amount
            turn.set_result(None)

    def _is_full(self, owner: str, amount: int) -> bool:
        return self._held[owner] + amount > self._limit.each if owner in self._held else False

    def _overload_error(self, *, own: bool) -> OverloadedError:
        whose = "you have too many" if own else "the manager has too many"
        return OverloadedError(
            f"{whose} {self._limit.what} under way; try again in {self._limit.wait_s:.0f} s",
            retry_after_s=self._limit.wait_s,
            own=own,
        )
