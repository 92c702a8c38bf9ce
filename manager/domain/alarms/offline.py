"""A node has no connection to the manager."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node, alarming_state, with_refusals
from manager.domain.alarms.kinds import OUT_OF_SYNC_S, AlarmKind, Condition, node_spec
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if alarming_state(view) == "offline":
        details = (
            f"It has no connection to the manager: {view.turned_away}."
            if view.turned_away
            else "It has no connection to the manager; it gets the changes once it reconnects."
        )
        yield about_node(view.name, AlarmKind.OFFLINE, with_refusals(view, details))


SPEC: Final = node_spec(AlarmKind.OFFLINE, 11, "warning", _find, delay_s=OUT_OF_SYNC_S)
