"""Two managers over one store on PostgreSQL, in this process, each with its own connections to it and its own memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from manager.store import postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.postgresql import StatementLimits
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.integration.fleet.parts import Parts, running_over
from tests.integration.managers.failing_over import NAME, Servers
from tests.postgres import KEK, made_cluster, made_root

Start = Callable[[], AbstractAsyncContextManager[Parts]]


@pytest.fixture(autouse=True)
def _no_reconcile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be repaired by the minute's pass but where a test makes one: it would hide what is missing."""
    monkeypatch.setattr("manager.fleet.reconcile.RECONCILE_S", 3600.0)


@pytest.fixture
def start(store_database: ServerAddress, tmp_path: Path) -> Start:
    """Return what runs one more manager over the store."""
    return lambda: started(store_database, tmp_path)


@pytest.fixture
async def first(start: Start) -> AsyncIterator[Parts]:
    async with start() as parts:
        yield parts


@pytest.fixture
async def second(first: Parts, start: Start) -> AsyncIterator[Parts]:
    assert first.fleet.lead.is_ours
    async with start() as parts:
        yield parts


@asynccontextmanager
async def started(address: ServerAddress, directory: Path) -> AsyncIterator[Parts]:
    store = await Store.open(StorePlace(directory, address), Keyring(KEK))
    try:
        async with running_over(store) as parts:
            yield parts
    finally:
        await store.close()


@pytest.fixture
async def servers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Servers]:
    monkeypatch.setattr(postgresql, "LIMITS", StatementLimits(statement_s=20, answer_s=3.0))
    with made_cluster() as primary, made_root() as root:
        primary.make_database(NAME)
        replica = primary.replica(root)
        try:
            yield Servers(primary=primary, replica=replica)
        finally:
            replica.stop()


@pytest.fixture
async def stores(servers: Servers, tmp_path: Path) -> AsyncIterator[list[Store]]:
    """A store, as each of two managers has opened it."""
    place = StorePlace(tmp_path, servers.address)
    made = [await Store.create(place, Keyring(KEK)), await Store.open(place, Keyring(KEK))]
    yield made
    for each in made:
        await each.close()
