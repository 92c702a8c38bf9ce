"""Alarms over HTTP."""

from typing import Annotated

import msgspec
from aiohttp import web

from manager.domain.alarms import AlarmRecord
from manager.domain.model import Role
from manager.http.routes import Call, Id, Query, Route, empty, reply
from manager.usecases.alarms import HISTORY_MAX


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True):
    """Which alarms somebody has seen."""

    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=10_000)]


class AlarmAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm: `kind` and `number` for machines, `name` and `details` for people, `subject` what it is about."""

    id: int
    kind: str
    number: int
    name: str
    level: str
    subject: str
    label: str
    node: str
    details: str
    raised_s: float
    lowered_s: float | None
    acknowledged_s: float | None
    acknowledged_by: str | None


class AlarmsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms, the latest first."""

    alarms: list[AlarmAnswer]


async def list_active(call: Call) -> web.StreamResponse:
    """Answer with what stands, the latest first."""
    found = await call.api.operations.alarms.active()
    return reply(AlarmsAnswer(alarms=[_answer(each) for each in found]))


async def history(call: Call) -> web.StreamResponse:
    """Answer with what stood, the latest first."""
    found = await call.api.operations.alarms.history(limit=call.count("limit", HISTORY_MAX))
    return reply(AlarmsAnswer(alarms=[_answer(each) for each in found]))


async def acknowledge(call: Call) -> web.StreamResponse:
    """Acknowledge some."""
    body: Acknowledge = call.body
    await call.api.operations.alarms.acknowledge(body.ids, actor=call.actor)
    return empty()


def _answer(record: AlarmRecord) -> AlarmAnswer:
    trait = record.trait
    return AlarmAnswer(
        id=record.id,
        kind=record.subject.kind,
        number=trait.number,
        name=trait.title,
        level=trait.level,
        subject=record.subject.key,
        label=record.label,
        node=record.node,
        details=record.details,
        raised_s=record.raised_s,
        lowered_s=record.lowered_s,
        acknowledged_s=record.acknowledged_s,
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
        summary="List alarms that no longer stand",
        query=(Query("limit", int, f"how many at most; {HISTORY_MAX} if left out"),),
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
