"""A log that does not verify is an alarm until an administrator has dealt with it."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from common.runtime.supervise import Supervisor
from manager.domain.alarms import AlarmKind
from manager.store.place import DATABASE_FILE
from manager.usecases.usecases import UseCases
from tests.attacks.audit_log.conftest import CUTS, _parts, _put_back, act, altered
from tests.fakes.lead import FakeLead
from tests.patience import PATIENCE_S
from tests.unit.usecases.test_alarms import NoNodes


async def test_a_store_that_is_rolled_back_while_the_manager_runs_is_an_alarm(
    use_cases: UseCases, directory: Path, tmp_path: Path
):
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw:
        _, head = _parts(raw)
    witness, context = tmp_path / "witness", use_cases._context
    await act(context.store, 3)
    shipped = await use_cases.audit.ship(witness, None, shipped=None)
    altered(directory, _put_back(head))
    await act(context.store, 1, at_s=2.5)
    await use_cases.audit.ship(witness, None, shipped=shipped)
    await use_cases.alarms.evaluator.evaluate(NoNodes())
    kinds = {each.subject.kind for each in await use_cases.alarms.active()}
    assert AlarmKind.AUDIT_LOG_BROKEN in kinds
    await context.store.close()


async def test_a_log_that_was_cut_is_an_alarm_that_a_later_entry_does_not_lower(
    use_cases: UseCases, directory: Path
):
    context, fleet = use_cases._context, NoNodes()
    await use_cases.alarms.evaluator.evaluate(fleet)
    assert AlarmKind.AUDIT_LOG_BROKEN not in {each.subject.kind for each in await use_cases.alarms.active()}
    altered(directory, CUTS["the tail and the head"])
    for _ in range(2):
        await use_cases.alarms.evaluator.evaluate(fleet)
        (alarm,) = [
            each
            for each in await use_cases.alarms.active()
            if each.subject.kind is AlarmKind.AUDIT_LOG_BROKEN
        ]
        assert alarm.spec.level == "error"
        await act(context.store, 1)
    await context.store.close()


async def test_an_entry_altered_in_the_middle_is_an_alarm_without_anybody_asking(
    use_cases: UseCases, directory: Path
):
    context = use_cases._context
    await act(context.store, 3)
    altered(directory, lambda raw: raw.execute("DELETE FROM audit WHERE id = 2"))
    found: dict[AlarmKind, str] = {}
    async with Supervisor() as supervisor:
        supervisor.keep("verification", lambda: use_cases.audit.run_verification(FakeLead()))
        async with asyncio.timeout(PATIENCE_S):
            while AlarmKind.AUDIT_LOG_BROKEN not in found:
                await use_cases.alarms.evaluator.evaluate(NoNodes())
                found = {each.subject.kind: each.details for each in await use_cases.alarms.active()}
                await asyncio.sleep(0.01)
    await context.store.close()
    assert "was altered, added or removed" in found[AlarmKind.AUDIT_LOG_BROKEN]
