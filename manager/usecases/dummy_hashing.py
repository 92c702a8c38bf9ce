"""Dummy hashing: the delay of hopeless attempts in a crowd, which holds up no other attempt.

Decides how long it takes: as long as one of the last real hashes. Invariant: attempts for one name run one
after the other, like real ones, so that neither one nor many concurrent attempts reveal whether the name
exists.
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
"""Remembered durations: few enough to follow the machine's load within seconds."""

FIRST_S: Final = 0.05
"""Assumed duration before any was measured: Argon2 on current machines."""

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
        """Remember how long hashing took. Thread-safe."""
        self._took_s.append(took_s)

    @asynccontextmanager
    async def of(self, name: str) -> AsyncIterator[None]:
        """Be the only attempt for this name within the block. Raises ThrottledError after too long a wait."""
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
        """Wait for as long as hashing takes."""
        await asyncio.sleep(_RANDOM.choice(self._took_s))
