"""A store in a directory of its own for each test; where PostgreSQL is there, tests of `store` run on it too."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from manager.store.engine import Database
from manager.store.place import StorePlace
from manager.store.postgresql import Postgresql
from manager.store.sealing import Keyring
from manager.store.sqlite import Sqlite
from manager.store.store import Store, engine_of
from tests.postgres import KEK, ON_BOTH, empty_place_of, new_place, place_of


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(KEK)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def local(directory: Path, keyring: Keyring) -> AsyncIterator[Store]:
    """A store on SQLite, always."""
    store = await Store.open(new_place(directory), keyring)
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


@pytest.fixture
async def again(place: StorePlace, keyring: Keyring) -> AsyncIterator[Callable[[], Store]]:
    """Open the store as one more manager does."""
    made: list[Store] = []

    def open_once_more() -> Store:
        made.append(Store(Database(engine_of(place)), keyring))
        return made[-1]

    yield open_once_more
    for each in made:
        await each.close()


@dataclass(slots=True)
class SharedClock:
    """What every manager on a store takes for the time."""

    now_s: float = 1_000_000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SharedClock:
    """A clock that a test moves, in the place of the database's."""
    made = SharedClock()

    async def now_s(_engine: object, _connection: object) -> float:
        return made.now_s

    for engine in (Sqlite, Postgresql):
        monkeypatch.setattr(engine, "now_s", now_s)
    return made
