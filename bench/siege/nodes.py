"""The honest simulated nodes' process: `python -m bench.siege.nodes TARGET.json`; prints its counts as JSON on SIGTERM.

They run the real receiver and frames over real SSH, speak every minute, and dial again when cut off, as the real agent does.
One that is well hangs up now and then and comes back, since nodes are restarted during attacks, too.
"""

import asyncio
import json
import random
import sys
import time
from pathlib import Path
from typing import Final

from bench.fleet import raise_file_limit
from bench.siege.stopping import run_until_stopped
from bench.siege.target import Target
from common.errors import AccessError, UnreachableError
from common.ids import NodeName
from common.runtime import log as logs
from common.runtime.ssh import load_key
from nodeagent.channel.dial import DIAL_TIMEOUT_S, connect
from nodeagent.channel.identity import Identity
from tests.fakes.simulator import NodeSimulator

AT_ONCE: Final = 20
TICK_S: Final = 60.0
RETURN_S: Final = 2.0
"""Every so often one of the nodes hangs up and comes back."""

RETRY_S: Final = 1.0


class _Node(NodeSimulator):
    def __init__(self, name: NodeName) -> None:
        super().__init__(name)
        self.gone = asyncio.Event()

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.gone.set()


class Crowd:
    """All of them, and what they noticed."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._places = asyncio.Semaphore(AT_ONCE)
        self._leaving: set[NodeName] = set()
        self._nodes: list[_Node] = []
        self.refused: list[str] = []
        self.cut_off = 0
        self.returns_s: list[float] = []

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for name, key in self._target.keys.items():
                group.create_task(self._live(NodeName(name), key))
            group.create_task(self._come_and_go())

    async def _live(self, name: NodeName, key: str) -> None:
        identity = Identity(
            node=name,
            addresses=(f"127.0.0.1:{self._target.ssh}",),
            host_keys=(self._target.host_key,),
            key=load_key(key.encode()),
        )
        node = _Node(name)
        self._nodes.append(node)
        while True:
            started = time.monotonic()
            await self._dial(node, identity)
            self.returns_s.append(time.monotonic() - started)
            while not node.gone.is_set():
                try:
                    async with asyncio.timeout(TICK_S):
                        await node.gone.wait()
                except TimeoutError:
                    node.tick()
            if name in self._leaving:
                self._leaving.discard(name)
            else:
                self.cut_off += 1

    async def _dial(self, node: _Node, identity: Identity) -> None:
        while True:
            node.gone.clear()
            try:
                async with self._places:
                    node.greet(await connect(identity, peer=node, timeout_s=DIAL_TIMEOUT_S))
            except (UnreachableError, AccessError) as error:
                self.refused.append(error.message)
                await asyncio.sleep(RETRY_S)
            else:
                return

    async def _come_and_go(self) -> None:
        while True:
            await asyncio.sleep(RETURN_S)
            node = random.choice(self._nodes)
            if node.transport is not None and not node.gone.is_set():
                self._leaving.add(node.name)
                node.transport.close()


async def main(target: Target) -> None:
    """Run until SIGTERM, then print what was noticed."""
    raise_file_limit()
    logs.configure(level="error")
    crowd = Crowd(target)
    await run_until_stopped(crowd.run())
    found = {
        "refused": len(crowd.refused),
        "refusals": sorted(set(crowd.refused))[:5],
        "cut_off": crowd.cut_off,
        "slowest_return_s": max(crowd.returns_s, default=0.0),
        "returns": len(crowd.returns_s),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Target.load(Path(sys.argv[1]))))
