"""Informed nodes: which of them have confirmed how this manager is reached now.

Decides by what each node said last, connected or not. Invariant: a node that never said anything of it counts
as one that does not know.
"""

from collections.abc import Iterable
from typing import Protocol

from common.codes import NodeKind
from common.ids import NodeName
from manager.domain.contact import Contact


class NodeContact(Protocol):
    """A node's contact data, in its view or its brief."""

    @property
    def name(self) -> NodeName: ...

    @property
    def kind(self) -> NodeKind: ...

    @property
    def joined(self) -> bool: ...

    @property
    def manager_addresses(self) -> tuple[str, ...] | None: ...


def find_uninformed(nodes: Iterable[NodeContact], announced: Contact) -> list[NodeName]:
    """Return the joined nodes that have not confirmed this list of addresses; none if the list is empty."""
    if not announced.addresses:
        return []
    return [
        node.name
        for node in nodes
        if node.joined and node.kind == "node" and node.manager_addresses != announced.addresses
    ]
