"""The machine that joins: what it checks before it uses a token, and before it gives what it got a name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.errors import (
    AccessError,
    ConflictError,
    EnrolmentError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from common.runtime import durable
from common.runtime.ssh import fingerprint, generate_key, public_line
from demo.site import free_port
from manager.database_setting import TOLD_FILE
from manager.join_cluster import STAGED, Done, join_cluster
from manager.own_node import NODE_FILE, own_node
from manager.settings import Settings
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import CREDENTIAL, KEK_FILE, create_kek, load_keyring, read_kek
from manager.store.store import Store
from tests.cluster_parts import FirstManager, first_manager, new_key
from tests.postgres import NEEDED, Cluster

pytestmark = NEEDED


@pytest.fixture(autouse=True)
def _no_credential(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
async def there(cluster: Cluster, database: ServerAddress, tmp_path: Path) -> AsyncIterator[FirstManager]:
    directory = tmp_path / "first"
    durable.make_dir(directory, 0o700)
    create_kek(directory)
    store = await Store.create(StorePlace(directory, database), load_keyring(directory))
    async with first_manager(store, directory, database=cluster.url(database.name)) as manager:
        yield manager
    await store.close()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "second"


async def join(there: FirstManager, data: Path, *, url: str = "", token=None) -> Done:
    settings = Settings.load(data=data, **({"database": url} if url else {}))
    said = token or await there.token()
    return await join_cluster(settings, said, names=["m2.example"], addresses=[])


async def test_a_manager_that_joined_has_what_it_needs_and_nothing_else(there, data, cluster, database):
    done = await join(there, data)
    assert done == Done(node="management-2", was_resumed=False)
    assert sorted(each.name for each in data.iterdir()) == [TOLD_FILE, KEK_FILE, NODE_FILE]
    assert Settings.load(data=data).database.url == cluster.url(database.name)
    # told where the database is, it needs no file for that
    other = data.with_name("third")
    await join(there, other, url=cluster.url(database.name))
    assert sorted(each.name for each in other.iterdir()) == [KEK_FILE, NODE_FILE]
    assert own_node(other) == "management-3"


async def test_without_an_address_of_the_database_nothing_is_asked(there, data):
    token = await there.token(tells_database=False)
    with pytest.raises(InvalidInputError, match="'database' is missing"):
        await join(there, data, token=token)
    assert there.asked == 0


async def test_a_database_that_is_not_reached_or_has_no_store_costs_no_token(there, data, cluster, database):
    token = await there.token()
    with pytest.raises(StorageError):
        await join(there, data, token=token, url=cluster.url(database.name, port=free_port()))
    with cluster.lent_database() as empty, pytest.raises(Exception, match="there is no store"):
        await join(there, data, token=token, url=cluster.url(empty.name))
    assert there.asked == 0
    assert (await join(there, data, token=token)).node == "management-2"


async def test_a_store_of_other_managers_is_refused_and_the_right_one_gone_on_with(
    there, data, cluster, database, store_database
):
    token = await there.token()
    with pytest.raises((NotFoundError, StorageError)):
        await join(there, data, token=token, url=cluster.url(store_database.name))
    assert not (data / KEK_FILE).exists()
    assert not (data / NODE_FILE).exists()
    done = await join(there, data, token=token, url=cluster.url(database.name))
    assert done == Done(node="management-2", was_resumed=True)
    assert there.asked == 1


async def test_a_token_for_another_host_key_sends_nothing_and_leaves_no_key(there, data):
    token = await there.token()
    other = type(token)(
        addresses=token.addresses,
        fingerprint=fingerprint(public_line(new_key())),
        secret=token.secret,
        expires_s=token.expires_s,
        tells_database=True,
    )
    with pytest.raises(AccessError, match="not the one in the token"):
        await join(there, data, token=other)
    assert there.asked == 0
    assert [each.name for each in data.iterdir()] == [STAGED]
    assert not (data / STAGED / KEK_FILE).exists()


async def test_what_the_manager_says_of_a_token_is_told(there, data):
    token = await there.token()
    await join(there, data, token=token)
    with pytest.raises(EnrolmentError, match="was used by another machine") as caught:
        await join(there, data.with_name("third"), token=token)
    assert token.secret not in str(caught.value)


async def test_the_key_of_another_store_is_not_overwritten(there, data):
    durable.make_dir(data, 0o700)
    create_kek(data)
    before = read_kek(data)
    with pytest.raises(ConflictError, match="that of another store"):
        await join(there, data)
    assert read_kek(data) == before


@pytest.mark.parametrize("is_credential", [True, False])
async def test_a_key_that_was_handed_over_before_is_not_sent(
    there, data, tmp_path, monkeypatch, is_credential
):
    kek = read_kek(tmp_path / "first")
    if is_credential:
        place = tmp_path / "credentials"
        place.mkdir()
        (place / CREDENTIAL).write_bytes(kek)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(place))
    else:
        durable.make_dir(data, 0o700)
        durable.write_file(data / KEK_FILE, kek, mode=0o600)
    assert (await join(there, data)).node == "management-2"
    (reply,) = there.replied
    assert reply.kek == b""
    assert (data / KEK_FILE).exists() is not is_credential
    assert not (data / STAGED).exists()


@pytest.mark.parametrize("name", ["certcast.db", "notes.txt", ".new"])
async def test_a_directory_that_is_somebody_elses_is_left_alone(there, data, name):
    durable.make_dir(data, 0o700)
    (data / name).write_text("mine")
    with pytest.raises(ConflictError, match="is not empty"):
        await join(there, data)
    assert [each.name for each in data.iterdir()] == [name]
    assert there.asked == 0


async def test_a_node_that_was_removed_meanwhile_is_named(there, data, cluster, database):
    token = await there.token()
    with pytest.raises(StorageError):
        # it is answered, and the database is not there any more when it is tried
        await join_and_lose(there, data, token)
    await there.store.nodes.remove("management-2")
    with pytest.raises(ConflictError, match="no management node 'management-2' any more"):
        await join(there, data, token=token, url=cluster.url(database.name))


async def join_and_lose(there: FirstManager, data: Path, token) -> None:
    there.managers._shared = type(there.shared)(
        read_kek=there.shared.read_kek,
        kek_ids=there.shared.kek_ids,
        database=f"postgresql://nobody@127.0.0.1:{free_port()}/x",
        version=there.shared.version,
    )
    await join(there, data, token=token)


async def test_a_store_with_the_same_key_and_another_host_key_is_refused(
    there, data, tmp_path, cluster, database, store_database
):
    """A copy of the store whose host key was replaced since is a store of other managers."""
    copy = StorePlace(tmp_path / "first", store_database)
    cluster.drop_database(store_database.name)
    cluster.make_database(store_database.name)
    store = await Store.create(copy, load_keyring(copy.directory))
    await store.host_keys.keep("steady", generate_key(), None)
    await store.close()
    with pytest.raises(ConflictError, match="their host keys differ"):
        await join(there, data, url=cluster.url(store_database.name))
    assert not (data / KEK_FILE).exists()
