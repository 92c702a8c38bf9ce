"""Three managers, a database with its replica, and 300 nodes, three of them with nginx: one kind of failure after the other.

How long each took is recorded and printed; what is asserted is that it ends, and that the history has no contradiction.
"""

import asyncio
from collections.abc import Callable

import pytest

from tests.chaos.history import Change
from tests.chaos.machines import Machine
from tests.chaos.stage import Stage, on_stage
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED

pytestmark = [
    NEEDED,
    pytest.mark.services("nginx", "postgres", "root"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),
]

SIMULATED = 297
REAL = 3

Measured = Callable[[str, float], None]


@pytest.fixture
def measured(record_property) -> Measured:
    """Note how long something took."""

    def note(what: str, took_s: float) -> None:
        record_property(what, f"{took_s:.1f} s")
        print(f"{what}: {took_s:.1f} s")

    return note


async def upload(stage: Stage, *machines: Machine) -> Change:
    """Give all nodes something new, at one of these managers after the other, until one acknowledges it."""
    async with asyncio.timeout(2 * PATIENCE_S):
        while True:
            for each in machines:
                change = await stage.upload(each, stage.nodes)
                if change.answer == "acknowledged":
                    return change
            await asyncio.sleep(0.5)


async def test_a_manager_that_is_killed_in_a_push_or_stands_still_costs_its_nodes_a_moment_and_no_second_reload(
    measured: Measured,
):
    async with on_stage(simulated=SIMULATED, real=REAL) as stage:
        first, second, third = stage.machines
        change = await upload(stage, second)
        measured("uploaded at one, served everywhere", await stage.until_served(change))

        change = await upload(stage, third)
        await stage.ask_nodes("installed", leaf=change.leaf, count=1)
        await first.kill()
        took_s = await stage.until_served(change, [second, third])
        measured("in sync after a manager was killed in a push", took_s)
        await first.serve()
        await first.until_ready(stage.session)
        measured("in sync at the manager that is back", await stage.until_served(change))

        # what it was asked while it stood still is asked of it once it goes on, and it has been evicted by then
        await stage.ask_nodes("hang_up", count=SIMULATED)
        second.stand_still()
        await stage.until_member(second, is_there=False)
        asking = asyncio.gather(stage.upload(second, stage.nodes))
        change = await upload(stage, third)
        second.go_on()
        async with asyncio.timeout(2 * PATIENCE_S):
            await asking
        await stage.until_member(second, is_there=True)
        change = await upload(stage, third)
        measured("in sync after a manager went on", await stage.until_served(change))
        assert await stage.check() == []


async def test_a_database_that_stops_or_fails_over_loses_nothing_that_was_acknowledged(measured: Measured):
    async with on_stage(simulated=SIMULATED, real=REAL) as stage:
        await stage.until_served(await upload(stage, stage.machines[0]))
        asking = asyncio.gather(*(stage.upload(each, stage.nodes) for each in stage.machines))
        await stage.servers.restart(away_s=5.0)
        async with asyncio.timeout(2 * PATIENCE_S):
            await asking
        change = await upload(stage, *stage.machines)
        measured("in sync after the database was back", await stage.until_served(change))

        asking = asyncio.gather(*(stage.upload(each, stage.nodes) for each in stage.machines))
        await stage.fail_over()
        async with asyncio.timeout(2 * PATIENCE_S):
            await asking
        change = await upload(stage, *stage.machines)
        measured("in sync after a failover", await stage.until_served(change))
        assert await stage.check() == []


async def test_a_manager_that_is_cut_off_keeps_nothing_from_anybody(measured: Measured):
    async with on_stage(simulated=SIMULATED, real=REAL) as stage:
        first, *others = stage.machines
        await stage.until_served(await upload(stage, first))

        first.part(first.stores)
        change = await upload(stage, *others)
        measured("in sync while one is without the database", await stage.until_served(change, others))
        first.mend()
        measured("and at that one, once it has it again", await stage.until_served(change))

        first.part([first.agents])
        change = await upload(stage, *others)
        measured("in sync while one is without agents", await stage.until_served(change, others))
        first.mend()

        first.part_from_managers()
        change = await upload(stage, *others)
        measured("in sync while one hears of no other", await stage.until_served(change))
        first.mend()
        assert await stage.check() == []
