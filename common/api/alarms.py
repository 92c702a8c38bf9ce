"""Alarms. Pure."""

import msgspec

from common.api.values import Ids


class Acknowledge(msgspec.Struct, frozen=True, kw_only=True):
    """Which alarms somebody has seen."""

    ids: Ids


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
