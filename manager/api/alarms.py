"""Alarms over HTTP."""

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from common.api.alarms import Acknowledge, AlarmAnswer, AlarmsAnswer
from common.api.codes import Role
from manager.api.routes import Call, QueryParameter, Route, empty, reply
from manager.domain.alarms import AlarmRecord
from manager.http.pieces import AT_ONCE, guard_stream, send, stream_list
from manager.usecases.alarms import HISTORY_MAX


async def list_active(call: Call) -> web.StreamResponse:
    """Return the active alarms, the latest first."""
    found = await call.api.use_cases.alarms.active_by_node()
    if len(found) <= AT_ONCE:
        return reply(AlarmsAnswer(alarms=[_answer(each, nodes) for each, nodes in found]))
    pieces = stream_list(AlarmsAnswer(alarms=[]), _parts(found))
    return await send(call.request, guard_stream(pieces, call.rights.check), turn=call.heavy_turn)


async def _parts(
    found: Sequence[tuple[AlarmRecord, Sequence[str]]],
) -> AsyncIterator[Sequence[AlarmAnswer]]:
    for start in range(0, len(found), AT_ONCE):
        yield [_answer(each, nodes) for each, nodes in found[start : start + AT_ONCE]]


async def history(call: Call) -> web.StreamResponse:
    """Return alarms that have ended, the latest first."""
    found = await call.api.use_cases.alarms.history(limit=call.count("limit", HISTORY_MAX))
    return reply(AlarmsAnswer(alarms=[_answer(each) for each in found]))


async def acknowledge(call: Call) -> web.StreamResponse:
    """Record that an operator has seen these alarms: all of them, or none if one is not active (404)."""
    body: Acknowledge = call.body
    await call.api.use_cases.alarms.acknowledge(body.ids, actor=call.actor)
    return empty()


def _answer(record: AlarmRecord, nodes: Sequence[str] = ()) -> AlarmAnswer:
    spec = record.spec
    return AlarmAnswer(
        id=record.id,
        kind=record.subject.kind,
        number=spec.number,
        name=spec.title,
        level=spec.level,
        subject=record.subject.key,
        label=record.label,
        node=record.node,
        nodes=list(nodes),
        details=record.details,
        raised_at_s=record.raised_s,
        lowered_at_s=record.lowered_s,
        acknowledged_at_s=record.acknowledged_s,
        acknowledged_by=record.acknowledged_by,
    )


ROUTES = (
    Route(
        method="GET",
        path="alarms",
        role=Role.READ_ONLY,
        handler=list_active,
        summary="List alarms",
        answers={200: AlarmsAnswer},
    ),
    Route(
        method="GET",
        path="alarms/history",
        role=Role.READ_ONLY,
        handler=history,
        summary="List alarms that have ended",
        query=(
            QueryParameter(
                "limit", int, f"how many at most; {HISTORY_MAX} if left out", least=1, most=HISTORY_MAX
            ),
        ),
        answers={200: AlarmsAnswer},
    ),
    Route(
        method="POST",
        path="alarms/acknowledge",
        role=Role.OPERATOR,
        handler=acknowledge,
        body=Acknowledge,
        summary="Acknowledge alarms",
        answers={204: None},
    ),
)
