"""The fleet as it changes: one reading of all nodes, then each node as the manager tells of it.

Decides how to go on when the stream of events ends. Invariant: after every (re)connection all nodes are read
again, so nothing that happened in between is missed, and removed nodes vanish.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from common.api.facts import NodeView
from common.api.fleet import FleetAnswer
from common.errors import UnreachableError
from manager.cli.client import Client
from manager.cli.decoding import read

AGAIN_S: Final = 2.0
"""Pause before the stream is opened again."""

PATIENCE_S: Final = 300.0
"""Longest outage of a watched manager, such as a restart or an upgrade, before watching gives up."""


class Watch:
    """All nodes, kept up to date. `lost` says why the manager is unreachable now, "" if it is reachable."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.nodes: dict[str, NodeView] = {}
        self.lost = ""

    async def changes(self) -> AsyncGenerator[tuple[NodeView, bytes | None], None]:
        """Yield each node: once at the start and after a reconnection, then as it changes with the event's own JSON.

        Raises ApiRefusedError, and UnreachableError if the first reading fails or the manager stays away.
        """
        loop = asyncio.get_running_loop()
        is_heard, lost_s = False, 0.0
        while True:
            try:
                async with aclosing(self._once()) as changes:
                    async for node, event in changes:
                        is_heard, self.lost = True, ""
                        yield node, event
                ended = "the manager ended the stream of events"
            except UnreachableError as error:
                # only a manager that was heard may be away for a while: a wrong URL is said at once
                if not is_heard or (self.lost and loop.time() - lost_s > PATIENCE_S):
                    raise
                ended = error.message
            if not self.lost:
                lost_s = loop.time()
            self.lost = ended
            await asyncio.sleep(AGAIN_S)

    async def _once(self) -> AsyncGenerator[tuple[NodeView, bytes | None], None]:
        # the stream is opened first: a change between the two is then heard twice instead of never
        async with self._client.stream() as events:
            found = read(await self._client.get("fleet"), FleetAnswer).nodes
            self.nodes = {node.name: node for node in found}
            for node in found:
                yield node, None
            async for event in events:
                node = read(event, NodeView)
                self.nodes[node.name] = node
                yield node, event
