"""The fleet over HTTP: how all nodes stand, pushes, and what changes as it changes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Final

import msgspec
from aiohttp import web

from common.errors import CertcastError, Reason
from manager.api.routes import Call, Route, reply
from manager.domain.model import Role

HEARTBEAT_S: Final = 15.0
"""Proxies end a stream that is silent for a minute."""

STREAM_S: Final = 3600.0
"""How long a stream lasts; who watches on signs in again, so a removed user does not watch for ever."""

WRITE_S: Final = 30.0
"""How long a watcher may leave the stream unread."""

STREAMS_MAX: Final = 100


class Streams:
    """The streams of events that are open: few enough, and ended when the server stops."""

    def __init__(self) -> None:
        self._open: set[asyncio.Timeout] = set()

    @asynccontextmanager
    async def keep(self) -> AsyncIterator[None]:
        """Count a stream, and leave the block when its time is over. Raises CertcastError BUSY at once if there are too many."""
        if len(self._open) >= STREAMS_MAX:
            raise CertcastError(f"{STREAMS_MAX} streams of events are open; close some", reason=Reason.BUSY)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAM_S) as limit:
                self._open.add(limit)
                try:
                    yield
                finally:
                    self._open.discard(limit)

    async def end(self, _app: web.Application) -> None:
        """End all, now."""
        for limit in self._open:
            limit.reschedule(asyncio.get_running_loop().time())


STREAMS: Final = web.AppKey("streams", Streams)


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """Which nodes (null: all); `forced` overrides quarantine and conflict; `dry_run` only says what would happen."""

    nodes: Annotated[list[str], msgspec.Meta(max_length=20_000)] | None = None
    forced: bool = False
    dry_run: bool = False


async def show(call: Call) -> web.StreamResponse:
    """Answer with all nodes' facts."""
    return reply({"nodes": call.api.fleet.view(), "counts": call.api.fleet.counts()})


async def push(call: Call) -> web.StreamResponse:
    """Push now, and say of each node what was done and why."""
    body: Push = call.body
    pushes = call.api.operations.pushes
    if body.dry_run:
        return reply({"pushes": await pushes.plan(body.nodes, forced=body.forced)})
    return reply({"pushes": await pushes.push(body.nodes, forced=body.forced, actor=call.actor)})


async def events(call: Call) -> web.StreamResponse:
    """Stream each node's facts when they change, as server-sent events."""
    stream = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    async with call.request.app[STREAMS].keep():
        # subscribed before anything is answered: whoever reads the fleet after that misses no change
        with call.api.fleet.subscribe() as changes, contextlib.suppress(ConnectionError):
            await stream.prepare(call.request)
            await _write(call.request, stream, b": listening\n\n")
            while True:
                views = await changes.take(HEARTBEAT_S)
                lines = [b"data: " + msgspec.json.encode(view) + b"\n\n" for view in views]
                await _write(call.request, stream, b"".join(lines) or b": still here\n\n")
    return stream


async def _write(request: web.Request, stream: web.StreamResponse, data: bytes) -> None:
    """Write. Raises ConnectionAbortedError if the watcher does not read; then there is no connection any more."""
    try:
        async with asyncio.timeout(WRITE_S):
            await stream.write(data)
    except TimeoutError as error:
        if request.transport is not None:
            # the end of the answer could not be written either
            request.transport.abort()
        raise ConnectionAbortedError from error


ROUTES = (
    Route(method="GET", path="fleet", role=Role.READ_ONLY, handler=show, summary="Show how all nodes stand"),
    Route(
        method="POST",
        path="push",
        role=Role.OPERATOR,
        handler=push,
        body=Push,
        summary="Push to nodes at once",
    ),
    Route(
        method="GET", path="events", role=Role.READ_ONLY, handler=events, summary="Stream changes of nodes"
    ),
)
