"""Alarms as an evaluation finds them now."""

from collections.abc import Sequence

from manager.domain.alarms import AlarmKind, AlarmRecord
from tests.renewals import Renewing
from tests.unit.usecases.test_alarms import NoNodes


async def alarms_of(world: Renewing, kind: AlarmKind) -> Sequence[AlarmRecord]:
    await world.use_cases.alarms.evaluator.evaluate(NoNodes())
    return [each for each in await world.use_cases.alarms.active() if each.subject.kind is kind]
