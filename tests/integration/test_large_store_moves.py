"""A store of 10,000 certificates moves between the engines, and is backed up, in reasonable time and memory."""

import resource
import time
from pathlib import Path

import pytest
from sqlalchemy import insert

from common.runtime import durable
from manager.copies import back_up, move
from manager.store.copying import ignore_progress
from manager.store.place import DATABASE_FILE, StorePlace
from manager.store.sealing import Keyring, create_kek, load_keyring
from manager.store.store import Store
from manager.store.tables.content import certificate
from tests.postgres import NEEDED
from tests.stores import contents, row_of

CERTIFICATES = 10_000
TEXT = "-----BEGIN CERTIFICATE-----\n" + "MIIFazCCA1OgAwIBAgIRAIIQz7DSQONZRGPgu2OCiwAw\n" * 80
"""As long as a leaf with its chain."""

MEMORY_MAX_BYTES = 64 * 1024 * 1024
"""What copying may add; all certificates take 70 MB."""


async def fill(place: StorePlace, keyring: Keyring) -> None:
    store = await Store.create(place, keyring)
    async with store.side() as side:
        for begin in range(0, CERTIFICATES, 500):
            rows = [
                {
                    **row_of(certificate, number),
                    "text": f"{number}\n{TEXT}",
                    "leaf_pem": TEXT[:2000],
                    "chain_pem": TEXT[2000:],
                }
                for number in range(begin, begin + 500)
            ]
            await side.connection.execute(insert(certificate), rows)
    await store.close()


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@NEEDED
@pytest.mark.slow
async def test_a_store_of_ten_thousand_certificates_moves_both_ways_in_bounded_memory(
    tmp_path: Path, database, record_property
):
    data = tmp_path / "data"
    durable.make_dir(data, 0o700)
    create_kek(data)
    file, server = StorePlace(data, None), StorePlace(data, database)
    await fill(file, load_keyring(data))
    before = peak_bytes()
    figures = {}
    for name, step in {
        "SQLite to PostgreSQL": lambda: move(file, server, ignore_progress),
        "PostgreSQL to SQLite": lambda: move(server, file, ignore_progress),
        "backup of PostgreSQL": lambda: back_up(server, tmp_path / "backup", ignore_progress),
    }.items():
        if name == "PostgreSQL to SQLite":
            (data / DATABASE_FILE).rename(tmp_path / "original.db")
        (tmp_path / "backup").mkdir(mode=0o700, exist_ok=True)
        begun_s, begun_cpu_s = time.perf_counter(), time.process_time()
        await step()
        figures[name] = (
            f"{time.perf_counter() - begun_s:.1f} s ({time.process_time() - begun_cpu_s:.1f} s of CPU)"
        )
    added = peak_bytes() - before
    for name, figure in {**figures, "memory added": f"{added / 2**20:.0f} MiB"}.items():
        record_property(name, figure)
    assert added < MEMORY_MAX_BYTES
    assert await contents(StorePlace(tmp_path / "backup", None)) == await contents(server)
