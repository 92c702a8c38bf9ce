"""Several managers on one store, in random order and at random speed: who was evicted changes nothing, and the feed misses nothing."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from common.errors import ConflictError, DutyLostError, MembershipLostError, NotFoundError
from common.ids import NodeName
from manager.domain.members import HoldRequest, MemberId, NodeState, StoreChanges
from manager.store.engine import Database
from manager.store.holds import EndedSession
from manager.store.members import LEASE_S
from manager.store.place import StorePlace
from manager.store.postgresql import Postgresql
from manager.store.sealing import Keyring
from manager.store.sqlite import Sqlite
from manager.store.store import Store, engine_of
from tests.patience import PATIENCE_S
from tests.postgres import KEK, ON_BOTH, place_of
from tests.unit.store.given import add_nodes, new_generation
from tests.unit.store.test_reports import report

MANAGERS = 3
STEPS = 30
"""Of each manager in each run."""

SEEDS = range(3)
DEADLINE_S = 4 * PATIENCE_S
NAMES = [NodeName(f"n{number}") for number in range(1, 7)]


@dataclass(slots=True)
class World:
    """What all managers share: the clock by which leases end, and chance. `outcomes` counts what came of the steps."""

    chance: random.Random
    now_s: float = 1_000_000.0
    outcomes: dict[str, int] = field(default_factory=dict)

    def count(self, outcome: str) -> None:
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1

    async def pause(self) -> None:
        """Let others go on, and sometimes for longer than a lease lasts."""
        if self.chance.random() < 0.06:
            self.now_s += self.chance.choice((1.0, LEASE_S / 2, 2 * LEASE_S))
        for _ in range(self.chance.randrange(6)):
            await asyncio.sleep(0)


@pytest.fixture(params=ON_BOTH)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> StorePlace:
    return place_of(request, tmp_path / "data")


@pytest.fixture(params=SEEDS)
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def world(seed: int, monkeypatch: pytest.MonkeyPatch) -> World:
    """Chance of its own for each seed, and a clock that it moves in place of the databases'."""
    made = World(random.Random(seed))

    async def now_s(_engine: object, _connection: object) -> float:
        return made.now_s

    for engine in (Sqlite, Postgresql):
        monkeypatch.setattr(engine, "now_s", now_s)
    monkeypatch.setattr(Sqlite, "is_shared", True)
    return made


@pytest.fixture
async def stores(place: StorePlace, world: World) -> AsyncIterator[list[Store]]:
    """The same store, once for each manager and once for who looks on."""
    made = [Store(Database(engine_of(place)), Keyring(KEK)) for _ in range(MANAGERS + 1)]
    await add_nodes(made[0], *NAMES)
    yield made
    for store in made:
        await store.close()


class Manager:
    """One that does something, pauses, and does something else; whenever it was evicted it joins again, not always at once.

    Each change leaves an entry in the audit log, in the same transaction, of the member as which it was made: the log's order is the
    order in which changes were kept.
    """

    def __init__(self, store: Store, world: World, onlooker: "Onlooker", number: int) -> None:
        self.store, self.world, self.onlooker = store, world, onlooker
        self.node = NodeName(f"management-{number}")
        self.held: dict[NodeName, int] = {}
        self.member = MemberId(0)

    async def join(self) -> None:
        self.member = await self.store.members.join(self.node)
        self.store.act_as(self.member)
        self.held = {}

    async def act(self, steps: int) -> None:
        await self.join()
        kinds = [
            self.renew,
            self.renew,
            self.expire,
            self.take,
            self.release,
            self.report,
            self.publish,
            self.lead,
        ]
        kinds += [self.add, self.remove, self.ask, self.push, *[self.take] * 4, self.renew]
        for _ in range(steps):
            await self.world.pause()
            await self.act_once(self.world.chance.choice(kinds))
            if self.world.chance.random() < 0.4:
                await self.onlooker.look()
            if self.world.chance.random() < 0.1:
                await self.onlooker.check()

    async def act_once(self, kind: Callable[[], Awaitable[None]]) -> None:
        try:
            await kind()
            self.world.count(kind.__name__)
        except MembershipLostError:
            self.world.count("evicted")
            if self.world.chance.random() < 0.5:
                await self.join()
        except DutyLostError:
            self.world.count("duty lost")
        except (ConflictError, NotFoundError):
            self.world.count("refused")

    async def noted(self, change: Callable[[], Awaitable[object]], action: str, subject: str = "") -> None:
        member = self.member
        await self.world.pause()
        async with self.store.transaction():
            await self.world.pause()
            await change()
            await self.world.pause()
            await self.store.audit.append(at_s=0.0, actor=str(member), action=action, subject=subject)

    async def renew(self) -> None:
        await self.store.members.renew(self.member)

    async def expire(self) -> None:
        async with self.store.transaction():
            for gone in await self.store.members.expire():
                await self.store.audit.append(at_s=0.0, actor="", action="expired", subject=str(gone.id))
                self.world.count("expired")

    async def take(self) -> None:
        name = self.world.chance.choice(NAMES)
        number = (await self.store.nodes.get(name)).id

        async def take() -> None:
            greeting = HoldRequest(
                node=name,
                node_id=number,
                address=str(self.member),
                agent_version="1",
                instance=self.world.chance.choice("ab"),
                displaces=name in self.held,
            )
            taken = await self.store.holds.take([greeting])
            assert all(each.state.hold and each.state.hold.number == each.number for each in taken.values())
            self.held |= {node: each.number for node, each in taken.items()}

        await self.noted(take, "take", name)

    async def release(self) -> None:
        chosen = {
            name: EndedSession(number, self.world.now_s)
            for name, number in self.world.chance.sample(sorted(self.held.items()), k=min(2, len(self.held)))
        }
        await self.noted(lambda: self.store.holds.release(chosen), "release")

    async def report(self) -> None:
        """Report of whatever this manager believes to hold: what is kept is of sessions that are still its own."""
        name = self.world.chance.choice(NAMES)
        number = (await self.store.nodes.get(name)).id
        record = report(name, node_id=number, address=str(self.member))

        async def write() -> None:
            present = await self.store.reports.record([record], held=self.held)
            states = {each.record.id: each for each in (await self.store.feed.since(0)).nodes}
            hold = states[number].hold if number in states else None
            is_own = hold is not None and hold.number == self.held.get(name)
            assert is_own == (name in self.held and present.get(name) == self.held[name])
            assert not is_own or hold.member == self.member

        await self.noted(write, "report", name)

    async def publish(self) -> None:
        name = self.world.chance.choice(NAMES)
        record, latest = await self.store.nodes.get(name), await self.store.generations.latest()
        number = latest[name].generation + 1 if name in latest else 1
        item = replace(new_generation(number, node=name), node_id=record.id)
        await self.noted(lambda: self.store.generations.publish([item]), "publish", f"{record.id}")

    async def lead(self) -> None:
        if await self.store.duties.take("lead"):
            with self.store.on_condition(self.store.duties.condition("lead")):
                await self.noted(lambda: self.store.meta.set("led", b"x"), "lead")
            if self.world.chance.random() < 0.3:
                await self.store.duties.give_up("lead")

    async def add(self) -> None:
        name = self.world.chance.choice(NAMES)
        await self.noted(
            lambda: self.store.nodes.add(name, "node", names=[], addresses=[], now_s=self.world.now_s),
            "add",
            name,
        )

    async def remove(self) -> None:
        name = self.world.chance.choice(NAMES)
        if self.world.chance.random() < 0.3:
            await self.noted(lambda: self.store.nodes.remove(name), "remove", name)

    async def ask(self) -> None:
        chosen = self.world.chance.sample(NAMES, k=2)
        await self.noted(lambda: self.store.asked_pushes.ask(chosen, is_forced=False, asked_by="ann"), "ask")

    async def push(self) -> None:
        await self.noted(self.store.asked_pushes.take, "push")


