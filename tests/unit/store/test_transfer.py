"""A store that is copied is the same store: every row, every id that was given, every seal, and nothing of the original is touched."""

import os
import secrets
import signal
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from common.codes import Fault
from common.errors import ConflictError, NotFoundError, StorageError
from common.ids import MANAGEMENT_NODE, NodeName
from manager.domain.members import HoldRequest
from manager.store import copying
from manager.store import transfer as transferring
from manager.store.claims import claim_file
from manager.store.copying import CopyProgress, compare_rows
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring
from manager.store.serving import ServingClaim
from manager.store.store import Store
from manager.store.tables.running import RUNNING
from manager.store.transfer import transfer
from tests.patience import exit_code
from tests.postgres import NEEDED
from tests.stores import contents, fill_every_table
from tests.unit.store.given import KEY_PEM, NOW_S, add_nodes, new_certificate

N9 = NodeName("n9")


def files_of(directory: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if not path.name.endswith("-shm")}


def write_and_be_killed(directory: Path) -> None:
    pid = os.fork()
    if pid == 0:
        with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw:
            raw.execute("INSERT INTO meta (name, value) VALUES ('value:late', x'6c617465')")
            raw.commit()
            os.kill(os.getpid(), signal.SIGKILL)
    assert exit_code(pid) == -signal.SIGKILL


@pytest.fixture
def source(directory: Path) -> StorePlace:
    return StorePlace(directory, None)


@pytest.fixture
def target(tmp_path: Path) -> StorePlace:
    return StorePlace(tmp_path / "copy", None)


@pytest.fixture
async def filled(local: Store, source: StorePlace) -> StorePlace:
    """A store with something in every table, which nobody serves."""
    await fill_every_table(local)
    await local.certificates.add(new_certificate(), now_s=NOW_S)
    await local.close()
    return source


async def copy(
    source: StorePlace,
    target: StorePlace,
    keyring: Keyring,
    *,
    alone: bool = True,
    report=copying.ignore_progress,
):
    return await transfer(source, target, keyring, alone=alone, report=report)


async def test_every_row_of_every_table_and_every_id_that_was_given_is_in_the_copy(filled, target, keyring):
    before = files_of(filled.directory)
    made = await copy(filled, target, keyring)
    there = await contents(target)
    assert there == await contents(filled)
    assert made.rows == sum(len(rows) for name, rows in there.items() if name != "ids given")
    assert [name for name, rows in there.items() if not rows] == []
    assert files_of(filled.directory) | {"serving.lock": b""} == before | {"serving.lock": b""}


async def test_sealed_keys_open_in_the_copy_its_audit_log_fits_and_its_epoch_is_the_same(
    local, source, target, keyring
):
    record, _ = await local.certificates.add(new_certificate(), now_s=NOW_S)
    await local.meta.secret_set("host key", b"secret")
    await local.meta.bump_epoch()
    for number in range(5):
        await local.audit.append(at_s=number, actor="ann", action="done", subject="x")
    await local.close()
    made = await copy(source, target, keyring)
    assert (made.audit.fault, made.audit.count) == (Fault.NONE, 5)
    store = await Store.open(target, keyring)
    assert await store.certificates.private_key(record.id) == KEY_PEM
    assert await store.meta.secret_get("host key") == b"secret"
    assert await store.meta.epoch() == 2
    await store.audit.append(at_s=9, actor="ann", action="done", subject="x")
    assert (await store.audit.verify()).fault is Fault.NONE
    await store.close()


async def test_an_id_that_was_given_is_not_given_again_by_the_copy(local, source, target, keyring):
    record, _ = await local.certificates.add(new_certificate("01"), now_s=NOW_S)
    await local.certificates.delete([record.id], even_assigned=False)
    await local.close()
    await copy(source, target, keyring)
    store = await Store.open(target, keyring)
    again, _ = await store.certificates.add(new_certificate("02"), now_s=NOW_S)
    assert again.id > record.id
    await store.close()


async def test_managers_that_run_are_not_copied_and_their_numbers_go_on(filled, target, keyring):
    store = await Store.open(filled, keyring)
    await add_nodes(store, N9)
    greeting = HoldRequest(
        node=N9,
        node_id=(await store.nodes.get(N9)).id,
        address="",
        agent_version="",
        instance="",
        displaces=False,
    )
    member = await store.members.join(N9)
    store.act_as(member)
    number = (await store.holds.take([greeting]))[N9].number
    await store.close()
    await copy(filled, target, keyring)
    copied = await Store.open(target, keyring)
    async with copied._database.read() as connection:
        for table in RUNNING:
            assert (await connection.execute(table.select())).all() == []
    again = await copied.members.join(N9)
    copied.act_as(again)
    assert again > member
    assert (await copied.holds.take([greeting]))[N9].number > number
    await copied.close()


async def test_what_a_killed_manager_left_in_its_log_is_copied_and_stays_there(
    local, source, target, keyring, directory
):
    await fill_every_table(local)
    write_and_be_killed(directory)
    killed = StorePlace(directory.parent / "killed", None)
    killed.directory.mkdir()
    for name, content in files_of(directory).items():
        (killed.directory / name).write_bytes(content)
    before = files_of(killed.directory)
    assert before[f"{DATABASE_FILE}-wal"]
    for alone in (True, False):
        place = StorePlace(target.directory / str(alone), None)
        target.directory.mkdir(exist_ok=True)
        await copy(killed, place, keyring, alone=alone)
        assert {"name": "value:late", "value": b"late"} in (await contents(place))["meta"]
        after = files_of(killed.directory)
        assert {name: after[name] for name in before} == before


