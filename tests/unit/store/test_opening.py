import asyncio
import re
import secrets
import sqlite3
from pathlib import Path

import pytest
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from common.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from manager.store import server_checks
from manager.store.migrations.versions import v0001_first
from manager.store.missing import NoStoreError
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.store.tables import metadata
from tests.postgres import NEEDED
from tests.unit.store.given import KEY_PEM, N1, add_nodes, new_certificate, new_generation, publish


async def test_a_new_store_has_exactly_the_tables_that_the_code_declares(store):
    async with store._database.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    assert differences == []


async def test_what_was_kept_is_there_after_the_store_is_opened_again(store, place, keyring):
    await add_nodes(store, N1)
    await store.close()
    again = await Store.open(place, keyring)
    assert [record.name for record in await again.nodes.list()] == [N1]
    await again.close()


async def test_the_database_and_what_sqlite_puts_beside_it_are_for_their_owner_only(local, directory):
    await add_nodes(local, N1)
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {DATABASE_FILE: 0o600, f"{DATABASE_FILE}-wal": 0o600, f"{DATABASE_FILE}-shm": 0o600}
    assert directory.stat().st_mode & 0o777 == 0o700


async def test_a_place_that_holds_a_store_is_not_used_for_another(store, place, keyring):
    await add_nodes(store, N1)
    with pytest.raises(ConflictError, match="holds a manager's store"):
        await Store.create(place, keyring)
    assert await store.nodes.get(N1)


async def test_that_there_is_no_store_is_told_of_its_kind(empty_place, keyring):
    with pytest.raises(NoStoreError, match=r"there is no store (at|in the database) "):
        await Store.open(empty_place, keyring)
    await (await Store.create(empty_place, keyring)).close()


async def test_what_a_new_store_has_is_made_with_its_tables_or_nothing_is(empty_place, keyring):
    async def fill(store: Store) -> None:
        await store.meta.secret_set("host key", b"secret")
        await add_nodes(store, N1)

    async def fail_half_way(store: Store) -> None:
        await fill(store)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Store.create(empty_place, keyring, fill=fail_half_way)
    with pytest.raises(NotFoundError):
        await Store.open(empty_place, keyring)
    made = await Store.create(empty_place, keyring, fill=fill)
    assert await made.meta.secret_get("host key") == b"secret"
    assert [record.name for record in await made.nodes.list()] == [N1]
    await made.close()


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


async def test_of_two_managers_that_bring_a_schema_up_to_date_at_once_one_does(
    empty_place, keyring, monkeypatch
):
    to_head, added = command.upgrade, []
    with monkeypatch.context() as patched:
        patched.setattr(command, "upgrade", lambda config, _revision: to_head(config, "0012"))
        await (await Store.create(empty_place, keyring)).close()
    add_column = op.add_column
    monkeypatch.setattr(op, "add_column", lambda *given: (added.append(given[0]), add_column(*given)))
    opened = await asyncio.gather(*(Store.open(empty_place, keyring) for _ in range(4)))
    for each in opened:
        await each.check()
        await each.close()
    assert added == ["certificate"]


def fail(*_args, **_given):
    raise OSError(5, "Input/output error")


async def test_a_store_that_could_not_be_made_leaves_nothing_in_the_way(empty_place, keyring, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(v0001_first.op, "create_index", fail)
        with pytest.raises(StorageError):
            await Store.create(empty_place, keyring)
    assert list(empty_place.directory.iterdir()) == []
    await (await Store.create(empty_place, keyring)).close()


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


async def test_another_stores_kek_opens_nothing_and_says_so(store, place):
    await store.meta.secret_set("host key", b"secret")
    other = await Store.open(place, Keyring(secrets.token_bytes(32)))
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


@NEEDED
async def test_a_database_with_other_tables_is_left_alone(database, tmp_path, keyring, cluster):
    cluster.sql(
        "CREATE TABLE theirs (id int); CREATE TABLE alembic_version (version_num text)",
        database=database.name,
    )
    for attempt in (Store.create, Store.open):
        with pytest.raises(ConflictError, match=r"not Certcast's \(alembic_version, theirs\)"):
            await attempt(StorePlace(tmp_path, database), keyring)
    assert (
        cluster.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'", database=database.name)
        == "2"
    )


@NEEDED
async def test_a_database_in_another_encoding_is_refused_and_told_how_to_make_one(cluster, tmp_path, keyring):
    more = "ENCODING 'SQL_ASCII' LOCALE_PROVIDER libc LOCALE 'C'"
    shown = pytest.raises(InvalidInputError, match="encoding SQL_ASCII, and must have UTF8")
    with cluster.lent_database(more=more) as address, shown as caught:
        await Store.create(StorePlace(tmp_path, address), keyring)
    assert caught.value.field == "database"


@NEEDED
async def test_a_server_that_is_too_old_is_refused(database, tmp_path, keyring, monkeypatch):
    monkeypatch.setattr(server_checks, "SERVER_VERSION_MIN", 99)
    with pytest.raises(InvalidInputError, match="must be 99 or later"):
        await Store.create(StorePlace(tmp_path, database), keyring)


@NEEDED
async def test_every_connection_to_a_server_says_how_long_anything_may_take(
    store_database, tmp_path, keyring
):
    made = await Store.open(StorePlace(tmp_path, store_database), keyring)
    expected = {
        "statement_timeout": "20s",
        "lock_timeout": "15s",
        "idle_in_transaction_session_timeout": "10s",
        "synchronous_commit": "on",
        "TimeZone": "UTC",
        "application_name": "certcast-manager",
    }
    for lend, more in (
        (made._database.read, {"transaction_isolation": "repeatable read", "transaction_read_only": "on"}),
        (made._database.write, {"transaction_isolation": "read committed", "transaction_read_only": "off"}),
    ):
        async with lend() as connection:
            found = {
                name: (await connection.exec_driver_sql(f"SHOW {name}")).scalar()
                for name in (*expected, "transaction_isolation", "transaction_read_only")
            }
        assert found == expected | more
    await made.close()