@dataclass(slots=True)
class Onlooker:
    """What somebody knows of a store who looks at what changed, and at nothing else."""

    store: Store
    number: int = 0
    known: dict[int, NodeState] = field(default_factory=dict)
    looks: int = 0
    told: int = 0

    async def look(self) -> StoreChanges:
        changes = await self.store.feed.since(self.number)
        assert changes.number >= self.number
        self.number = changes.number
        self.known |= {state.record.id: state for state in changes.nodes}
        if changes.present is not None:
            self.known = {number: state for number, state in self.known.items() if number in changes.present}
        self.looks += 1
        self.told += len(changes.nodes)
        return changes

    async def check(self) -> None:
        """Compare with the whole store, while nobody writes."""
        async with self.store.transaction():
            await self.look()
            whole = await self.store.feed.since(0)
        assert self.known == {state.record.id: state for state in whole.nodes}


async def run(stores: list[Store], world: World) -> list[Onlooker]:
    """Let all act at once; beside each, somebody looks at moments of their own, and then at what others did meanwhile."""
    onlookers = [Onlooker(stores[-1]) for _ in stores[:-1]]
    managers = [
        Manager(store, world, onlooker, number)
        for number, (store, onlooker) in enumerate(zip(stores[:-1], onlookers, strict=True))
    ]
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as acting:
        for manager in managers:
            acting.create_task(manager.act(STEPS))
    for each in onlookers:
        await each.check()
    await _evict(managers, world)
    for each in onlookers:
        await each.check()
    return onlookers


async def _evict(managers: list[Manager], world: World) -> None:
    """Let one be evicted for certain, whatever chance has brought."""
    late, other = managers[:2]
    await late.join()
    world.now_s += 2 * LEASE_S
    await other.join()
    await other.expire()
    await late.act_once(late.ask)


async def too_late(store: Store) -> list[str]:
    """Return what was kept of members that had been evicted, by the audit log's order."""
    gone: set[str] = set()
    found = []
    for act in sorted(await store.audit.list(limit=100_000), key=lambda act: act.id):
        if act.actor in gone:
            found.append(f"{act.action} of member {act.actor}")
        if act.action == "expired":
            gone.add(act.subject)
    assert gone, "nobody was evicted"
    return found


async def test_who_was_evicted_changes_nothing_and_whoever_looks_at_random_moments_misses_nothing(
    stores, world, record_property
):
    looking = await run(stores, world)
    looks, told = sum(each.looks for each in looking), sum(each.told for each in looking)
    record_property("outcomes", f"{world.outcomes}, {looks} looks, {told} nodes told")
    assert all(each.told for each in looking)
    assert await too_late(stores[-1]) == []


@pytest.mark.parametrize("seed", [1])
async def test_a_lease_that_is_ignored_is_found(stores, world, monkeypatch):
    """Of a store without the condition: else the test above would say nothing."""

    async def ignore(*_: object) -> None:
        return

    monkeypatch.setattr(Database, "_check_member", ignore)
    managers = [
        Manager(store, world, Onlooker(stores[-1]), number) for number, store in enumerate(stores[:-1])
    ]
    await _evict(managers, world)
    assert await too_late(stores[-1])
