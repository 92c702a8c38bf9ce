"""A process that writes to a store and says so after each write, until it is killed.

`python -m tests.crash.store_writer DIRECTORY ROUND`; a line "ROUND-NUMBER" on standard output means: that one is kept.
"""

import asyncio
import os
import sys
from pathlib import Path

from common.bundle.manifest import canonical
from common.ids import NodeName
from manager.store.place import StorePlace
from manager.store.records import NewGeneration
from manager.store.sealing import load_keyring
from manager.store.store import Store
from tests.bundles import opaque_bundle


async def main(directory: Path, turn: str) -> None:
    store = await Store.open(StorePlace(directory, None), load_keyring(directory))
    for number in range(1_000_000):
        name = NodeName(f"{turn}-{number}")
        record = await store.nodes.add(name, "node", names=[], addresses=[], now_s=1.0)
        bundle = opaque_bundle(name, node=name)
        await store.generations.publish(
            [
                NewGeneration(
                    node=name,
                    node_id=record.id,
                    follows=0,
                    epoch=1,
                    generation=1,
                    digest=bundle.manifest.digest,
                    manifest=canonical(bundle.manifest),
                    payloads=bundle.payloads,
                    secrets=frozenset(each.digest for each in bundle.manifest.entries if each.secret),
                    cause="test",
                    created_s=1.0,
                )
            ]
        )
        await store.audit.append(at_s=1.0, actor="writer", action="published", subject=name)
        # one write(2), no buffer: what the reader got was acknowledged
        os.write(1, f"{name}\n".encode())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
