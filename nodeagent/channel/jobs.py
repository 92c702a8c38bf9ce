"""Jobs agreed with the manager, one at a time.

Decides the next one. Leaves their execution to the conversation. Invariant: only the newest job of each kind waits.
"""

import asyncio
from dataclasses import dataclass

from common.wire.receiver import Acknowledged, Announced, Install


@dataclass(frozen=True, slots=True)
class RestOver:
    """The obstacle to installing refused content is gone."""


Job = Install | Acknowledged | RestOver | Announced


class Jobs:
    """The newest waiting job of each kind.

    One is enough: one installation runs at a time, one outcome waits for its acknowledgement, a rest ends once, and one
    contact is stored. So a manager that repeats itself endlessly neither fills memory nor causes repeated work.
    """

    def __init__(self) -> None:
        self._waiting: dict[type[Job], Job] = {}
        self._came = asyncio.Event()

    def put(self, job: Job) -> None:
        """Add a job. It replaces a waiting one of its kind."""
        self._waiting[type(job)] = job
        self._came.set()

    async def take(self) -> Job:
        """Wait for a job; of several kinds, return the one whose kind came first."""
        await self._came.wait()
        job = self._waiting.pop(next(iter(self._waiting)))
        if not self._waiting:
            self._came.clear()
        return job

    def __len__(self) -> int:
        return len(self._waiting)
