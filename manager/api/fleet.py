"""The fleet over HTTP: the status of all nodes, pushes, and what changes as it changes."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

import msgspec
from aiohttp import hdrs, web

from common.api.codes import Role
from common.api.facts import NodeView
from common.api.fleet import FleetAnswer, Push, PushAnswer, PushesAnswer
from common.errors import AccessError
from common.ids import NodeName, node_names
from manager.api.facts import difference_answer, node_answers
from manager.api.routes import Call, Route, reply
from manager.domain.difference import GenerationDifference
from manager.domain.informed import find_uninformed
from manager.domain.view import PlannedPush
from manager.http.pieces import AT_ONCE, guard_stream, send, stream_list
from manager.http.streams import EVENT_STREAM, HEARTBEAT_S, Streams, event_stream, write
from manager.usecases.ports import FleetView
from manager.usecases.views import views_of

STREAMS: Final = web.AppKey("streams", Streams)


async def show(call: Call) -> web.StreamResponse:
    """Answer with all nodes' facts."""
    fleet = call.api.fleet
    names, briefs = fleet.names(), fleet.briefs()
    answer = FleetAnswer(
        nodes=[],
        counts=dict(fleet.counts()),
        manager_addresses=fleet.contact.addresses,
        uninformed=len(find_uninformed(briefs.values(), fleet.contact)),
    )
    if len(names) <= AT_ONCE:
        return reply(msgspec.structs.replace(answer, nodes=node_answers(await views_of(fleet, names))))
    # nodes last, as pieces need it
    empty = {name: value for name, value in msgspec.structs.asdict(answer).items() if name != "nodes"}
    pieces = stream_list(empty | {"nodes": []}, _parts(fleet, names))
    return await send(call.request, guard_stream(pieces, call.rights.check), turn=call.heavy_turn)


async def _parts(fleet: FleetView, names: Sequence[NodeName]) -> AsyncIterator[Sequence[NodeView]]:
    for start in range(0, len(names), AT_ONCE):
        yield node_answers(await views_of(fleet, names[start : start + AT_ONCE]))


async def push(call: Call) -> web.StreamResponse:
    """Push now, and say of each node what was done and why."""
    body: Push = call.body
    pushes = call.api.use_cases.pushes
    nodes = None if body.nodes is None else node_names(body.nodes)
    if body.dry_run:
        planned = await pushes.plan(nodes, forced=body.forced)
        return reply(PushesAnswer(pushes=[_answer(each.plan, each.difference) for each in planned]))
    done = await pushes.push(nodes, forced=body.forced, actor=call.actor)
    return reply(PushesAnswer(pushes=[_answer(each) for each in done]))


async def events(call: Call) -> web.StreamResponse:
    """Stream each node's facts when they change, as server-sent events; from `Last-Event-ID` on if that is sent."""
    stream = event_stream()
    if call.request.method == hdrs.METH_HEAD:
        return stream
    since = call.request.headers.get("Last-Event-ID")
    async with call.request.app[STREAMS].keep(call.user, call.request):
        # subscribed before anything is answered: whoever reads the fleet after that misses no change
        # and when the right to watch has gone, the stream ends
        with call.api.fleet.subscribe(since) as changes, contextlib.suppress(ConnectionError, AccessError):
            await stream.prepare(call.request)
            await write(call.request, stream, b": listening\n\n")
            while True:
                views = await changes.take(HEARTBEAT_S)
                events = [b"data: " + msgspec.json.encode(node) + b"\n\n" for node in node_answers(views)]
                events += [
                    b"event: removed\ndata: " + msgspec.json.encode({"name": name}) + b"\n\n"
                    for name in changes.gone
                ]
                if events and changes.mark:
                    # at the last one only: a watcher that loses the connection between two gets all of them again
                    events[-1] = f"id: {changes.mark}\n".encode() + events[-1]
                await call.rights.check()
                await write(call.request, stream, b"".join(events) or b": still here\n\n")
    return stream


def _answer(plan: PlannedPush, difference: GenerationDifference | None = None) -> PushAnswer:
    return PushAnswer(
        node=plan.node,
        action=plan.action,
        why=plan.why,
        generation=plan.generation,
        difference=None if difference is None else difference_answer(difference),
        retry_after_s=plan.retry_after_s,
    )


ROUTES = (
    Route(
        method="GET",
        path="fleet",
        pushes=True,
        role=Role.READ_ONLY,
        handler=show,
        summary="Show the status of all nodes",
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
