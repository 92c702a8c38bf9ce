"""One clock for all managers of a store."""

import ast
from pathlib import Path

import manager
from manager.store.clock import StoreClock

MANAGER = Path(manager.__file__).parent


class World:
    """The database's clock, and this machine's, of which one may be set."""

    def __init__(self) -> None:
        self.passed_s, self.database_s, self.wall_s = 1000.0, 5000.0, 9000.0
        self.takes_s = 0.0
        self.clock = StoreClock(wall=lambda: self.wall_s, monotonic=lambda: self.passed_s)

    def wait(self, seconds: float) -> None:
        self.passed_s += seconds
        self.database_s += seconds
        self.wall_s += seconds

    async def ask(self) -> float:
        """Answer when all of the time has passed that it takes: half of it, as far as who asks can know."""
        self.wait(self.takes_s)
        return self.database_s


async def test_it_is_the_databases_clock_whatever_the_own_one_says():
    world = World()
    assert world.clock.now_s() == 9000.0
    assert await world.clock.note(world.ask) == 5000.0
    world.wait(10)
    world.wall_s -= 1e6
    assert world.clock.now_s() == 5010.0


async def test_a_database_whose_clock_is_set_is_followed():
    world = World()
    await world.clock.note(world.ask)
    for step_s in (-3600.0, 7200.0):
        world.database_s += step_s
        await world.clock.note(world.ask)
        assert world.clock.now_s() == world.database_s


async def test_an_answer_that_takes_long_moves_nothing_that_it_cannot_know():
    world = World()
    await world.clock.note(world.ask)
    world.takes_s = 8.0
    await world.clock.note(world.ask)
    assert world.clock.now_s() == world.database_s
    world.database_s -= 3600.0
    await world.clock.note(world.ask)
    assert abs(world.clock.now_s() - world.database_s) <= 4.0


def test_every_use_case_of_the_manager_goes_by_the_stores_clock():
    calls = [
        (str(path.relative_to(MANAGER)), {each.arg for each in node.keywords})
        for path in sorted(MANAGER.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Context"
    ]
    assert {where for where, _ in calls} == {"app.py", "offline.py"}
    assert all("clock" in given for _, given in calls), calls
