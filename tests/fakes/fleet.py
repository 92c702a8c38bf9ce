"""A fleet that remembers what it was told. Implements `manager.operations.ports.Fleet`."""

from collections.abc import Iterable, Sequence

from common.errors import NotFoundError
from common.ids import NodeName
from manager.domain.model import NodeRecord
from manager.domain.view import PlannedPush


class FakeFleet:
    def __init__(self) -> None:
        self.told: list[set[NodeName] | None] = []
        self.nodes: set[NodeName] = set()
        self.pushed: list[tuple[tuple[NodeName, ...], bool]] = []

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        self.told.append(None if nodes is None else set(nodes))

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        plans = await self.plan(nodes, forced=forced)
        self.pushed.append((tuple(plan.node for plan in plans), forced))
        return plans

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> list[PlannedPush]:
        chosen = sorted(self.nodes) if nodes is None else list(nodes)
        for name in chosen:
            if name not in self.nodes:
                raise NotFoundError(f"there is no node '{name}'")
        return [PlannedPush(node=name, action="push", why="it is a test", generation=1) for name in chosen]

    async def node_added(self, record: NodeRecord) -> None:
        self.nodes.add(record.name)

    async def node_removed(self, name: NodeName) -> None:
        self.nodes.discard(name)
