"""A primary and its replica that lacks its last transactions, managers over them, and nodes that come back to a manager."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import quote

from demo.site import free_port
from manager.store.address import ServerAddress
from manager.store.store import Store
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts, running_over
from tests.patience import PATIENCE_S
from tests.postgres import PASSWORD, ROLE, Cluster

NAME: Final = "failover"


@dataclass(slots=True, kw_only=True)
class Servers:
    """A primary and its replica, which is not waited for."""

    primary: Cluster
    replica: Cluster

    @property
    def address(self) -> ServerAddress:
        hosts = f"127.0.0.1:{self.primary.port},127.0.0.1:{self.replica.port}"
        return ServerAddress.parse(
            f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@{hosts}/{NAME}?connect_timeout=2"
        )

    async def cut_off(self, *managers: Parts) -> None:
        """Let the replica have what was kept until now, and what these managers are about to keep of nodes, and nothing more."""
        for each in managers:
            await each.until_kept()
        written = await asyncio.to_thread(self.primary.sql, "SELECT pg_current_wal_insert_lsn()")
        is_there = f"SELECT pg_last_wal_replay_lsn() >= '{written}'"
        async with asyncio.timeout(PATIENCE_S):
            while await asyncio.to_thread(self.replica.sql, is_there) != "t":  # noqa: ASYNC110 - looks on
                await asyncio.sleep(0.05)
        await asyncio.to_thread(self.replica.stop)
        self.replica.settings["primary_conninfo"] = f"host=127.0.0.1 port={free_port()}"
        await asyncio.to_thread(self.replica.start)

    async def fail_over(self) -> None:
        await asyncio.to_thread(self.primary.kill)
        await asyncio.to_thread(self.replica.promote)


async def until_writable(store: Store) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                await store.check()
            except Exception:  # noqa: BLE001 - whatever a server says that is gone, or not there yet
                await asyncio.sleep(0.1)
            else:
                return


@asynccontextmanager
async def fleets(stores: list[Store]) -> AsyncIterator[list[Parts]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_over(each)) for each in stores]


class Agents:
    """Nodes that dial again whenever a manager lets them go, as agents do."""

    def __init__(self, manager: Parts, *nodes: NodeSimulator) -> None:
        self._manager = manager
        self._dialled = {str(node.name): (node, 0) for node in nodes}

    def dial_again(self) -> None:
        for name, (node, ended) in self._dialled.items():
            if len(node.disconnects) > ended:
                self._dialled[name] = node, len(node.disconnects)
                self._manager.dial(name, node)

    def leave(self, name: str) -> NodeSimulator:
        """Let a node be away until it comes back."""
        node, _ = self._dialled.pop(name)
        if node.transport is not None:
            node.transport.close()
        return node

    def come_back(self, node: NodeSimulator) -> None:
        self._dialled[str(node.name)] = node, len(node.disconnects)
        self._manager.dial(str(node.name), node)

    async def until(self, *managers: Parts, done: Callable[[Parts], bool]) -> None:
        def is_done(manager: Parts) -> bool:
            self.dial_again()
            return done(manager)

        for each in managers:
            await each.until(partial(is_done, each))
