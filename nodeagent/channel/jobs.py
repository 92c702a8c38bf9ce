"""Jobs that are agreed with the manager, one after the other.

Decides which is done next. Leaves what each is to the conversation. Invariant: of each kind the newest waits, and no other.
"""

import asyncio
from dataclasses import dataclass

from common.wire.receiver import Acknowledged, Announced, Install


@dataclass(frozen=True, slots=True)
class RestOver:
    """What kept refused content from being installed is gone."""


Job = Install | Acknowledged | RestOver | Announced


class Jobs:
    """What is to be done, the newest of each kind: one installation runs at a time, one outcome waits to be acknowledged, a rest ends once, and one contact is kept.

    So a manager that says a thing without end makes nothing grow, and nothing be done twice.
    """

    def __init__(self) -> None:
        self._waiting: dict[type[Job], Job] = {}
        self._came = asyncio.Event()

    def put(self, job: Job) -> None:
        """Keep a job; it takes the place of one of its kind."""
        self._waiting[type(job)] = job
        self._came.set()

    async def take(self) -> Job:
        """Wait for a job; of those of several kinds the one whose kind came first."""
        await self._came.wait()
        job = self._waiting.pop(next(iter(self._waiting)))
        if not self._waiting:
            self._came.clear()
        return job

    def __len__(self) -> int:
        return len(self._waiting)
