"""Streams of server-sent events: how many, how long, and when a stalled watcher is disconnected."""

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
"""How long a stream lasts. The watcher must then authenticate again, so that a removed user does not watch
forever.
"""

WRITE_S: Final = 30.0
"""How long a watcher may leave the stream unread."""

STREAMS_MAX: Final = 100
STREAMS_PER_USER: Final = 20
"""Keeps one user from taking all streams."""

EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True, slots=True)
class _Watcher:
    """The user of a stream, and the request it answers."""

    user: str
    request: web.Request


class Streams:
    """The open streams of events: bounded, and ended when the server stops.

    When all are taken, a user with at least two fewer than the heaviest user gets that user's oldest stream.
    An administrator without a stream always gets one. So a few users with the maximum each cannot keep the
    others from watching, and streams do not change hands forever.
    """

    def __init__(self) -> None:
        self._open: dict[asyncio.Timeout, _Watcher] = {}

    @asynccontextmanager
    async def keep(self, user: UserRecord, request: web.Request) -> AsyncIterator[None]:
        """Count a stream, and leave the block when its time is up.

        Raises OverloadedError at once if there are too many.
        """
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
        """End the streams of disconnected watchers.

        They would only notice at their next heartbeat, and a browser leaves one behind at each page.
        """
        for limit, watcher in list(self._open.items()):
            if watcher.request.transport is None:
                self._end(limit)

    async def end(self, _app: web.Application) -> None:
        """End all streams now."""
        for limit in list(self._open):
            self._end(limit)

    def _end(self, limit: asyncio.Timeout) -> None:
        del self._open[limit]
        limit.reschedule(asyncio.get_running_loop().time())


def _full(message: str) -> OverloadedError:
    return OverloadedError(message, retry_after_s=HEARTBEAT_S, own=False)


def event_stream() -> web.StreamResponse:
    """Return an answer for streaming events that no intermediary buffers."""
    return web.StreamResponse(
        headers={"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )


async def write(request: web.Request, stream: web.StreamResponse, data: bytes) -> None:
    """Write. Raises ConnectionAbortedError and closes the connection if the watcher does not read."""
    try:
        async with asyncio.timeout(WRITE_S):
            await stream.write(data)
    except TimeoutError as error:
        if request.transport is not None:
            # not even the end of the answer could be written
            request.transport.abort()
        raise ConnectionAbortedError from error
