"""That a manager serves a store, for those to see who would copy it to another place, or serve it where it can be served once only.

Invariant: while this manager serves, nobody who asks as they do is let do either; the lock is this process's, and ends with it.
"""

import asyncio
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

from common.errors import StorageError
from common.ids import NodeName
from manager.store.backend import Lasting
from manager.store.place import StorePlace
from manager.store.store import engine_of

AGAIN_S: Final = 2.0
"""How long a manager waits before it tries again to claim what it serves, on a server that does not answer."""


class Serving:
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

    async def run(self) -> None:
        """Claim it again whenever the claim was lost with the connection to the server. Raises ConflictError; then call it again."""
        while True:
            if self._claim is not None:
                await self._claim.until_lost()
                self._claim = None
                await self._stack.aclose()
            try:
                await self._take()
            except StorageError:  # whoever asks the store meanwhile says so
                await asyncio.sleep(AGAIN_S)

    async def _take(self) -> None:
        self._claim = await self._stack.enter_async_context(self._engine.claim(self._node))
