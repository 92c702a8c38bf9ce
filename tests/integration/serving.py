"""An HTTPS endpoint that lets connections in, for a test."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from manager.http.server import HttpsServer


@asynccontextmanager
async def serving(server: HttpsServer) -> AsyncIterator[HttpsServer]:
    await server.start()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        try:
            yield server
        finally:
            running.cancel()
            await server.close()
