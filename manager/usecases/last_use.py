"""Last use of credentials, written rarely so that reads do not cause writes.

Invariant: a credential causes at most one write in NOTED_S, however often it is used. A use that cannot be
recorded is not a failure.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from common.errors import StorageError

log = structlog.get_logger(__name__)

NOTED_S: Final = 300.0
"""Resolution of the last use."""

REMEMBERED_MAX: Final = 10_000
SOURCE_MAX: Final = 64
"""Stored characters of an address: the longest IPv6 address with an ordinary zone name fits."""


class LastUse:
    """Recorder of last uses. `clock` is unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._noted: OrderedDict[int, float] = OrderedDict()

    async def note(
        self, number: int, known_s: float | None, write: Callable[[float], Awaitable[None]]
    ) -> None:
        """Record a use unless one was recorded recently. `known_s` is the stored time."""
        now_s = self._clock()
        last_s = max(known_s or 0.0, self._noted.get(number, 0.0))
        if 0.0 <= now_s - last_s < NOTED_S:
            return
        # before the write, so that only one of concurrent uses writes
        self._noted[number] = now_s
        self._noted.move_to_end(number)
        while len(self._noted) > REMEMBERED_MAX:
            self._noted.popitem(last=False)
        try:
            await write(now_s)
        except StorageError as error:
            log.warning("login.use_unnoted", message=error.message)
