"""Opens the store at each of the URLs on stdin, one per line, and prints what came of it as JSON; whatever listens there may have garbled answers.

`python -m tests.attacks.store_opener DIRECTORY`. `held_ms` is the longest that the event loop did nothing else, `grown_kib` what memory peaked at
beyond what it was before.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

from common.errors import CertcastError
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import KEK_BYTES, Keyring
from manager.store.store import Store

TICK_S = 0.01


class Held:
    """How long the loop was held at most."""

    longest_s = 0.0

    async def watch(self) -> None:
        while True:
            before_s = time.perf_counter()
            await asyncio.sleep(TICK_S)
            self.longest_s = max(self.longest_s, time.perf_counter() - before_s - TICK_S)


async def opened(url: str, directory: Path) -> dict[str, object]:
    held = Held()
    watching = asyncio.get_running_loop().create_task(held.watch())
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        await (
            await Store.open(StorePlace(directory, ServerAddress.parse(url)), Keyring(bytes(KEK_BYTES)))
        ).close()
        said = {"reason": "", "message": ""}
    except CertcastError as error:
        said = {"reason": error.reason, "message": error.message}
    watching.cancel()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib
    return {**said, "held_ms": round(held.longest_s * 1000), "grown_kib": grown_kib}


async def main() -> None:
    loop = asyncio.get_running_loop()
    while url := (await loop.run_in_executor(None, sys.stdin.readline)).strip():
        print(json.dumps(await opened(url, Path(sys.argv[1]))), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
