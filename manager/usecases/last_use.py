"""Last use of credentials: noted seldom, so that asking is not writing.

Invariant: a credential costs one write in NOTED_S at most, however often it is used; a use that cannot be noted is not a failure.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from common.errors import StorageError

log = structlog.get_logger(__name__)

NOTED_S: Final = 300.0
"""How coarsely last use is known."""

REMEMBERED_MAX: Final = 10_000
SOURCE_MAX: Final = 64
"""Characters of an address that are kept: the longest IPv6 one with a zone's usual name fits."""


class LastUse:
    """`clock` is unix seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._noted: OrderedDict[int, float] = OrderedDict()

    async def note(
        self, number: int, known_s: float | None, write: Callable[[float], Awaitable[None]]
    ) -> None:
        """Have a use written down, unless that was done a short while ago. `known_s` is what the store has."""
        now_s = self._clock()
        last_s = max(known_s or 0.0, self._noted.get(number, 0.0))
        if 0.0 <= now_s - last_s < NOTED_S:
            return
        # before it is written: of those that come at the same time one writes
        self._noted[number] = now_s
        self._noted.move_to_end(number)
        while len(self._noted) > REMEMBERED_MAX:
            self._noted.popitem(last=False)
        try:
            await write(now_s)
        except StorageError as error:
            log.warning("login.use_unnoted", message=error.message)