async def test_a_store_that_is_served_is_not_moved_and_one_that_is_moved_is_not_served(
    filled, target, keyring
):
    async with ServingClaim(filled, MANAGEMENT_NODE):
        with pytest.raises(ConflictError, match="stop every manager that serves it first"):
            await ServingClaim(filled, MANAGEMENT_NODE).__aenter__()
        with pytest.raises(ConflictError, match="a manager serves the store in"):
            await copy(filled, target, keyring)
        assert not target.directory.exists()
        await copy(filled, target, keyring, alone=False)

    tried = []

    def begin(progress: CopyProgress) -> None:
        with (
            pytest.raises(ConflictError, match="is being copied to another place"),
            claim_file(filled.directory / DATABASE_FILE),
        ):
            pass
        tried.append(progress)

    await copy(filled, StorePlace(target.directory / "second", None), keyring, report=begin)
    assert tried


async def test_nothing_is_written_to_a_store_while_it_is_moved(filled, target, keyring):
    outcomes = set()

    def write(_progress: CopyProgress) -> None:
        with closing(sqlite3.connect(filled.directory / DATABASE_FILE, timeout=0)) as other:
            try:
                other.execute("DELETE FROM session")
            except sqlite3.OperationalError as error:
                outcomes.add(str(error))
            else:
                outcomes.add("written")

    await copy(filled, target, keyring, report=write)
    assert outcomes == {"database is locked"}


@contextmanager
def changed(directory: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(directory / DATABASE_FILE)) as raw, raw:
        yield raw


@pytest.mark.parametrize(
    ("table", "change", "said"),
    [
        (
            "certificate",
            'UPDATE certificate SET note = note || "x" WHERE id = 1004',
            "entry 1004 of 'certificate'",
        ),
        ("meta", "UPDATE meta SET value = x'00' WHERE name = 'epoch'", "an entry of 'meta'"),
        ("session", "DELETE FROM session WHERE user_id = 1003", "an entry of 'session'"),
        (
            "report",
            "UPDATE report SET at_s = at_s + 1e-15 WHERE node_id = 1002",
            "entry 1002 of 'report'",
        ),
        (
            "session",
            "INSERT INTO session SELECT 'more', user_id, created_s, seen_s, source FROM session LIMIT 1",
            "8 rows in its table 'session', and the store 7",
        ),
        ("ids", "UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'node'", "would give ids again"),
    ],
)
async def test_whatever_differs_in_a_copy_is_found_and_named(
    filled, target, keyring, monkeypatch, table, change, said
):
    async def compare_altered(source, target, copied, report) -> None:
        await target.connection.exec_driver_sql(change)
        await compare_rows(source, target, copied, report)

    store = await Store.open(filled, keyring)
    await store.meta.bump_epoch()
    await store.close()
    monkeypatch.setattr(transferring, "compare_rows", compare_altered)
    with pytest.raises(StorageError, match=said):
        await copy(filled, target, keyring)
    assert list(target.directory.iterdir()) == []


async def test_a_row_that_the_target_cannot_keep_is_named_and_there_is_no_copy(filled, target, keyring):
    with changed(filled.directory) as raw:
        raw.execute("PRAGMA foreign_keys=OFF")
        raw.execute("UPDATE report SET node_id = 77 WHERE node_id = 1003")
    with pytest.raises(StorageError, match="entry 77 of 'report' cannot be kept there"):
        await copy(filled, target, keyring)
    assert list(target.directory.iterdir()) == []


@NEEDED
async def test_a_table_that_somebody_made_in_the_file_is_not_in_the_way(filled, database, tmp_path, keyring):
    with changed(filled.directory) as raw:
        raw.execute("CREATE TABLE extra (id INTEGER PRIMARY KEY AUTOINCREMENT)")
        raw.execute("INSERT INTO extra DEFAULT VALUES")
    there = StorePlace(tmp_path, database)
    await copy(filled, there, keyring)
    assert await contents(there) == await contents(filled)


async def test_a_place_that_has_a_store_is_not_copied_to(filled, target, keyring):
    await (await Store.create(target, keyring)).close()
    before = files_of(target.directory)
    with pytest.raises(ConflictError, match="already holds a manager's store"):
        await copy(filled, target, keyring)
    assert files_of(target.directory) == before


async def test_where_there_is_no_store_there_is_nothing_to_copy(tmp_path, target, keyring):
    with pytest.raises(NotFoundError):
        await copy(StorePlace(tmp_path, None), target, keyring)
    assert not target.directory.exists()


async def test_a_store_of_another_version_is_not_copied_and_not_brought_up_to_date(filled, target, keyring):
    with changed(filled.directory) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '0013'")
    before = files_of(filled.directory)
    with pytest.raises(ConflictError, match="has the schema of another version"):
        await copy(filled, target, keyring)
    assert files_of(filled.directory)[DATABASE_FILE] == before[DATABASE_FILE]


async def test_a_key_that_does_not_open_the_store_is_said_before_anything_is_copied(filled, target):
    with pytest.raises(StorageError, match="restore the 'kek' file"):
        await copy(filled, target, Keyring(secrets.token_bytes(32)))
    assert not target.directory.exists()


async def test_how_far_a_copy_is_rises_to_the_end(filled, target, keyring):
    said: list[CopyProgress] = []
    made = await copy(filled, target, keyring, report=said.append)
    for step in ("copied", "compared"):
        done = [each.done for each in said if each.step == step]
        assert done == sorted(done)
        assert done[-1] == made.rows
    assert {each.total for each in said} == {made.rows}
