"""A node's live tree differs from its manifest."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node, alarming_state, with_refusals
from manager.domain.alarms.kinds import OUT_OF_SYNC_S, AlarmKind, Condition, node_spec
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if alarming_state(view) == "drifted":
        details = "Files on its disk differ from what was installed; the agent repairs them."
        yield about_node(view.name, AlarmKind.DRIFTED, with_refusals(view, details))


SPEC: Final = node_spec(AlarmKind.DRIFTED, 10, "warning", _find, delay_s=OUT_OF_SYNC_S)
