"""Random steps on a site: clients change and push while managers are killed, stand still, or are cut off, and the database goes away or fails over.

A seed gives the same steps at the same pauses again, though not the same turns of every process. Every fault ends by itself some time later; `heal`
waits until all have.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, Final

from tests.chaos.machines import Machine
from tests.chaos.stage import Stage
from tests.fakes.lossy_tcp import LossyTcp
from tests.patience import PATIENCE_S

PAUSE_MAX_S: Final = 1.0
"""Between two steps."""

CHANGES_MAX: Final = 4
"""Under way at once: a client waits for its answer."""

Fault = Callable[[Machine, float], Coroutine[Any, Any, None]]
"""What happens to a manager for so many seconds."""


class Steps:
    """`lease_s` is how long the managers' leases last: faults are shorter or longer than that. `happened` is what was done, in order."""

    def __init__(self, stage: Stage, *, seed: int, lease_s: float, tasks: asyncio.TaskGroup) -> None:
        self._stage = stage
        self._chance = random.Random(seed)
        self._lease_s = lease_s
        self._tasks = tasks
        self._going: set[asyncio.Task[None]] = set()
        self._changes = 0
        self._is_database_faulty = False
        self.happened: list[str] = []

    async def run(self, steps: int) -> None:
        """Let so many things happen, and wait until what they broke is whole again."""
        for _ in range(steps):
            self._step()
            await asyncio.sleep(self._chance.uniform(0.0, PAUSE_MAX_S))
        await self.heal()

    async def heal(self) -> None:
        """Wait until every fault is over, and every manager ready."""
        async with asyncio.timeout(10 * PATIENCE_S):
            while self._going:
                await asyncio.wait(self._going)
            for each in self._stage.machines:
                each.mend()
                await each.until_ready(self._stage.session)

    def _step(self) -> None:
        kinds: list[tuple[int, Callable[[], None]]] = [
            (8, self._change),
            (1, self._push),
            (2, self._wander),
            (5, self._break_a_manager),
            (1, self._break_the_database),
        ]
        weights = [weight for weight, _ in kinds]
        self._chance.choices([kind for _, kind in kinds], weights)[0]()

    # -- what clients and nodes do

    def _change(self) -> None:
        nodes = self._stage.nodes
        count = self._chance.choice((1, 3, len(nodes) // 10, len(nodes)))
        chosen, machine = self._chance.sample(nodes, max(1, count)), self._chance.choice(self._stage.machines)
        if self._changes < CHANGES_MAX:
            self._changes += 1
            self._start(f"change {len(chosen)} at {machine.name}", self._change_at(machine, chosen))

    async def _change_at(self, machine: Machine, nodes: list[str]) -> None:
        try:
            await self._stage.upload(machine, nodes)
        finally:
            self._changes -= 1

    def _push(self) -> None:
        machine = self._chance.choice(self._stage.machines)
        self._start(f"push at {machine.name}", self._stage.push(machine))

    def _wander(self) -> None:
        count = self._chance.randint(1, max(1, len(self._stage.simulated) // 5))
        self._start(f"hang up {count}", self._hang_up(count))

    async def _hang_up(self, count: int) -> None:
        await self._stage.ask_nodes("hang_up", count=count)

    # -- what happens to a manager

    def _break_a_manager(self) -> None:
        faults: list[Fault] = [
            _kill,
            _kill,
            _stop,
            _stand_still,
            _stand_still,
            _part_from_agents,
            _part_from_database,
            _part_from_all,
            _part_from_managers,
            _cut,
        ]
        fault, machine = self._chance.choice(faults), self._chance.choice(self._stage.machines)
        lasts_s = self._chance.choice((0.3, 0.8, 1.5, 2.5)) * self._lease_s
        if not machine.is_faulty:
            machine.is_faulty = True
            what = f"{fault.__name__.strip('_')} {machine.name} for {lasts_s:.1f} s"
            self._start(what, self._until_over(fault, machine, lasts_s))

    async def _until_over(self, fault: Fault, machine: Machine, lasts_s: float) -> None:
        try:
            await fault(machine, lasts_s)
            await machine.until_ready(self._stage.session)
        finally:
            machine.is_faulty = False

    # -- what happens to the database

    def _break_the_database(self) -> None:
        servers, away_s = self._stage.servers, self._chance.uniform(0.0, 2 * self._lease_s)
        faults: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = [
            (f"stop the database for {away_s:.1f} s", lambda: servers.restart(away_s)),
            (f"let the database stand still for {away_s:.1f} s", lambda: servers.stand_still(away_s)),
            ("fail over", self._stage.fail_over),
        ]
        what, fault = self._chance.choice(faults)
        if not self._is_database_faulty:
            self._is_database_faulty = True
            self._start(what, self._until_back(fault))

    async def _until_back(self, fault: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await fault()
        finally:
            self._is_database_faulty = False

    # -- inside

    def _start(self, what: str, act: Coroutine[Any, Any, None]) -> None:
        self.happened.append(what)
        task = self._tasks.create_task(act)
        self._going.add(task)
        task.add_done_callback(self._going.discard)


async def _kill(machine: Machine, lasts_s: float) -> None:
    await machine.kill()
    await asyncio.sleep(lasts_s)
    await machine.serve()


async def _stop(machine: Machine, lasts_s: float) -> None:
    await machine.stop()
    await asyncio.sleep(lasts_s)
    await machine.serve()


async def _stand_still(machine: Machine, lasts_s: float) -> None:
    machine.stand_still()
    await asyncio.sleep(lasts_s)
    machine.go_on()


async def _part_from_agents(machine: Machine, lasts_s: float) -> None:
    await _part(machine, [machine.agents], lasts_s)


async def _part_from_database(machine: Machine, lasts_s: float) -> None:
    await _part(machine, machine.stores, lasts_s)


async def _part_from_all(machine: Machine, lasts_s: float) -> None:
    await _part(machine, machine.wires, lasts_s)


async def _part(machine: Machine, wires: list[LossyTcp], lasts_s: float) -> None:
    machine.part(wires)
    await asyncio.sleep(lasts_s)
    machine.mend()


async def _part_from_managers(machine: Machine, lasts_s: float) -> None:
    machine.part_from_managers()
    await asyncio.sleep(lasts_s)
    machine.mend()


async def _cut(machine: Machine, _lasts_s: float) -> None:
    machine.cut()
