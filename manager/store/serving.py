"""Serving claim of a manager, seen by processes that would copy the store or serve it a second time.

Invariant: while this manager serves, no other process that takes the same lock can copy or serve the store.
The lock belongs to this process and ends with it.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from common.errors import ConflictError, StorageError
from common.ids import NodeName
from manager.store.backend import Lasting
from manager.store.claims import HeldAloneError
from manager.store.place import StorePlace
from manager.store.store import engine_of

AGAIN_S: Final = 2.0
"""How long a manager waits before it claims the store again, on a server that does not answer."""


OWN_S: Final = 60.0
"""How long a manager's own lost claim may block its next one: longer than a server keeps the locks of a
manager that it cannot reach (`manager.store.postgresql.KEEPALIVE_S`)."""

HELD_ALONE: Final = (
    "when this manager, which had been cut off from its store, came back, that was being copied to another place, or served by a manager of "
    "an earlier release. If managers are to serve it here still, restart this one; if it has moved, change the setting 'database' first"
)
"""Afterwards nothing tells whether the copy was completed, and a store served in two places becomes two
stores."""


class ServingClaim:
    """An async context manager around serving the store as the manager with this node.

    Raises StorageError; ConflictError while the store is copied, or served by a manager that excludes this
    one.
    """

    def __init__(self, place: StorePlace, node: NodeName) -> None:
        self._node = node
        self._engine = engine_of(place)
        self._stack = AsyncExitStack()
        self._claim: Lasting | None = None

    async def __aenter__(self) -> Self:
        await self._engine.find()
        await self._take()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def run(self) -> str:
        """Renew the claim whenever its connection is lost; return why this manager must no longer serve."""
        while True:
            if self._claim is not None:
                await self._claim.until_lost()
                self._claim = None
                await self._stack.aclose()
            lost_s = time.monotonic()
            while self._claim is None:
                try:
                    await self._take()
                except HeldAloneError:
                    return HELD_ALONE
                except ConflictError as error:
                    if time.monotonic() - lost_s > OWN_S:
                        return error.message
                    await asyncio.sleep(AGAIN_S)
                except StorageError:  # callers that query the store report this
                    await asyncio.sleep(AGAIN_S)
                    lost_s = time.monotonic()

    async def _take(self) -> None:
        self._claim = await self._stack.enter_async_context(self._engine.claim(self._node))
