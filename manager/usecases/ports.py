"""Ports: what the use cases and the API need of the fleet."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from typing import Protocol

from common.bundle.manifest import Manifest
from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.brief import NodeBrief
from manager.domain.contact import Contact
from manager.domain.model import NodeRecord
from manager.domain.view import NodeView, PlannedPush, Previews


class Fleet(Protocol):
    """Whom to tell about changes, and who pushes. `manager.fleet.fleet.Fleet` is the real one."""

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Note that what these nodes (None: all) must hold may have changed."""

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        """Publish and push at once; say of each node what was done and why. Raises NotFoundError."""

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> Previews:
        """Say what `push` would do, and do nothing. Raises NotFoundError."""

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        """Publish and push a node's older content at once. Raises NotFoundError, ConflictError.

        `note` is awaited with the new number and what was desired until then (None: nothing), in the transaction that publishes it.
        """

    def node_added(self, record: NodeRecord) -> None:
        """Take a new node into the fleet."""

    def node_joined(self, record: NodeRecord) -> None:
        """Take the key with which a node joined, and end every connection of the one that it had."""

    def node_rotated(self, record: NodeRecord) -> None:
        """Take the key by which a node replaced its own, and end every connection of the former one."""

    def node_removed(self, name: NodeName) -> None:
        """Forget a node and its key, and end every connection of it."""

    def address_of(self, name: NodeName) -> str:
        """Return where a node was last connected from, "" if it was not."""

    def is_connected(self, name: NodeName) -> bool:
        """Whether a node is connected; of a management node: whether its manager serves."""


class Changes(Protocol):
    """One watcher's share of what changes. `mark` is how far it has come, `gone` the nodes that the last `take` found removed."""

    mark: str
    gone: list[NodeName]

    async def take(self, timeout_s: float) -> list[NodeView]:
        """Wait for changes; return some nodes that changed as they are now, none if nothing did in time or it was woken.

        The mark moves once there is nothing left to tell.
        """

    async def take_names(self, timeout_s: float) -> AbstractSet[NodeName]:
        """Wait for changes; return which nodes changed or went, all of them, for a watcher that does not ask what they are now."""

    def wake(self) -> None:
        """End the wait of `take`, though no node changed: something else did that its watcher shows."""


class FleetView(Protocol):
    """What the fleet shows. `manager.fleet.fleet.Fleet` is the real one."""

    @property
    def contact(self) -> Contact:
        """How nodes reach this manager, as it is announced to them; empty until it listens."""

    def names(self) -> list[NodeName]:
        """Return the names of all nodes, in order."""

    def view(self) -> list[NodeView]:
        """Return all nodes by name."""

    def diagnostics(self, name: NodeName) -> str:
        """Return what was seen on a node when its last installation failed, "" for nothing. Raises NotFoundError."""

    def node(self, name: NodeName) -> NodeView:
        """Return one node. Raises NotFoundError."""

    async def find_node(self, name: NodeName) -> NodeView:
        """Return one node, one that another manager has added just now too. Raises NotFoundError, StorageError."""

    def counts(self) -> Mapping[str, int]:
        """Return how many nodes are in which state."""

    def briefs(self) -> Mapping[NodeName, NodeBrief]:
        """Return all nodes in a few words each, as they are now."""

    @property
    def count_of_changes(self) -> int:
        """How often a node changed in this run."""

    def subscribe(self, since: str | None = None) -> AbstractContextManager[Changes]:
        """Lend a share of what changes, bounded by the number of nodes; from a mark on if one is given."""


class Lead(Protocol):
    """Whether this manager does what one does for all of a store. `manager.fleet.leading.Lead` is the real one."""

    @property
    def is_ours(self) -> bool:
        """Whether it does, as far as it knows."""

    def enforced(self) -> AbstractContextManager[None]:
        """Let every change that this task makes in the block be made only if it still does in its transaction."""


class NoFleet:
    """Stands for the fleet while no manager runs: what changed is found when it starts."""

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Nobody to tell."""

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        """Raise ConflictError: nobody would push."""
        raise ConflictError("the manager does not run; it pushes what changed when it starts")

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> Previews:
        """Raise ConflictError: nobody knows."""
        raise ConflictError("the manager does not run")

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        """Raise ConflictError: nobody would push."""
        raise ConflictError("the manager does not run; start it first")

    def node_added(self, record: NodeRecord) -> None:
        """Nobody to tell."""

    def node_joined(self, record: NodeRecord) -> None:
        """Nobody to tell."""

    def node_rotated(self, record: NodeRecord) -> None:
        """Nobody to tell."""

    def node_removed(self, name: NodeName) -> None:
        """Nobody to tell."""

    def address_of(self, _name: NodeName) -> str:
        """Return "": nobody is connected."""
        return ""

    def is_connected(self, _name: NodeName) -> bool:
        """Return False: nobody is."""
        return False
