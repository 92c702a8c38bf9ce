"""What the use cases need of the fleet."""

from collections.abc import Iterable
from typing import Protocol

from common.ids import NodeName
from manager.domain.model import NodeRecord


class Fleet(Protocol):
    """Whom to tell about changes. `manager.push.fleet.Fleet` is the real one."""

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Note that what these nodes (None: all) must hold may have changed."""

    async def node_added(self, record: NodeRecord) -> None:
        """Take a new node into the fleet."""

    async def node_removed(self, name: NodeName) -> None:
        """Forget a node and end its connection."""


class NoFleet:
    """Stands for the fleet while no manager runs: what changed is found when it starts."""

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Nobody to tell."""

    async def node_added(self, record: NodeRecord) -> None:
        """Nobody to tell."""

    async def node_removed(self, name: NodeName) -> None:
        """Nobody to tell."""
