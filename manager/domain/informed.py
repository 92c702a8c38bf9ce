"""Informed nodes: which of them have confirmed how this manager is reached now.

Decides by what each node said last, connected or not. Invariant: a node that never said anything of it counts as one that does not know.
"""

from collections.abc import Iterable

from common.ids import NodeName
from manager.domain.contact import Contact
from manager.domain.view import NodeView


def find_uninformed(views: Iterable[NodeView], announced: Contact) -> list[NodeName]:
    """Return the nodes that have joined and do not know this list of addresses yet; none before there is one."""
    if not announced.addresses:
        return []
    return [
        view.name
        for view in views
        if view.joined and view.kind == "node" and view.manager_addresses != announced.addresses
    ]
