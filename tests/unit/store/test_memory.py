"""What the store keeps of its file in memory, however many read at once."""

import _sqlite3
import ctypes
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy import text

from manager.store.sqlite import KEPT_KIB, Sqlite

READERS = 15
ROWS, ROW_BYTES = 4_000, 1_000


def in_use_bytes() -> int:
    """What SQLite holds, in the whole process."""
    try:
        used = ctypes.CDLL(_sqlite3.__file__).sqlite3_memory_used
    except (AttributeError, OSError):
        pytest.skip("this Python's SQLite does not tell what it holds")
    used.restype = ctypes.c_int64
    return int(used())


async def test_a_crowd_of_readers_keeps_little_of_the_file_each(tmp_path: Path, record_property):
    engine = Sqlite(tmp_path / "store.db").connect(patient=False)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE kept (body TEXT)"))
        rows = [{"body": f"{number:0{ROW_BYTES}}"} for number in range(ROWS)]
        await connection.execute(text("INSERT INTO kept VALUES (:body)"), rows)
    before = in_use_bytes()
    async with AsyncExitStack() as readers:
        for _ in range(READERS):
            reader = await readers.enter_async_context(engine.connect())
            await reader.execute(text("SELECT max(body) FROM kept"))
        grown = in_use_bytes() - before
    await engine.dispose()
    record_property("held", f"{READERS} readers of {ROWS * ROW_BYTES // 1024} KiB hold {grown // 1024} KiB")
    # and a little for its own
    assert KEPT_KIB * 1024 < grown < READERS * 2 * KEPT_KIB * 1024
