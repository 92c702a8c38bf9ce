"""Ports of the use cases and the API: the parts of the fleet that they need."""

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
    """Receives changes and pushes bundles. `manager.fleet.fleet.Fleet` is the real one."""

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Note that the desired content of these nodes (None: all) may have changed."""

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        """Publish and push at once; return for each node what was done and why. Raises NotFoundError."""

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> Previews:
        """Return what `push` would do, without doing it. Raises NotFoundError."""

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        """Publish and push a node's older content at once. Raises NotFoundError or ConflictError.

        `note` is awaited with the new number and the previously desired manifest (None: there was none), in
        the transaction that publishes it.
        """

    def node_added(self, record: NodeRecord) -> None:
        """Add a new node to the fleet."""

    def node_joined(self, record: NodeRecord) -> None:
        """Store the key with which a node joined, and close every connection that used the previous key."""

    def node_rotated(self, record: NodeRecord) -> None:
        """Store the key that a node rotated to, and close every connection that used the previous key."""

    def node_removed(self, name: NodeName) -> None:
        """Forget a node and its key, and close all of its connections."""

    def address_of(self, name: NodeName) -> str:
        """Return the address of a node's last connection, "" if it never connected."""

    def is_connected(self, name: NodeName) -> bool:
        """Whether a node is connected; for a management node, whether its manager is running."""


class Changes(Protocol):
    """Change subscription of one watcher.

    `mark` is its position; `gone` are the removed nodes found by the last `take`.
    """

    mark: str
    gone: list[NodeName]

    async def take(self, timeout_s: float) -> list[NodeView]:
        """Wait for changes.

        Return some changed nodes in their current state, none after a timeout or a wake-up.

        The mark advances once all changes have been returned.
        """

    async def take_names(self, timeout_s: float) -> AbstractSet[NodeName]:
        """Wait for changes.

        Return the names of all nodes that changed or were removed, for watchers that need no states.
        """

    def wake(self) -> None:
        """End a pending `take` for a change that the watcher shows but that concerns no node."""


class FleetView(Protocol):
    """Read-only view of the fleet. `manager.fleet.fleet.Fleet` is the real one."""

    @property
    def contact(self) -> Contact:
        """Return the contact that is announced to nodes; empty until the manager listens."""

    def names(self) -> list[NodeName]:
        """Return the names of all nodes, sorted."""

    def view(self) -> list[NodeView]:
        """Return all nodes by name."""

    def diagnostics(self, name: NodeName) -> str:
        """Return the diagnostics of a node's last failed installation, "" if there are none.

        Raises NotFoundError.
        """

    def node(self, name: NodeName) -> NodeView:
        """Return one node. Raises NotFoundError."""

    async def find_node(self, name: NodeName) -> NodeView:
        """Return one node, including one that another manager has just added.

        Raises NotFoundError, StorageError.
        """

    def counts(self) -> Mapping[str, int]:
        """Return the number of nodes in each state."""

    def briefs(self) -> Mapping[NodeName, NodeBrief]:
        """Return a short summary of every node."""

    @property
    def count_of_changes(self) -> int:
        """Number of node changes since this manager started."""

    def subscribe(self, since: str | None = None) -> AbstractContextManager[Changes]:
        """Open a subscription, bounded by the number of nodes; it continues from a mark if one is given."""


class Lead(Protocol):
    """Leadership of this manager over store-wide duties. `manager.fleet.leading.Lead` is the real one."""

    @property
    def is_ours(self) -> bool:
        """Whether this manager leads, as far as it knows."""

    def enforced(self) -> AbstractContextManager[None]:
        """Commit this task's changes in the block only if the manager still leads in their transaction."""


class NoFleet:
    """Stand-in for the fleet while no manager runs; the manager finds the changes when it starts."""

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Do nothing: no manager runs."""

    async def push(self, nodes: Sequence[NodeName] | None, *, forced: bool) -> list[PlannedPush]:
        """Raise ConflictError: no manager runs."""
        raise ConflictError("the manager is not running; it pushes the changes when it starts")

    async def plan(self, nodes: Sequence[NodeName] | None, *, forced: bool = False) -> Previews:
        """Raise ConflictError: no manager runs."""
        raise ConflictError("the manager is not running; start it first")

    async def republish(
        self, name: NodeName, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> PlannedPush:
        """Raise ConflictError: no manager runs."""
        raise ConflictError("the manager is not running; start it first")

    def node_added(self, record: NodeRecord) -> None:
        """Do nothing: no manager runs."""

    def node_joined(self, record: NodeRecord) -> None:
        """Do nothing: no manager runs."""

    def node_rotated(self, record: NodeRecord) -> None:
        """Do nothing: no manager runs."""

    def node_removed(self, name: NodeName) -> None:
        """Do nothing: no manager runs."""

    def address_of(self, _name: NodeName) -> str:
        """Return "": no node is connected."""
        return ""

    def is_connected(self, _name: NodeName) -> bool:
        """Return False: no node is connected."""
        return False
