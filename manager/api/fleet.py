"""The fleet over HTTP: how all nodes stand, pushes, and what changes as it changes."""

import contextlib
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web

from common.errors import AccessError
from manager.domain.difference import Difference
from manager.domain.model import Role
from manager.domain.view import NodeView, PlannedPush
from manager.http.routes import Call, Route, reply
from manager.http.streams import EVENT_STREAM, HEARTBEAT_S, Streams, event_stream, write

STREAMS: Final = web.AppKey("streams", Streams)


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """Which nodes (null: all); `forced` overrides quarantine and conflict; `dry_run` only says what would happen."""

    nodes: Annotated[list[str], msgspec.Meta(max_length=20_000)] | None = None
    forced: bool = False
    dry_run: bool = False


class FleetAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes' facts, and how many are in which state."""

    nodes: list[NodeView]
    counts: dict[str, int]


class PushAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with one node, and why. `difference` is what a dry run would change, null if nothing that is known.

    `retry_in_s` is how much longer a node rests after what is desired of it failed, null for any other.
    """

    node: str
    action: Literal["push", "publish_and_push", "wait", "none"]
    why: str
    generation: int | None
    difference: Difference | None = None
    retry_in_s: float | None = None


class PushesAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with each node."""

    pushes: list[PushAnswer]


async def show(call: Call) -> web.StreamResponse:
    """Answer with all nodes' facts."""
    return reply(FleetAnswer(nodes=call.api.fleet.view(), counts=dict(call.api.fleet.counts())))


async def push(call: Call) -> web.StreamResponse:
    """Push now, and say of each node what was done and why."""
    body: Push = call.body
    pushes = call.api.operations.pushes
    if body.dry_run:
        planned = await pushes.plan(body.nodes, forced=body.forced)
        return reply(PushesAnswer(pushes=[_answer(each.plan, each.difference) for each in planned]))
    done = await pushes.push(body.nodes, forced=body.forced, actor=call.actor)
    return reply(PushesAnswer(pushes=[_answer(each) for each in done]))


async def events(call: Call) -> web.StreamResponse:
    """Stream each node's facts when they change, as server-sent events; from `Last-Event-ID` on if that is sent."""
    stream = event_stream()
    since = call.request.headers.get("Last-Event-ID")
    async with call.request.app[STREAMS].keep(call.actor):
        # subscribed before anything is answered: whoever reads the fleet after that misses no change
        # and when the right to watch has gone, the stream ends
        with call.api.fleet.subscribe(since) as changes, contextlib.suppress(ConnectionError, AccessError):
            await stream.prepare(call.request)
            await write(call.request, stream, b": listening\n\n")
            while True:
                views = await changes.take(HEARTBEAT_S)
                events = [b"data: " + msgspec.json.encode(view) + b"\n\n" for view in views]
                events += [
                    b"event: removed\ndata: " + msgspec.json.encode({"name": name}) + b"\n\n"
                    for name in changes.gone
                ]
                if events:
                    # at the last one only: a watcher that loses the connection between two gets all of them again
                    events[-1] = f"id: {changes.mark}\n".encode() + events[-1]
                await call.rights.check()
                await write(call.request, stream, b"".join(events) or b": still here\n\n")
    return stream


def _answer(plan: PlannedPush, difference: Difference | None = None) -> PushAnswer:
    return PushAnswer(
        node=plan.node,
        action=plan.action,
        why=plan.why,
        generation=plan.generation,
        difference=difference,
        retry_in_s=plan.retry_in_s,
    )


ROUTES = (
    Route(
        method="GET",
        path="fleet",
        pushes=True,
        role=Role.READ_ONLY,
        handler=show,
        summary="Show how all nodes stand",
        answers={200: FleetAnswer},
    ),
    Route(
        method="POST",
        path="push",
        pushes=True,
        role=Role.OPERATOR,
        handler=push,
        body=Push,
        summary="Push to nodes at once, or say what that would change",
        answers={200: PushesAnswer},
    ),
    Route(
        method="GET",
        path="events",
        pushes=True,
        role=Role.READ_ONLY,
        handler=events,
        streams=True,
        summary="Stream changes of nodes",
        answers={200: (EVENT_STREAM,)},
    ),
)
