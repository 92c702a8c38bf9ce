"""Random steps of faults with short leases, and a manager with a fault that the history shows."""

import asyncio

import pytest

from tests.chaos.machines import python_entry
from tests.chaos.run import run_steps, summary
from tests.chaos.stage import on_stage
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED

pytestmark = [
    NEEDED,
    pytest.mark.services("nginx", "postgres", "root"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]

SEED = 1
STEPS = 40
SIMULATED = 57


async def test_whatever_happens_nobody_is_told_what_is_not_so(record_property):
    """`make chaos` does this for longer, with more nodes and any seed."""
    found, happened, history = await run_steps(seed=SEED, steps=STEPS, simulated=SIMULATED, real=3)
    record_property("history", summary(history))
    assert found == [], f"seed {SEED}, {STEPS} steps: {happened}"
    assert any(change.answer == "acknowledged" for change in history.changes[3:])


async def test_a_manager_that_ignores_the_end_of_its_lease_is_found():
    """Else the histories of the other tests would say nothing."""
    entry = python_entry("tests.chaos.shortlived")
    async with on_stage(simulated=3, real=0, entry=entry) as stage:
        first, _, third = stage.machines
        first.ignore_leases()
        first.stand_still()
        await stage.until_member(first, is_there=False)
        asking = asyncio.gather(stage.upload(first, stage.nodes))
        await stage.upload(third, stage.nodes)
        first.go_on()
        async with asyncio.timeout(2 * PATIENCE_S):
            await asking
        found = await stage.check(within_s=0.0)
    assert f"{first.run_name} changed 'certificate' after it was evicted" in found
