"""Readers of a store on a server: how long they wait for a connection, and how one's timeout informs all.

Invariant: if the server hangs, no reader waits much longer than the first one needs to find out.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine


class Readers:
    """All readers of one database."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def lent(self, pool: AsyncEngine, wait_s: float | None) -> AsyncIterator[AsyncConnection]:
        """Lend a connection.

        Raises TimeoutError if there is none within `wait_s`, also in readers that wait already.
        """
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(wait_s):
                    connection = await stack.enter_async_context(pool.connect())
            except TimeoutError:
                self._tell()
                raise
            patience = await stack.enter_async_context(asyncio.timeout(None))
            self._waiting.add(patience)
            stack.callback(self._waiting.discard, patience)
            yield connection

    def _tell(self) -> None:
        for each in self._waiting:
            if not each.expired():
                each.reschedule(asyncio.get_running_loop().time())
