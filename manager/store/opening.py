"""Opening a store with its own keyring, for as long as it is needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from manager.store.engine import Database
from manager.store.place import StorePlace
from manager.store.sealing import load_keyring
from manager.store.store import Store, engine_of


@asynccontextmanager
async def open_store(place: StorePlace) -> AsyncIterator[Store]:
    """Lend the store of a place. Raises NotFoundError, StorageError, InvalidInputError."""
    store = await Store.open(place, await asyncio.to_thread(load_keyring, place.directory))
    try:
        yield store
    finally:
        await store.close()


async def check_there(place: StorePlace) -> None:
    """Check that a store exists, without a key and without changing anything.

    Raises NotFoundError, ConflictError, StorageError, InvalidInputError.
    """
    engine = engine_of(place)
    await engine.find()
    database = Database(engine)
    try:
        async with database.read() as connection:
            await engine.check(connection, is_new=False)
    finally:
        await database.close()
