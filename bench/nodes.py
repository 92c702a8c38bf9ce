"""Simulated nodes in a process of their own: `python -m bench.nodes PORT KEYS.json HOST-KEY-LINE`."""

import asyncio
import json
import sys
from pathlib import Path

from bench.fleet import raise_file_limit
from common.errors import UnreachableError
from common.ids import NodeName
from common.runtime.ssh import load_key
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from tests.fakes.simulator import NodeSimulator

AT_ONCE = 100


async def main(port: int, keys: Path, host_line: str) -> None:
    """Connect all nodes and let them do what they are told until the process is ended."""
    raise_file_limit()
    places = asyncio.Semaphore(AT_ONCE)

    async def dial(name: str, key: str) -> None:
        identity = Identity(
            node=NodeName(name),
            addresses=(f"127.0.0.1:{port}",),
            host_keys=(host_line,),
            key=load_key(key.encode()),
        )
        node = NodeSimulator(NodeName(name))
        while True:
            try:
                async with places:
                    node.greet(await connect(identity, peer=node, timeout_s=60))
            except UnreachableError:
                await asyncio.sleep(0.2)
                continue
            return

    async with asyncio.TaskGroup() as group:
        for name, key in json.loads(await asyncio.to_thread(keys.read_text)).items():
            group.create_task(dial(name, key))
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
