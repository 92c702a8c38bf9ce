"""Kill a process while it writes, and cut the power under it; everything that it acknowledged is there.

A kill shows that a transaction is whole or not there. That data was synced only a power cut shows: an ext4 filesystem on
a loop device is shut down without flushing its log.
"""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.bundle.manifest import parse_manifest
from common.runtime import durable
from manager.store.place import StorePlace
from manager.store.sealing import create_kek, load_keyring
from manager.store.store import Store
from tests.crash.power import Disk
from tests.patience import PATIENCE_S

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _no_credential(monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


async def make_store(directory: Path) -> None:
    durable.make_dir(directory, 0o700)
    create_kek(directory)
    await (await Store.create(StorePlace(directory, None), load_keyring(directory))).close()


@contextlib.contextmanager
def writer(directory: Path, turn: int) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "tests.crash.store_writer", str(directory), f"t{turn}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def read_names(process: subprocess.Popen, count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().decode().strip() for _ in range(count)]


def kill_and_read_rest(process: subprocess.Popen) -> list[str]:
    process.kill()
    assert process.stdout is not None
    rest = process.stdout.read().decode().split()
    assert process.wait(PATIENCE_S) == -signal.SIGKILL
    return rest


async def check_whole(directory: Path, acknowledged: list[str]) -> None:
    """Every acknowledged write is there, and whatever else is there is whole; the next write works."""
    assert all(acknowledged)
    store = await Store.open(StorePlace(directory, None), load_keyring(directory))
    try:
        latest = await store.generations.latest()
        assert [name for name in acknowledged if name not in latest] == []
        for record in latest.values():
            digests = {entry.digest for entry in parse_manifest(record.manifest).entries}
            assert set(await store.generations.payloads(digests)) == digests
        assert (await store.audit.verify()).broken_at is None
        audited = {record.subject for record in await store.audit.list(limit=1_000_000)}
        assert [name for name in acknowledged if name not in audited] == []
        await store.check()
    finally:
        await store.close()


async def test_what_was_acknowledged_before_a_kill_is_there_after_it(tmp_path):
    directory = tmp_path / "data"
    await make_store(directory)
    acknowledged: list[str] = []
    for turn, count in enumerate((1, 7, 20)):
        with writer(directory, turn) as process:
            acknowledged += read_names(process, count)
            acknowledged += kill_and_read_rest(process)
        await check_whole(directory, acknowledged)


@pytest.mark.services("root", "mkfs.ext4", "mount", "umount")
async def test_what_was_acknowledged_before_a_power_cut_is_there_after_it(tmp_path):
    disk = Disk(tmp_path, "ext4")
    with disk.mounted():
        await make_store(disk.path / "data")
    acknowledged: list[str] = []
    for turn, count in enumerate((0, 1, 12, 25)):
        with disk.mounted(), writer(disk.path / "data", turn) as process:
            acknowledged += read_names(process, count)
            disk.cut_power()
            acknowledged += kill_and_read_rest(process)
        with disk.mounted():
            await check_whole(disk.path / "data", acknowledged)


@pytest.mark.services("root", "mkfs.ext4", "mount", "umount")
async def test_a_store_is_there_once_it_was_made_whatever_happens_then(tmp_path):
    disk = Disk(tmp_path, "ext4")
    with disk.mounted():
        durable.make_dir(disk.path / "data", 0o700)
        create_kek(disk.path / "data")
        store = await Store.create(StorePlace(disk.path / "data", None), load_keyring(disk.path / "data"))
        await store.meta.secret_set("host key", b"secret")
        disk.cut_power()
        # it cannot write any more, and may say so when it is closed
        with contextlib.suppress(Exception):
            await store.close()
    with disk.mounted():
        again = await Store.open(StorePlace(disk.path / "data", None), load_keyring(disk.path / "data"))
        assert await again.meta.secret_get("host key") == b"secret"
        await again.close()
