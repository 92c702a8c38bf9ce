"""A node that has not applied the desired content within the minute that the specification allows."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node, alarming_state, with_refusals
from manager.domain.alarms.kinds import OUT_OF_SYNC_S, AlarmKind, Condition, node_spec
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if alarming_state(view) in {"pending", "installing"}:
        details = with_refusals(view, "It has not applied the desired content.")
        yield about_node(view.name, AlarmKind.OUT_OF_SYNC, details)


SPEC: Final = node_spec(AlarmKind.OUT_OF_SYNC, 7, "warning", _find, delay_s=OUT_OF_SYNC_S)
