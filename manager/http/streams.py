"""Streams of server-sent events: how many, how long, and how a watcher that does not read is let go."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from common.errors import OverloadedError

HEARTBEAT_S: Final = 15.0
"""Proxies end a stream that is silent for a minute."""

STREAM_S: Final = 3600.0
"""How long a stream lasts; who watches on signs in again, so a removed user does not watch for ever."""

WRITE_S: Final = 30.0
"""How long a watcher may leave the stream unread."""

STREAMS_MAX: Final = 100
STREAMS_PER_USER: Final = 20
"""So that nobody alone keeps the others from watching."""

EVENT_STREAM: Final = "text/event-stream"


class Streams:
    """The streams of events that are open: few enough, and ended when the server stops."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Timeout, tuple[str, web.Request]] = {}

    @asynccontextmanager
    async def keep(self, user: str, request: web.Request) -> AsyncIterator[None]:
        """Count a stream, and leave the block when its time is over. Raises OverloadedError at once if there are too many."""
        self._forget_gone()
        if len(self._open) >= STREAMS_MAX:
            raise _full(f"{STREAMS_MAX} streams of events are open; close some")
        if [owner for owner, _ in self._open.values()].count(user) >= STREAMS_PER_USER:
            raise _full(f"'{user}' has {STREAMS_PER_USER} streams of events open; close some")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAM_S) as limit:
                self._open[limit] = user, request
                try:
                    yield
                finally:
                    self._open.pop(limit, None)

    def _forget_gone(self) -> None:
        """End the streams whose watchers have gone: they would notice with their next heartbeat only, and a browser leaves one at each page."""
        for limit, (_, request) in list(self._open.items()):
            if request.transport is None:
                del self._open[limit]
                limit.reschedule(asyncio.get_running_loop().time())

    async def end(self, _app: web.Application) -> None:
        """End all, now."""
        for limit in self._open:
            limit.reschedule(asyncio.get_running_loop().time())


def _full(message: str) -> OverloadedError:
    return OverloadedError(message, retry_after_s=HEARTBEAT_S, own=False)


def event_stream() -> web.StreamResponse:
    """Return an answer to stream events in, which nothing on the way keeps back."""
    return web.StreamResponse(
        headers={"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def write(request: web.Request, stream: web.StreamResponse, data: bytes) -> None:
    """Write. Raises ConnectionAbortedError if the watcher does not read; then there is no connection any more."""
    try:
        async with asyncio.timeout(WRITE_S):
            await stream.write(data)
    except TimeoutError as error:
        if request.transport is not None:
            # the end of the answer could not be written either
            request.transport.abort()
        raise ConnectionAbortedError from error
