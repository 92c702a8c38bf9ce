"""That a manager serves a store, for those to see who would copy it to another place, or serve it where it can be served once only.

Invariant: while this manager serves, no other process that takes the same lock can copy or serve the store; the lock is this process's, and ends with it.
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
"""How long a manager waits before it tries again to claim what it serves, on a server that does not answer."""


OWN_S: Final = 60.0
"""How long a claim that was lost may stand in the way of its own successor: longer than a server keeps what belongs to a manager that
cannot be reached (`manager.store.postgresql.KEEPALIVE_S`)."""

HELD_ALONE: Final = (
    "when this manager, which had been cut off from its store, came back, that was being copied to another place, or served by a manager of "
    "an earlier release. If managers are to serve it here still, restart this one; if it has moved, change the setting 'database' first"
)
"""Nothing tells afterwards whether the copy was completed, and a store that is served in two places is two stores."""


class ServingClaim:
    """`async with` it for as long as the store is served by the manager with this node.

    Raises ConflictError while the store is copied, or served by whom this manager cannot serve beside; StorageError.
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
        """Claim it again whenever the claim was lost with the connection to the server; return why this manager must not serve any more."""
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
                except StorageError:  # whoever asks the store meanwhile says so
                    await asyncio.sleep(AGAIN_S)
                    lost_s = time.monotonic()

    async def _take(self) -> None:
        self._claim = await self._stack.enter_async_context(self._engine.claim(self._node))
