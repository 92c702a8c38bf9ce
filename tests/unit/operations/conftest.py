"""The use cases over a real store, with a fleet that remembers, work done in place, and a clock that stands."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.pki.certificate import decode
from common.pki.selfsigned import make_temporary
from manager.operations.context import Context
from manager.operations.nodes import JoinFacts
from manager.operations.operations import Operations
from manager.store.inventory import Inventories
from manager.store.sealing import create_kek, load_keyring
from manager.store.store import Store
from tests.fakes.fleet import FakeFleet
from tests.pki import NOW_S, make_root

WITHIN_S = 3600.0
BUILTIN = make_root("Built-in Root")


class InPlace:
    """Does a worker's work at once; keys for temporary certificates are small, so that a test takes no seconds."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def run(self, timeout_s: float, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append(function.__name__)
        small = {"key_bits": 2048} if function is make_temporary else {}
        return function(*args, **kwargs, **small)


@dataclass
class World:
    operations: Operations
    store: Store
    fleet: FakeFleet
    workers: InPlace
    now: list[float] = field(default_factory=lambda: [float(NOW_S)])

    def wait(self, seconds: float) -> None:
        self.now[0] += seconds

    async def acts(self) -> list[tuple[str, str, str]]:
        return [(act.actor, act.action, act.subject) for act in await self.store.audit.list()][::-1]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    create_kek(tmp_path)
    store = await Store.create(tmp_path, load_keyring(tmp_path))
    fleet, workers, now = FakeFleet(), InPlace(), [float(NOW_S)]
    inventories = Inventories(store, [decode(BUILTIN.certificate_der)])
    context = Context(
        store=store, inventories=inventories, fleet=fleet, workers=workers, clock=lambda: now[0]
    )
    join = JoinFacts(addresses=lambda: ["192.0.2.1:9422"], fingerprint="SHA256:abc", lifetime_s=WITHIN_S)
    yield World(Operations(context, join=join), store, fleet, workers, now)
    await store.close()
