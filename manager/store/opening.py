"""Opening a store with its own keyring, for as long as it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from manager.store.place import StorePlace
from manager.store.sealing import load_keyring
from manager.store.store import Store


@asynccontextmanager
async def opened(place: StorePlace) -> AsyncIterator[Store]:
    """Lend the store of a place. Raises NotFoundError, StorageError, InvalidInputError."""
    store = await Store.open(place, await asyncio.to_thread(load_keyring, place.directory))
    try:
        yield store
    finally:
        await store.close()
