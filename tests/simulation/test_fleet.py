"""Some weeks of a small fleet, in which everything goes wrong that may; and faulty schedulers, each of which that finds."""

from dataclasses import replace
from pathlib import Path

import pytest

from manager.domain.renewal import future_timestamps, schedule
from manager.domain.renewal.moments import renewed_s, retry_at_s
from manager.usecases.renewal import progress, taking_over, windows
from tests.inplace import query_in_place
from tests.pki import DAY_S
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

QUIET = replace(WEEKS, kill_rate=0.0, fault_rate=0.0, outage_rate=0.0, moved_rate=0.0, pause_rate=0.0)

KILLS = replace(QUIET, kill_rate=0.05)


@pytest.fixture(autouse=True)
def _in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    query_in_place(monkeypatch)


async def run(
    plan: Plan,
    directory: Path,
    *,
    forgets: bool = False,
    until_found: bool = True,
    limit: int | None = None,
    has_passed_windows: bool = False,
) -> Report:
    simulation = await Simulation.make(plan, directory, forgets=forgets)
    if has_passed_windows:
        simulation.world.server.has_passed_windows = lambda _names: True
    if limit is not None:
        simulation.world.server.limit_an_hour = limit
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
    monkeypatch.setattr(schedule, "renewed_s", lambda validity, window, **_: renewed_s(validity, window=None))
    report = await run(WEEKS, tmp_path)
    assert any("its window" in each for each in report.outside)


async def test_a_ca_whose_windows_have_always_passed_signs_few(tmp_path: Path):
    report = await run(QUIET, tmp_path, until_found=False, has_passed_windows=True)
    assert report.is_clean, "\n".join(report.lines())
    assert report.happened["renewals that were served"] > 10


async def test_a_scheduler_that_renews_whenever_a_window_has_passed_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(taking_over, "window_from_s", lambda _taken_over_s, now_s: now_s)
    report = await run(replace(QUIET, days=3), tmp_path, has_passed_windows=True)
    assert any("within a day" in each for each in report.outside)


async def test_a_scheduler_that_forgets_its_orders_is_found(tmp_path: Path):
    report = await run(KILLS, tmp_path, forgets=True)
    assert report.duplicates > 0


async def test_a_scheduler_that_does_not_rest_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(progress, "retry_at_s", lambda _failures, now_s, **_: now_s)
    report = await run(replace(WEEKS, fault_rate=1 / 12), tmp_path)
    assert any("after a failure" in each for each in report.outside)


async def test_a_scheduler_that_renews_at_the_last_moment_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schedule, "renewed_s", lambda validity, window, **_: validity.not_after_s - 60.0)
    report = await run(QUIET, tmp_path)
    assert report.expired


async def test_a_scheduler_that_renews_what_has_no_window_before_its_time_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    early = lambda validity, window, **_: (renewed_s(validity, window=window) or 0.0) - DAY_S / 2  # noqa: E731
    monkeypatch.setattr(schedule, "renewed_s", early)
    report = await run(QUIET, tmp_path)
    assert any("before it was due" in each for each in report.outside)


async def test_a_scheduler_that_does_not_wait_as_long_as_the_ca_asks_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    impatient = lambda failures, **given: retry_at_s(failures, **{**given, "not_before_s": None})  # noqa: E731
    monkeypatch.setattr(progress, "retry_at_s", impatient)
    # so many that some are due within an hour: when each is renewed is drawn by its fingerprint
    report = await run(replace(QUIET, short_lived=24), tmp_path, limit=1)
    assert any("before it was allowed" in each for each in report.outside)


async def test_a_scheduler_that_asks_for_windows_once_a_day_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(windows, "poll_at_s", lambda _validity, now_s, **_: now_s + DAY_S)
    # else it is taken for the moment of a clock that was ahead, and asked about at once
    monkeypatch.setattr(future_timestamps, "ASKED_WAIT_MOST_S", 2 * DAY_S)
    report = await run(QUIET, tmp_path)
    assert any("asked about a window" in each for each in report.outside)
