"""A store in a directory of its own for each test."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(secrets.token_bytes(32))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
async def local(directory: Path, keyring: Keyring) -> AsyncIterator[Store]:
    """A store on SQLite, always."""
    store = await Store.create(StorePlace(directory, None), keyring)
    yield store
    await store.close()


@pytest.fixture
async def store(directory: Path, keyring: Keyring) -> AsyncIterator[Store]:
    made = await Store.create(StorePlace(directory, None), keyring)
    yield made
    await made.close()
