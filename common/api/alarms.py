"""Alarms. Pure."""

import msgspec

from common.api.values import Ids, Moment, RequestBody


class Acknowledge(RequestBody, frozen=True, kw_only=True):
    """Which alarms somebody has seen."""

    ids: Ids


class AlarmAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm: `kind` and `number` for machines, `name` and `details` for people, `subject` what it is about.

    `node` is the node that it is about, or "". `nodes` are the nodes that an active alarm concerns: that node, or those that have the
    certificate now.
    """

    id: int
    kind: str
    number: int
    name: str
    level: str
    subject: str
    label: str
    node: str
    details: str
    raised_at_s: Moment
    lowered_at_s: Moment | None
    acknowledged_at_s: Moment | None
    acknowledged_by: str | None
    nodes: list[str] = msgspec.field(default_factory=list)


class AlarmsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Alarms, the latest first."""

    alarms: list[AlarmAnswer]
