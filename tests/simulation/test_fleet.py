"""Some weeks of a small fleet, in which everything goes wrong that may; and faulty schedulers, each of which that finds."""

from dataclasses import replace
from pathlib import Path

import pytest

from manager.domain.renewal import schedule
from manager.domain.renewal.moments import renewed_s
from manager.usecases.renewal import progress
from tests.simulation.fleet import Plan, Report, Simulation

WEEKS = Plan(
    long_lived=3,
    short_lived=4,
    days=14,
    seed=7,
    kill_rate=0.02,
    fault_rate=1 / 100,
    step_s=6 * 3600.0,
    least_s=120.0,
)

KILLS = replace(WEEKS, kill_rate=0.05, fault_rate=0.0, outage_rate=0.0, moved_rate=0.0)


async def run(plan: Plan, directory: Path, *, forgets: bool = False, until_found: bool = True) -> Report:
    simulation = await Simulation.make(plan, directory, forgets=forgets)
    try:
        return await simulation.run(until_found=until_found)
    finally:
        await simulation.world.store.close()


async def test_nothing_expires_nothing_is_ordered_twice_and_every_rule_is_kept(tmp_path: Path):
    report = await run(WEEKS, tmp_path, until_found=False)
    assert report.is_clean, "\n".join(report.lines())
    assert report.happened["renewals that were served"] > 10
    assert report.happened["kills"] > 3


async def test_a_scheduler_that_ignores_the_window_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(schedule, "renewed_s", lambda validity, window: renewed_s(validity, window=None))
    report = await run(WEEKS, tmp_path)
    assert any("its window" in each for each in report.outside)


async def test_a_scheduler_that_forgets_its_orders_is_found(tmp_path: Path):
    report = await run(KILLS, tmp_path, forgets=True)
    assert report.duplicates > 0


async def test_a_scheduler_that_does_not_rest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "tried_again_s", lambda _failures, now_s, **_: now_s)
    report = await run(replace(WEEKS, fault_rate=1 / 12), tmp_path)
    assert any("after a failure" in each for each in report.outside)
