"""A fleet that remembers what it was told. Implements `manager.usecases.ports.Fleet`."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import replace

from common.bundle.manifest import Manifest
from common.errors import NotFoundError
from common.ids import NodeName
from manager.domain.model import NodeRecord
from manager.domain.view import PlannedPush, Preview, Previews


class FakeFleet:
    def __init__(self) -> None:
        self.changes: list[set[NodeName] | None] = []
        self.nodes: set[NodeName] = set()
        self.pushed: list[tuple[tuple[NodeName, ...], bool]] = []
        self.joined: list[NodeRecord] = []
        self.rotated: list[NodeRecord] = []
        self.addresses: dict[NodeName, str] = {}
        self.republished: list[tuple[NodeName, int]] = []

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        self.changes.append(None if nodes is None else set(nodes))

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        plans = [each.plan for each in (await self.plan(nodes, forced=forced)).nodes]
        self.pushed.append((tuple(plan.node for plan in plans), forced))
        return plans

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> Previews:
        chosen = sorted(self.nodes) if nodes is None else list(nodes)
        for name in chosen:
            self._check(name)
        return Previews(
            nodes=[Preview(plan=_plan(name), runs=None, becomes=None) for name in chosen], bodies={}
        )

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        self._check(name)
        await note(number + 1, None)
        self.republished.append((name, number))
        return replace(_plan(name), generation=number + 1)

    def node_added(self, record: NodeRecord) -> None:
        self.nodes.add(record.name)

    def node_joined(self, record: NodeRecord) -> None:
        self.joined.append(record)

    def node_rotated(self, record: NodeRecord) -> None:
        self.rotated.append(record)

    def address_of(self, name: NodeName) -> str:
        return self.addresses.get(name, "")

    def is_connected(self, name: NodeName) -> bool:
        return name in self.addresses

    def node_removed(self, name: NodeName) -> None:
        self.nodes.discard(name)

    def _check(self, name: NodeName) -> None:
        if name not in self.nodes:
            raise NotFoundError(f"there is no node '{name}'")


def _plan(name: NodeName) -> PlannedPush:
    return PlannedPush(node=name, action="push", why="it is a test", generation=1)
