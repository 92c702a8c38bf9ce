"""A full disk is reported as such, loses nothing, leaves reading alone, and is over when there is space again."""

import gc
import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from common.errors import Reason, StorageError
from common.ids import NodeName
from manager.store.place import StorePlace
from manager.store.sealing import KEK_BYTES, Keyring, create_kek
from manager.store.store import Store
from tests.patience import PATIENCE_S

BODY = os.urandom(64 * 1024)
SIZE_BYTES = 4 * 1024 * 1024
ENOUGH = 1000
"""More of these than fit into any of the limits here."""


async def fill(store: Store) -> int:
    """Keep secrets until there is no space; return how many were kept."""

    async def keep_all() -> None:
        for number in range(ENOUGH):
            await store.meta.secret_set(f"s{number}", BODY)
            kept.append(number)

    kept: list[int] = []
    with pytest.raises(StorageError, match="free space") as caught:
        await keep_all()
    assert caught.value.reason is Reason.NO_SPACE
    return len(kept)


async def check_readable(store: Store, kept: int) -> None:
    assert await store.meta.secret_get(f"s{kept}") is None
    assert [await store.meta.secret_get(f"s{number}") for number in range(kept)] == [BODY] * kept
    assert await store.nodes.list() == []
    assert await store.generations.latest() == {}


async def test_a_database_at_its_limit_still_answers_and_then_writes_again(tmp_path):
    store = await Store.create(StorePlace(tmp_path / "data", None), Keyring(secrets.token_bytes(KEK_BYTES)))
    limit = 200

    def set_limit(connection, *_rest) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={limit}")
        cursor.close()

    event.listen(store._database._pool.sync_engine, "checkout", set_limit)
    kept = await fill(store)
    assert kept
    await check_readable(store, kept)
    limit = 100_000
    await store.meta.secret_set(f"s{kept}", BODY)
    await store.check()
    await store.close()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if mount("-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(disk)):
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield disk
    finally:
        # the trace of an error keeps the cursor that failed, and that the file
        gc.collect()
        subprocess.run(["umount", str(disk)], check=True, timeout=PATIENCE_S)


def mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], check=False, timeout=PATIENCE_S).returncode


@pytest.mark.services("root", "mount", "umount")
async def test_on_a_full_disk_the_store_reads_opens_and_recovers(small):
    keyring = Keyring(secrets.token_bytes(KEK_BYTES))
    store = await Store.create(StorePlace(small / "data", None), keyring)
    kept = await fill(store)
    assert kept
    await check_readable(store, kept)
    again = await Store.open(StorePlace(small / "data", None), keyring)
    await check_readable(again, kept)
    await again.close()
    await store.close()
    assert mount("-o", f"remount,size={4 * SIZE_BYTES}", str(small)) == 0
    store = await Store.open(StorePlace(small / "data", None), keyring)
    await store.meta.secret_set(f"s{kept}", BODY)
    await store.nodes.add(NodeName("n1"), "node", names=[], addresses=[], now_s=1.0)
    await store.close()


@pytest.mark.services("root", "mount", "umount")
async def test_health_says_that_room_runs_out_while_small_changes_are_still_kept(small):
    store = await Store.create(StorePlace(small / "data", None), Keyring(secrets.token_bytes(KEK_BYTES)))
    await store.meta.secret_set("small", b"kept")
    with pytest.raises(StorageError, match="less than 16 MiB left; free space") as caught:
        await store.check()
    assert caught.value.reason is Reason.NO_SPACE
    assert mount("-o", f"remount,size={8 * SIZE_BYTES}", str(small)) == 0
    await store.check()
    await store.close()


@pytest.mark.parametrize("pages_left", [0, 1, 2, 8, 12])
@pytest.mark.services("root", "mount", "umount")
async def test_a_full_disk_is_reported_when_a_store_is_made(small, pages_left):
    directory = small / "data"
    directory.mkdir()
    (small / "filler").write_bytes(b"x" * (SIZE_BYTES - 4096 * pages_left))
    with pytest.raises(StorageError) as caught:
        await Store.create(StorePlace(directory, None), Keyring(secrets.token_bytes(KEK_BYTES)))
    assert caught.value.reason is Reason.NO_SPACE
    assert list(directory.iterdir()) == []


@pytest.mark.services("root", "mount", "umount")
def test_a_full_disk_is_reported_when_a_kek_is_made(small):
    directory = small / "data"
    directory.mkdir()
    (small / "filler").write_bytes(b"x" * SIZE_BYTES)
    with pytest.raises(StorageError) as caught:
        create_kek(directory)
    assert caught.value.reason is Reason.NO_SPACE
