import re
import secrets
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from common.errors import ConflictError, NotFoundError, StorageError
from manager.store.migrations.versions import v0001_first
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.store.tables import metadata
from tests.unit.store.given import KEY_PEM, N1, add_nodes, new_certificate, new_generation, publish


async def test_a_new_store_has_exactly_the_tables_that_the_code_declares(store):
    async with store._database.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    assert differences == []


async def test_what_was_kept_is_there_after_the_store_is_opened_again(local, directory, keyring):
    await add_nodes(local, N1)
    await local.close()
    again = await Store.open(StorePlace(directory, None), keyring)
    assert [record.name for record in await again.nodes.list()] == [N1]
    await again.close()


async def test_the_database_and_what_sqlite_puts_beside_it_are_for_their_owner_only(local, directory):
    await add_nodes(local, N1)
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {DATABASE_FILE: 0o600, f"{DATABASE_FILE}-wal": 0o600, f"{DATABASE_FILE}-shm": 0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


async def test_a_directory_that_holds_a_store_is_not_used_for_another(local, directory, keyring):
    await add_nodes(local, N1)
    with pytest.raises(ConflictError, match="already holds a manager's store"):
        await Store.create(StorePlace(directory, None), keyring)
    assert await local.nodes.get(N1)


async def test_where_there_is_no_store_the_way_to_make_one_is_told(tmp_path, keyring):
    with pytest.raises(NotFoundError, match="certcast-manager init"):
        await Store.open(StorePlace(tmp_path, None), keyring)
    assert list(tmp_path.iterdir()) == []


async def test_a_path_with_odd_characters_is_a_path(tmp_path, keyring):
    made = await Store.create(StorePlace(tmp_path / "50% of #1?mode=memory", None), keyring)
    await add_nodes(made, N1)
    await made.close()
    assert (tmp_path / "50% of #1?mode=memory" / DATABASE_FILE).stat().st_size > 0


async def test_every_connection_syncs_fully_and_holds_foreign_keys(local):
    for lend in (local._database.read, local._database.write):
        async with lend() as connection:
            found = {
                name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


async def test_a_schema_from_a_later_version_is_refused_and_left_alone(local, directory, keyring):
    await local.close()
    with sqlite3.connect(directory / DATABASE_FILE) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StorageError, match="not one that this version knows"):
        await Store.open(StorePlace(directory, None), keyring)


def fail(*_args, **_given):
    raise OSError(5, "Input/output error")


async def test_a_store_that_could_not_be_made_leaves_no_file_in_the_way(directory, keyring, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(v0001_first.op, "create_index", fail)
        with pytest.raises(StorageError):
            await Store.create(StorePlace(directory, None), keyring)
    assert list(directory.iterdir()) == []
    await (await Store.create(StorePlace(directory, None), keyring)).close()


async def test_a_migration_that_fails_half_way_leaves_nothing_and_can_run_again(
    directory, keyring, monkeypatch
):
    directory.mkdir()
    (directory / DATABASE_FILE).touch()
    with monkeypatch.context() as patched:
        patched.setattr(v0001_first.op, "create_index", fail)
        with pytest.raises(StorageError):
            await Store.open(StorePlace(directory, None), keyring)
    with sqlite3.connect(directory / DATABASE_FILE) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == []
    raw.close()
    again = await Store.open(StorePlace(directory, None), keyring)
    async with again._database.read() as connection:
        tables = await connection.run_sync(lambda sync: set(inspect(sync).get_table_names()))
    assert set(metadata.tables) < tables
    await again.close()


async def test_a_file_that_is_no_database_is_an_error_of_the_store(directory, keyring):
    directory.mkdir()
    (directory / DATABASE_FILE).write_bytes(b"what is this" * 1000)
    with pytest.raises(StorageError, match="not a database"):
        await Store.open(StorePlace(directory, None), keyring)


async def test_no_key_ever_stands_in_the_files(local, directory):
    await add_nodes(local, N1)
    record, _ = await local.certificates.add(new_certificate("01"), now_s=1.0)
    await local.certificates.update(record.id, new_certificate("02"), now_s=2.0)
    await local.meta.secret_set("host key", KEY_PEM.encode())
    await publish(local, new_generation(1, text=KEY_PEM))
    secret_line = KEY_PEM.splitlines()[1].encode()
    for turn in ("in the log", "in the database"):
        files = {path.name: path.read_bytes() for path in directory.iterdir()}
        # the test must be able to find what is kept in the clear
        assert any(b"n1.example.com" in body for body in files.values()), turn
        assert [name for name, body in files.items() if secret_line in body or b"PRIVATE KEY" in body] == []
        await local.close()


async def test_another_stores_kek_opens_nothing_and_says_so(local, directory):
    await local.meta.secret_set("host key", b"secret")
    await local.close()
    other = await Store.open(StorePlace(directory, None), Keyring(secrets.token_bytes(32)))
    with pytest.raises(StorageError, match="restore the 'kek' file"):
        await other.meta.secret_get("host key")
    await other.close()


def test_no_module_outside_the_store_speaks_sql():
    root = Path(__file__).parents[3]
    spoken = [
        str(path.relative_to(root))
        for part in ("manager", "common", "nodeagent")
        for path in (root / part).rglob("*.py")
        if "store" not in path.parts
        and re.search(r"^\s*(import|from) (sqlalchemy|sqlite3)", path.read_text(), re.MULTILINE)
    ]
    assert spoken == []
