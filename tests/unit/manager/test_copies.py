"""A backup is a manager's directory, and what is made never takes the place or the log of something else."""

from pathlib import Path

import pytest

from common.errors import ConflictError, NotFoundError, StorageError
from common.runtime import durable
from manager import copies
from manager.copies import back_up
from manager.offline import STAGED, initialise
from manager.settings import Settings
from manager.store.copying import ignore_progress
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import CREDENTIAL, KEK_FILE, create_kek, load_keyring
from manager.store.store import Store
from manager.usecases.heads import WITNESS
from tests.stores import contents, fill_every_table


@pytest.fixture(autouse=True)
def _no_credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
async def place(tmp_path: Path) -> StorePlace:
    data = tmp_path / "data"
    durable.make_dir(data, 0o700)
    create_kek(data)
    place = StorePlace(data, None)
    store = await Store.create(place, load_keyring(data))
    await fill_every_table(store, rows=3)
    await store.close()
    (data / WITNESS).write_text("a head of the log\n")
    return place


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    path = tmp_path / "backup"
    path.mkdir(mode=0o700)
    return path


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_a_backup_has_the_database_the_key_and_the_log_s_head_for_its_owner_only(place, backup):
    made = await back_up(place, backup, ignore_progress)
    assert made.has_key
    assert names(backup) == sorted([DATABASE_FILE, KEK_FILE, WITNESS])
    assert {path.stat().st_mode & 0o777 for path in backup.iterdir()} == {0o600}
    for name in (KEK_FILE, WITNESS):
        assert (backup / name).read_bytes() == (place.directory / name).read_bytes()
    assert await contents(StorePlace(backup, None)) == await contents(place)
    # it opens as it is
    await (await Store.open(StorePlace(backup, None), load_keyring(backup))).close()


async def test_a_key_that_is_handed_over_as_a_credential_is_not_written_into_a_backup(
    place, backup, tmp_path, monkeypatch
):
    (tmp_path / "credentials").mkdir()
    (place.directory / KEK_FILE).rename(tmp_path / "credentials" / CREDENTIAL)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    assert not (await back_up(place, backup, ignore_progress)).has_key
    assert names(backup) == sorted([DATABASE_FILE, WITNESS])


async def test_a_directory_with_something_in_it_is_not_backed_up_into(place, backup):
    (backup / "letters").touch()
    with pytest.raises(ConflictError, match="is not empty: letters is in it; choose a new directory"):
        await back_up(place, backup, ignore_progress)
    assert names(backup) == ["letters"]


async def test_what_a_killed_backup_left_is_removed_by_the_next(place, backup):
    (backup / STAGED).mkdir(mode=0o700)
    (backup / STAGED / DATABASE_FILE).write_bytes(b"half of one")
    await back_up(place, backup, ignore_progress)
    assert names(backup) == sorted([DATABASE_FILE, KEK_FILE, WITNESS])


async def test_a_backup_that_fails_leaves_no_key_behind(place, backup, monkeypatch):
    async def fail(*_args, **_given):
        raise StorageError("the disk is full")

    monkeypatch.setattr(copies, "transfer", fail)
    with pytest.raises(StorageError):
        await back_up(place, backup, ignore_progress)
    assert names(backup) == []


async def test_without_a_store_there_is_no_backup(tmp_path, backup):
    with pytest.raises(NotFoundError):
        await back_up(StorePlace(tmp_path / "nothing", None), backup, ignore_progress)
    assert names(backup) == []


async def test_the_log_of_a_database_that_was_moved_away_is_not_given_to_a_new_one(tmp_path):
    """SQLite would write what is in that log over what is in the new file."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    log = data / f"{DATABASE_FILE}-wal"
    log.write_bytes(b"pages of another database")
    with pytest.raises(ConflictError, match="has changes of a database that was moved away without it"):
        await initialise(Settings(data=data), names=["m.test"], addresses=[])
    assert (names(data), log.read_bytes()) == ([log.name], b"pages of another database")
    log.write_bytes(b"")
    (data / f"{DATABASE_FILE}-shm").write_bytes(b"its index")
    await initialise(Settings(data=data), names=["m.test"], addresses=[])
    assert names(data) == [DATABASE_FILE, KEK_FILE]


async def test_a_key_that_is_there_stays_and_is_the_new_store_s(tmp_path):
    """It may be that of a store in PostgreSQL, of which it is the only copy."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    create_kek(data)
    before = (data / KEK_FILE).read_bytes()
    await initialise(Settings(data=data), names=["m.test"], addresses=[])
    assert (data / KEK_FILE).read_bytes() == before
    store = await Store.open(StorePlace(data, None), load_keyring(data))
    assert await store.meta.secret_get("ssh-host-key")
    await store.close()
