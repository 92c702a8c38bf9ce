"""Kill a copy of a store to the other engine wherever it is: the original is as it was, the target has no store or a whole one, and it can be run again."""

import asyncio
import signal
from pathlib import Path

import pytest

from common.errors import NotFoundError
from common.runtime import durable
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import create_kek, load_keyring
from manager.store.store import Store
from tests.crash import store_mover
from tests.crash.forked import forked
from tests.crash.store_mover import POINTS
from tests.postgres import NEEDED, Cluster
from tests.stores import contents, fill_every_table

pytestmark = NEEDED


@pytest.fixture(autouse=True)
def _no_credential(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
async def directory(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    durable.make_dir(path, 0o700)
    create_kek(path)
    return path


async def fill(place: StorePlace) -> None:
    store = await Store.create(place, load_keyring(place.directory))
    await fill_every_table(store, rows=120)
    await store.close()


async def has_store(place: StorePlace) -> bool:
    try:
        store = await Store.open(place, load_keyring(place.directory))
    except NotFoundError:
        return False
    await store.close()
    return True


async def test_a_copy_into_postgresql_that_is_killed_leaves_no_store_there(
    directory, cluster: Cluster, database
):
    file, server, url = (
        StorePlace(directory, None),
        StorePlace(directory, database),
        cluster.url(database.name),
    )
    await fill(file)
    before, as_bytes = await contents(file), (directory / DATABASE_FILE).read_bytes()
    killed = []
    for point in POINTS:
        if await asyncio.to_thread(forked, store_mover, directory, url, "postgresql", point) == 0:
            break
        killed.append(point)
        assert not await has_store(server), point
        assert (directory / DATABASE_FILE).read_bytes() == as_bytes, point
    assert killed == ["begun", "copied", "compared", "verified"]
    # the one that was not killed has come to its end
    assert await contents(server) == before == await contents(file)


async def test_a_copy_into_a_file_that_is_killed_leaves_no_store_there_or_a_whole_one(
    directory, cluster: Cluster, database
):
    file, server, url = (
        StorePlace(directory, None),
        StorePlace(directory, database),
        cluster.url(database.name),
    )
    await fill(server)
    before = await contents(server)
    for point in POINTS:
        assert (
            await asyncio.to_thread(forked, store_mover, directory, url, "sqlite", point) == -signal.SIGKILL
        ), point
        assert await has_store(file) == (point == "published"), point
        assert await contents(server) == before, point
    assert await contents(file) == before
    (directory / DATABASE_FILE).rename(directory / "killed.db")
    # what was left behind is in nobody's way
    assert await asyncio.to_thread(forked, store_mover, directory, url, "sqlite", "never") == 0
    assert await contents(file) == before
    assert sorted(path.name for path in directory.iterdir()) == [DATABASE_FILE, "kek", "killed.db"]
