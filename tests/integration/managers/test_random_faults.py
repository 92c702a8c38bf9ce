"""Three managers and a dozen wandering agents, while managers are killed, stand still and hear nothing: whatever happened, all agree in the end."""

import asyncio
import random
from contextlib import AsyncExitStack

import pytest

from common.ids import NodeName
from manager.store.change_listener import ChangeListener
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts
from tests.integration.managers.conftest import Start
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED

pytestmark = NEEDED

NODES = 12
STEPS = 12
AGAIN_S = 0.05
"""How soon an agent dials again, whatever it was told: a test that waited as agents do would take minutes."""


class Agent(NodeSimulator):
    """Dials any manager that runs, again and again, and remembers what it installed."""

    def __init__(self, name: str, managers: list[Parts], chance: random.Random) -> None:
        super().__init__(NodeName(name))
        self.managers = managers
        self.chance = chance
        self.lost = asyncio.Event()
        self.installed: list[int] = []

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.lost.set()

    def leave(self, command: object) -> None:
        super().leave(command)  # type: ignore[arg-type]
        self.connection_lost(None)

    def install(self, install) -> None:
        self.installed.append(install.manifest.generation)
        super().install(install)

    async def wander(self) -> None:
        while True:
            running = [each for each in self.managers if not each.is_killed]
            self.lost.clear()
            self.chance.choice(running).dial(self.name, self)
            await self.lost.wait()
            await asyncio.sleep(AGAIN_S)


@pytest.fixture(autouse=True)
def _short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manager.store.members.LEASE_S", 3.0)
    monkeypatch.setattr("manager.fleet.membership.LEASE_S", 3.0)
    monkeypatch.setattr("manager.fleet.membership.RENEW_EACH_S", 0.3)
    monkeypatch.setattr("manager.fleet.reconcile.RECONCILE_S", 2.0)


class Site:
    """The managers that run or ran, what was assigned last, and what may happen."""

    def __init__(self, start: Start, stack: AsyncExitStack, chance: random.Random) -> None:
        self._start = start
        self._stack = stack
        self._chance = chance
        self._names = [f"n{number}" for number in range(NODES)]
        self._still: Parts | None = None
        self.managers: list[Parts] = []
        self.agents = [Agent(name, self.managers, chance) for name in self._names]
        self.wanted: dict[str, str] = {}
        self.happened: list[str] = []

    @property
    def running(self) -> list[Parts]:
        return [each for each in self.managers if not each.is_killed]

    async def add_manager(self) -> None:
        self.managers.append(await self._stack.enter_async_context(self._start()))

    async def add_nodes(self) -> None:
        await self.managers[0].add(*self._names)
        for each in self.managers[1:]:
            await each.fleet.reconciler.reconcile()

    async def step(self) -> None:
        """Let something happen, to a manager that is neither dead nor still."""
        acts = [self._assign, self._assign, self._push, self._wander, self._kill, self._stand_still]
        act = self._chance.choice(acts)
        self.happened.append(act.__name__)
        await act(self._chance.choice([each for each in self.running if each is not self._still]))
        await asyncio.sleep(self._chance.random())

    def go_on(self) -> None:
        if self._still is not None:
            self._still.go_on()
            self._still = None

    async def _assign(self, there: Parts) -> None:
        chosen = self._chance.sample(self._names, self._chance.randint(1, NODES))
        self.wanted.update(dict.fromkeys(chosen, await there.assign(*chosen)))

    async def _push(self, there: Parts) -> None:
        await there.fleet.push(None, forced=self._chance.random() < 0.5)

    async def _wander(self, _there: Parts) -> None:
        for agent in self._chance.sample(self.agents, 4):
            if agent.transport is not None:
                agent.transport.close()
                agent.connection_lost(None)

    async def _kill(self, there: Parts) -> None:
        there.kill()
        await self.add_manager()

    async def _stand_still(self, there: Parts) -> None:
        self.go_on()
        self._still = there
        there.stand_still()
        await asyncio.sleep(4)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_to_managers_every_node_ends_with_what_was_assigned_last(
    start: Start, seed: int, monkeypatch: pytest.MonkeyPatch, record_property
):
    chance = random.Random(seed)
    hear = ChangeListener._receive

    def hear_some(hearing: ChangeListener, sender: str) -> None:
        if chance.random() < 0.5:
            hear(hearing, sender)

    monkeypatch.setattr(ChangeListener, "_receive", hear_some)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        site = Site(start, stack, chance)
        for _ in range(3):
            await site.add_manager()
        await site.add_nodes()
        wandering = [tasks.create_task(agent.wander()) for agent in site.agents]
        for _ in range(STEPS):
            await site.step()
        site.go_on()
        for there in site.running:
            await there.until(
                lambda there=there: all(there.applied(name) == leaf for name, leaf in site.wanted.items()),
                within_s=2 * PATIENCE_S,
            )
        for agent in site.agents:
            assert agent.installed == sorted(set(agent.installed)), (agent.name, site.happened)
            if agent.name in site.wanted:
                assert agent.local.applied().slots["server"].leaf == site.wanted[agent.name], site.happened
        for task in wandering:
            task.cancel()
    record_property("happened", site.happened)
