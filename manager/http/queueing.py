"""Fair queueing of a resource among users: how much is out at once, how much one owner may have of it, and who waits how long.

Decides who is next: whoever asked first, unless that owner has its share already. One that used it much keeps it for a while longer, in
which others have the resource and it has to rest. Invariant: one owner never keeps more than its share from others, and neither what is
out nor who waits grows without bound.
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
    """How much there is (`in_all`) and how much of it one owner gets (`each`); how many may wait, and how long.

    `what` names it in the plural, for people.
    """

    what: str
    in_all: int
    each: int
    waiting_in_all: int
    waiting_each: int
    wait_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyCycle:
    """For how long one owner may use a resource: `burst_s` at once, and then this share of the time.

    No rest is longer than `rest_max_s`: what waits for the end of one is not given up for it.
    """

    burst_s: float
    share: float
    rest_max_s: float


class FairQueue:
    """Without a `duty_cycle` nobody has to rest."""

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
        """How much is out now."""
        return self._taken

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    @asynccontextmanager
    async def take(self, owner: str, amount: int = 1, *, rests: bool = True) -> AsyncIterator[None]:
        """Have `amount` of it within the block; at most `Limit.each`. Raises OverloadedError if it could not be had in time.

        What one does that never `rests` does not count for its duty either.
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
                # it was granted in the moment in which its owner gave up
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
        """Let others have it; the owner's share stays taken."""
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
                # nobody overtakes: who wants much would wait for ever
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
