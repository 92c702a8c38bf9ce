"""Many simulated nodes in a process of their own: `python -m bench.full.herd PORT[,PORT...] KEYS.json HOST-KEY-LINE`.

They run the agent's dialling, receiver and frames over real SSH, tick each minute and come back as agents do; what they get is hashed, and kept once for all. Each line on standard input is a question in JSON, answered by one line; `QUESTIONS` names them.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from bench.fleet import raise_file_limit
from common.errors import CertcastError
from common.ids import Digest, NodeName
from common.runtime.ssh import load_key
from common.wire.contact import GO_ELSEWHERE
from common.wire.receiver import Command, Disconnect, Install
from nodeagent.channel.backoff import Backoff
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from nodeagent.channel.route import AddressOrder
from tests.fakes.localstate import MemoryLocalState
from tests.fakes.simulator import NodeSimulator

TICK_S: Final = 60.0
LOOK_S: Final = 0.01

STARTED_PER_S: Final = 250.0
"""Nodes that dial for the first time in a second. A process that computed thousands of handshakes at once would only run out of time with each."""

_bodies: dict[Digest, bytes] = {}


class Node(NodeSimulator):
    """One node, for as long as the process runs."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity.node, local=MemoryLocalState())
        self._identity = identity
        self._backoff = Backoff(random.uniform)
        self._over = asyncio.Event()
        self._retry_after_s = 0.0
        self.welcomed_s = 0.0
        self.installed_s: dict[str, float] = {}
        """When each leaf was installed, by its fingerprint; monotonic seconds, which all processes of a machine share."""
        self.history: list[tuple[float, int, int, str, str]] = []
        """What was installed, in order: when, epoch and generation, the content's digest, and the leaf, "" for none."""
        self._order = AddressOrder(random.uniform)

    async def run_connections(self, after_s: float) -> None:
        """Dial after so long, and again whenever the connection is over, until cancelled."""
        await asyncio.sleep(after_s)
        while True:
            self._over.clear()
            try:
                session = await connect(self._identity, peer=self, order=self._order)
            except CertcastError:
                await asyncio.sleep(self._backoff.pause_s(0.0))
                continue
            self._order.answered(session.address)
            welcomes = self.welcomes
            self.greet(session)
            await self._over.wait()
            if self.welcomes == welcomes:
                self._order.avoid()
            await asyncio.sleep(self._backoff.pause_s(self._retry_after_s))

    async def run_ticks(self) -> None:
        """Report each minute, as an agent does, until cancelled."""
        await asyncio.sleep(random.uniform(0.0, TICK_S))
        while True:
            if self.receiver.welcomed:
                self.tick()
            await asyncio.sleep(TICK_S * random.uniform(0.9, 1.1))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self._over.set()

    def run(self, commands: Iterable[Command]) -> None:
        welcomes = self.welcomes
        for command in commands:
            if isinstance(command, Disconnect):
                self._retry_after_s = command.retry_after_s
                if command.reason == GO_ELSEWHERE:
                    self._order.avoid()
            super().run((command,))
        if self.welcomes > welcomes:
            self.welcomed_s = time.monotonic()
            self._retry_after_s = 0.0
            self._backoff.reset()

    def install(self, install: Install) -> None:
        super().install(install)
        for digest in install.payloads:
            self.local.payloads[digest] = _bodies.setdefault(digest, self.local.payloads[digest])
        manifest, now_s = install.manifest, time.monotonic()
        for facts in manifest.slots.values():
            self.installed_s[facts.leaf] = now_s
        leaf = manifest.slots["server"].leaf if "server" in manifest.slots else ""
        self.history.append((now_s, manifest.epoch, manifest.generation, manifest.digest, leaf))


class Herd:
    """All nodes of the process."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes

    async def answer(self, question: dict[str, Any]) -> object:
        """Answer one question."""
        return await QUESTIONS[question["ask"]](self, question)

    async def connected(self, question: dict[str, Any]) -> list[float]:
        """Wait until so many were welcomed after a moment; return when each was."""
        since_s, count = question["since_s"], question["count"]

        def found() -> list[float]:
            return [each.welcomed_s for each in self._nodes if each.welcomed_s > since_s]

        while len(found()) < count:  # noqa: ASYNC110 - looks on
            await asyncio.sleep(LOOK_S)
        return sorted(found())

    async def installed(self, question: dict[str, Any]) -> list[float]:
        """Wait until so many have installed a leaf, of those that were welcomed before a moment; return when each did."""
        leaf, before_s = question["leaf"], question.get("welcomed_before_s", float("inf"))
        chosen = [each for each in self._nodes if 0 < each.welcomed_s < before_s and each.receiver.welcomed]
        wanted = min(question["count"], len(chosen))

        def found() -> list[float]:
            return [each.installed_s[leaf] for each in chosen if leaf in each.installed_s]

        while len(found()) < wanted:  # noqa: ASYNC110 - looks on
            await asyncio.sleep(LOOK_S)
        return sorted(found())

    async def history(self, _question: dict[str, Any]) -> dict[str, list[tuple[float, int, int, str, str]]]:
        """Return what each node has installed."""
        return {each.name: each.history for each in self._nodes}

    async def hang_up(self, question: dict[str, Any]) -> None:
        """Let so many nodes end their connections; they dial again as they do."""
        for each in random.sample(self._nodes, question["count"]):
            if each.transport is not None:
                each.transport.close()

    async def sizes(self, _question: dict[str, Any]) -> int:
        """Return how many bytes all have received since they were started."""
        return sum(each.received_bytes for each in self._nodes)


QUESTIONS: Final = {
    "connected": Herd.connected,
    "installed": Herd.installed,
    "history": Herd.history,
    "hang_up": Herd.hang_up,
    "sizes": Herd.sizes,
}


async def main(ports: Sequence[int], keys: Path, host_line: str) -> None:
    """Run all nodes, and answer until standard input ends."""
    raise_file_limit()
    nodes = [
        Node(
            Identity(
                node=NodeName(name),
                addresses=tuple(f"127.0.0.1:{port}" for port in ports),
                host_keys=(host_line,),
                key=load_key(key.encode()),
            )
        )
        for name, key in json.loads(await asyncio.to_thread(keys.read_text)).items()
    ]
    herd = Herd(nodes)
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(each.run_connections(number / STARTED_PER_S))
            for number, each in enumerate(nodes)
        ]
        tasks += [group.create_task(each.run_ticks()) for each in nodes]
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await herd.answer(json.loads(line))), flush=True)
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main([int(port) for port in sys.argv[1].split(",")], Path(sys.argv[2]), sys.argv[3]))
