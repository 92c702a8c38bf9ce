"""A store on a PostgreSQL server, through its Unix socket."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.postgres import KEK


@pytest.fixture
def place(store_database: ServerAddress, tmp_path: Path) -> StorePlace:
    return StorePlace(tmp_path, store_database)


@pytest.fixture
async def store(place: StorePlace) -> AsyncIterator[Store]:
    made = await Store.open(place, Keyring(KEK))
    yield made
    await made.close()
