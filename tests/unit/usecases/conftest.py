"""The use cases over a real store, with a fleet that remembers, work done in place, and a clock that stands."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from common.ids import MANAGEMENT_NODE
from common.pki.certificate import decode
from manager.domain.renewal.records import ChallengeKind
from manager.store.inventory import Inventories
from manager.store.store import Store
from manager.usecases.context import Context
from manager.usecases.nodes import JoinFacts
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.usecases import UseCases
from tests.fakes.fleet import FakeFleet
from tests.fakes.workers import InPlace
from tests.pki import NOW_S, make_root
from tests.store_template import EMPTY

WITHIN_S = 3600.0
BUILTIN = make_root("Built-in Root")


@dataclass
class World:
    use_cases: UseCases
    store: Store
    fleet: FakeFleet
    workers: InPlace
    now: list[float] = field(default_factory=lambda: [float(NOW_S)])
    elapsed: list[float] = field(default_factory=lambda: [1000.0])

    def wait(self, seconds: float) -> None:
        """Let time pass: by the clock on the wall, which may be set, and by the one that only ever runs."""
        self.now[0] += seconds
        self.elapsed[0] += seconds

    async def acts(self) -> list[tuple[str, str, str]]:
        return [(act.actor, act.action, act.subject) for act in await self.store.audit.list()][::-1]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await EMPTY.copy(tmp_path)
    fleet, workers, now, elapsed = FakeFleet(), InPlace(), [float(NOW_S)], [1000.0]
    inventories = Inventories(store, [decode(BUILTIN.certificate_der)])
    context = Context(
        store=store,
        inventories=inventories,
        fleet=fleet,
        workers=workers,
        own_node=MANAGEMENT_NODE,
        clock=lambda: now[0],
        monotonic=lambda: elapsed[0],
    )
    join = JoinFacts(
        addresses=lambda: ["192.0.2.1:9422"], fingerprint=lambda: "SHA256:abc", lifetime_s=WITHIN_S
    )
    yield World(
        UseCases(context, join=join, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind)),
        store,
        fleet,
        workers,
        now,
        elapsed,
    )
    await store.close()
