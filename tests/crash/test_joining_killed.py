"""Kill a manager that joins another one wherever it is: either there is nothing, or the same command goes on; and there is one node, and one key, in the end."""

import asyncio
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.runtime import durable
from manager.channel.clustering import encode_token
from manager.database_setting import TOLD_FILE
from manager.join_cluster import STAGED
from manager.own_node import NODE_FILE, own_node
from manager.settings import Settings
from manager.store.opening import open_store
from manager.store.place import StorePlace
from manager.store.sealing import KEK_FILE, create_kek, load_keyring, read_kek
from manager.store.store import Store
from tests.cluster_parts import FirstManager, first_manager
from tests.crash import cluster_joiner
from tests.crash.forked import forked
from tests.postgres import NEEDED, Cluster

pytestmark = NEEDED


@pytest.fixture(autouse=True)
def _no_credential(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
async def there(cluster: Cluster, database, tmp_path: Path) -> AsyncIterator[FirstManager]:
    directory = tmp_path / "first"
    durable.make_dir(directory, 0o700)
    create_kek(directory)
    store = await Store.create(StorePlace(directory, database), load_keyring(directory))
    async with first_manager(store, directory, database=cluster.url(database.name)) as manager:
        yield manager
    await store.close()


def check_private(data: Path) -> None:
    """Whatever was left behind is its owner's alone."""
    for path in [data, *data.rglob("*")]:
        assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_join_that_is_killed_anywhere_is_gone_on_with_by_the_same_command(
    there, cluster, database, tmp_path, record_property, is_told
):
    url = cluster.url(database.name)
    killed, point = 0, 0
    for point in range(1000):
        data = tmp_path / f"second-{point}"
        token = encode_token(await there.token(tells_database=is_told))
        arguments = (data, token, "" if is_told else url)
        status = await asyncio.to_thread(forked, cluster_joiner, *arguments, point)
        if data.exists():
            check_private(data)
        if status:
            killed += 1
            # the key, without which nothing is served, is there only with the rest
            if (data / KEK_FILE).exists():
                assert own_node(data) != "management"
            # killed after the last step, it has joined, and is refused another time
            if (data / STAGED).exists() or not (data / NODE_FILE).exists():
                assert await asyncio.to_thread(forked, cluster_joiner, *arguments, 1000) == 0, point
        assert sorted(each.name for each in data.iterdir()) == sorted(
            [NODE_FILE, KEK_FILE, *([TOLD_FILE] if is_told else [])]
        ), point
        check_private(data)
        assert read_kek(data) == read_kek(tmp_path / "first")
        settings = Settings.load(data=data, **({} if is_told else {"database": url}))
        async with open_store(settings.place) as store:
            assert (await store.nodes.get(own_node(data))).kind == "management"
        if not status:
            break
    nodes = await there.management_nodes()
    print(f"killed at {killed} points, each joined when run again; {len(nodes) - 1} joined in all")  # noqa: T201
    record_property("killed", killed)
    # one node for each that joined: none was made twice
    assert len(nodes) == 1 + point + 1
    assert killed >= 15


async def test_a_directory_that_has_joined_is_left_as_it_is(there, tmp_path, database):
    data, token = tmp_path / "second", encode_token(await there.token())
    assert await asyncio.to_thread(forked, cluster_joiner, data, token, "", 1000) == 0
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    await asyncio.to_thread(forked, cluster_joiner, data, token, "", 1000, statuses={1})
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before
    assert not (data / STAGED).exists()
