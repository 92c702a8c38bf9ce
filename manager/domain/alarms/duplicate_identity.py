"""Two agents connect with the key of one node."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import AlarmKind, Condition, node_spec
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if view.rivals:
        where = " and ".join(dict.fromkeys(view.rivals))
        details = (
            f"Agents at {where} connect with the key of this node and displace each other. Stop the copy, remove its "
            "identity, and join it as a separate node."
        )
        yield about_node(view.name, AlarmKind.DUPLICATE_IDENTITY, details)


SPEC: Final = node_spec(AlarmKind.DUPLICATE_IDENTITY, 16, "error", _find)
