"""A node runs a generation that this store never published."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node, alarming_state, with_refusals
from manager.domain.alarms.kinds import AlarmKind, Condition, node_spec
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if alarming_state(view) == "conflict":
        yield about_node(view.name, AlarmKind.CONFLICT, with_refusals(view, _details(view)))


def _details(view: NodeView) -> str:
    if view.is_incredible and view.applied is not None:
        return (
            f"It claims to run generation {view.applied.generation}, which no manager can have published. Find out "
            "what runs on that machine. A forced push does not adopt the claimed number."
        )
    return "It runs a generation that this store never published; a forced push replaces it."


SPEC: Final = node_spec(AlarmKind.CONFLICT, 12, "error", _find)
