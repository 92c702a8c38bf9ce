"""A node that sends or connects more often than any agent needs to."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import AlarmKind, Condition, node_spec
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if view.flood:
        details = (
            f"Too many {view.flood}. No agent sends that much. Its connections are refused for a while, longer each "
            "time. Find out what runs on that machine."
        )
        yield about_node(view.name, AlarmKind.NODE_FLOODS, details)


SPEC: Final = node_spec(AlarmKind.NODE_FLOODS, 24, "error", _find)
