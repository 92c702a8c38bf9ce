"""A store in a directory of its own for each test; where PostgreSQL is there, tests of `store` run on it too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.postgres import KEK, ON_BOTH, empty_place_of, place_of


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(KEK)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def local(directory: Path, keyring: Keyring) -> AsyncIterator[Store]:
    """A store on SQLite, always."""
    store = await Store.create(StorePlace(directory, None), keyring)
    yield store
    await store.close()


@pytest.fixture(params=ON_BOTH)
def place(request: pytest.FixtureRequest, directory: Path) -> StorePlace:
    """A place with a new store, on either engine."""
    return place_of(request, directory)


@pytest.fixture(params=ON_BOTH)
def empty_place(request: pytest.FixtureRequest, directory: Path) -> StorePlace:
    """A place for a store, on either engine."""
    return empty_place_of(request, directory)


@pytest.fixture
async def store(place: StorePlace, keyring: Keyring) -> AsyncIterator[Store]:
    """A store on either engine."""
    made = await Store.open(place, keyring)
    yield made
    await made.close()
