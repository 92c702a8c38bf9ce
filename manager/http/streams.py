"""Streams of server-sent events: how many, how long, and how a watcher that does not read is let go."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from common.codes import Role
from common.errors import OverloadedError
from manager.domain.model import UserRecord

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


@dataclass(frozen=True, slots=True)
class _Watcher:
    """Whose stream it is, and the request that it answers."""

    user: str
    request: web.Request


class Streams:
    """The streams of events that are open: few enough, and ended when the server stops.

    Where all are taken, who has two fewer than the user with most gets that user's oldest one; an administrator without any gets one
    in any case. So a few users, with all that one may have, do not keep the others from watching, and nobody takes turns for ever.
    """

    def __init__(self) -> None:
        self._open: dict[asyncio.Timeout, _Watcher] = {}

    @asynccontextmanager
    async def keep(self, user: UserRecord, request: web.Request) -> AsyncIterator[None]:
        """Count a stream, and leave the block when its time is over. Raises OverloadedError at once if there are too many."""
        self._forget_gone()
        self._make_room(user)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAM_S) as limit:
                self._open[limit] = _Watcher(user.name, request)
                try:
                    yield
                finally:
                    self._open.pop(limit, None)

    def _make_room(self, user: UserRecord) -> None:
        held = Counter(watcher.user for watcher in self._open.values())
        if held[user.name] >= STREAMS_PER_USER:
            raise _full(f"'{user.name}' has {STREAMS_PER_USER} streams of events open; close some")
        if len(self._open) < STREAMS_MAX:
            return
        most = max(held, key=held.__getitem__)
        is_owed_one = user.role is Role.ADMINISTRATOR and not held[user.name]
        if held[most] < held[user.name] + (1 if is_owed_one else 2):
            raise _full(f"{STREAMS_MAX} streams of events are open; close some")
        self._end(next(limit for limit, watcher in self._open.items() if watcher.user == most))

    def _forget_gone(self) -> None:
        """End the streams whose watchers have gone: they would notice with their next heartbeat only, and a browser leaves one at each page."""
        for limit, watcher in list(self._open.items()):
            if watcher.request.transport is None:
                self._end(limit)

    async def end(self, _app: web.Application) -> None:
        """End all, now."""
        for limit in list(self._open):
            self._end(limit)

    def _end(self, limit: asyncio.Timeout) -> None:
        del self._open[limit]
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
