"""A process that stands in the middle of a change until it is told to go on; it is stopped there.

`python -m tests.integration.postgresql.slow_writer URL DIRECTORY KEK`.
"""

import asyncio
import sys
from pathlib import Path

from common.errors import StorageError
from manager.store import postgresql
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.unit.store.given import N1, N2, add_nodes


async def main(url: str, directory: Path, kek: bytes) -> None:
    postgresql.HANG_S = 1
    store = await Store.open(StorePlace(directory, ServerAddress.parse(url)), Keyring(kek))
    try:
        async with store.transaction():
            await add_nodes(store, N1)
            print("inside", flush=True)  # noqa: T201 - the test waits for it
            sys.stdin.readline()
            await add_nodes(store, N2)
    except StorageError as error:
        print(error.reason, error.message, flush=True)  # noqa: T201 - and for this


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), bytes.fromhex(sys.argv[3])))
