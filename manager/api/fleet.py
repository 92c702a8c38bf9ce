"""The fleet over HTTP: how all nodes stand, pushes, and what changes as it changes."""

import contextlib
from typing import Annotated, Final

import msgspec
from aiohttp import web

from manager.api.routes import Call, Route, reply
from manager.api.streams import HEARTBEAT_S, Streams, event_stream, write
from manager.domain.model import Role

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
    stream = event_stream()
    async with call.request.app[STREAMS].keep():
        # subscribed before anything is answered: whoever reads the fleet after that misses no change
        with call.api.fleet.subscribe() as changes, contextlib.suppress(ConnectionError):
            await stream.prepare(call.request)
            await write(call.request, stream, b": listening\n\n")
            while True:
                views = await changes.take(HEARTBEAT_S)
                lines = [b"data: " + msgspec.json.encode(view) + b"\n\n" for view in views]
                await write(call.request, stream, b"".join(lines) or b": still here\n\n")
    return stream


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
