"""Two managers over one store on PostgreSQL, in this process, each with its own connections to it and its own memory."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.integration.fleet.parts import Parts, running_over
from tests.postgres import KEK

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
