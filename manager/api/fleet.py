"""Fleet over HTTP: the status of all nodes, pushes, and a stream of changes."""

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
    """Return all nodes' facts."""
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
    # nodes last, as streaming in pieces requires
    empty = {name: value for name, value in msgspec.structs.asdict(answer).items() if name != "nodes"}
    pieces = stream_list(empty | {"nodes": []}, _parts(fleet, names))
    return await send(call.request, guard_stream(pieces, call.rights.check), turn=call.heavy_turn)


async def _parts(fleet: FleetView, names: Sequence[NodeName]) -> AsyncIterator[Sequence[NodeView]]:
    for start in range(0, len(names), AT_ONCE):
        yield node_answers(await views_of(fleet, names[start : start + AT_ONCE]))


async def push(call: Call) -> web.StreamResponse:
    """Push now; return what was done for each node, and why."""
    body: Push = call.body
    pushes = call.api.use_cases.pushes
    nodes = None if body.nodes is None else node_names(body.nodes)
    if body.dry_run:
        planned = await pushes.plan(nodes, forced=body.forced)
        return reply(PushesAnswer(pushes=[_answer(each.plan, each.difference) for each in planned]))
    done = await pushes.push(nodes, forced=body.forced, actor=call.actor)
    return reply(PushesAnswer(pushes=[_answer(each) for each in done]))


async def events(call: Call) -> web.StreamResponse:
    """Stream each node's facts as they change, as server-sent events; `Last-Event-ID` resumes."""
    stream = event_stream()
    if call.request.method == hdrs.METH_HEAD:
        return stream
    since = call.request.headers.get("Last-Event-ID")
    async with call.request.app[STREAMS].keep(call.user, call.request):
        # subscribe before answering, so that a client that reads the fleet afterwards misses no change
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
                    # only with the last event: a watcher that disconnects in between gets all of them again
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
