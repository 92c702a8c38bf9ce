"""A store in a directory of its own for each test.

Where CERTCAST_TEST_DATABASE_URL names a database ("postgresql+asyncpg://..."), what tests of `store` say is tried there
instead; every table in it is dropped first.
"""

import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from manager.store.engine import Database
from manager.store.sealing import Keyring
from manager.store.store import Store
from manager.store.tables import metadata

DATABASE_URL = os.environ.get("CERTCAST_TEST_DATABASE_URL")


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(secrets.token_bytes(32))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def local(directory: Path, keyring: Keyring) -> AsyncIterator[Store]:
    """A store on SQLite, always."""
    store = await Store.create(directory, keyring)
    yield store
    await store.close()


@pytest.fixture
async def store(directory: Path, keyring: Keyring) -> AsyncIterator[Store]:
    """A store on whatever database is tried."""
    if DATABASE_URL is None:
        made = await Store.create(directory, keyring)
    else:
        database = Database(DATABASE_URL)
        async with database.write() as connection:
            await connection.run_sync(metadata.drop_all)
            await connection.execute(text("DROP TABLE IF EXISTS alembic_version"))
        await database.close()
        made = await Store.connect(DATABASE_URL, keyring)
    yield made
    await made.close()
