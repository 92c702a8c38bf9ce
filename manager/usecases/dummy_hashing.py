"""Dummy hashing: what an attempt that cannot succeed does in a crowd, in place of keeping others waiting.

Decides how long it takes: as long as one of the last that were hashed. Invariant: attempts of one name come one after the other, as those
that are hashed do, so that neither one nor many of them at once tell whether the name is a user's.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from common.errors import ThrottledError
from manager.usecases.turns import WAIT_S

SAMPLES: Final = 32
"""Durations that are remembered: few enough to follow the machine's load within seconds."""

FIRST_S: Final = 0.05
"""What hashing takes before any was measured: what Argon2 takes on machines of today."""

_RANDOM: Final = random.SystemRandom()


@dataclass(slots=True)
class _Lane:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class DummyHashing:
    def __init__(self) -> None:
        self._took_s: deque[float] = deque([FIRST_S], maxlen=SAMPLES)
        self._lanes: dict[str, _Lane] = {}

    def learn(self, took_s: float) -> None:
        """Remember how long hashing took. From any thread."""
        self._took_s.append(took_s)

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Be the only attempt of this name within the block. Raises ThrottledError if that takes too long."""
        lane = self._lanes.setdefault(name, _Lane())
        lane.users += 1
        try:
            try:
                await asyncio.wait_for(lane.lock.acquire(), WAIT_S)
            except TimeoutError as error:
                raise ThrottledError(WAIT_S) from error
            try:
                yield
            finally:
                lane.lock.release()
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[name]

    async def pass_time(self) -> None:
        """Take as long as hashing does."""
        await asyncio.sleep(_RANDOM.choice(self._took_s))
