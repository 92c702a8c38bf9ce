"""Opening a store with its own keyring, for as long as it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from manager.store.sealing import load_keyring
from manager.store.store import Store


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Store]:
    """Lend the store of a directory. Raises NotFoundError, StorageError."""
    store = await Store.open(directory, await asyncio.to_thread(load_keyring, directory))
    try:
        yield store
    finally:
        await store.close()
