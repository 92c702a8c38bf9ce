"""A node failed to install the desired content."""

from collections.abc import Iterable
from typing import Final

from common.codes import State
from manager.domain.alarms.about import about_node, alarming_state, with_refusals
from manager.domain.alarms.kinds import AlarmKind, Condition, node_spec
from manager.domain.view import NodeView

_AWAY_FROM_FAILED: Final[frozenset[State]] = frozenset({"pending", "installing", "offline"})
"""States that a node passes through between a failure and its next success: the failure may still last."""


def _find(view: NodeView) -> Iterable[Condition]:
    state = alarming_state(view)
    if state == "failed" or (state in _AWAY_FROM_FAILED and view.awaits_success):
        details = with_refusals(view, _details(view))
        yield about_node(view.name, AlarmKind.INSTALL_FAILED, details, sustains=state != "failed")


def _details(view: NodeView) -> str:
    failed, applied, push = view.last_failed, view.applied, view.push
    reached = applied.generation if applied is not None and view.refused else None
    if failed is not None and reached == failed.generation:
        return f"Generation {failed.generation} is installed in part ({failed.reason}): {failed.message}"
    if failed is not None:
        return f"Generation {failed.generation} failed ({failed.reason}): {failed.message}"
    return f"The last push failed ({push.reason}): {push.message}" if push else "The last push failed."


SPEC: Final = node_spec(AlarmKind.INSTALL_FAILED, 9, "error", _find)
