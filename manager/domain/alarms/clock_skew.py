"""A node's clock is wrong."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import OUT_OF_SYNC_S, AlarmKind, Condition, node_spec
from manager.domain.clocks import CLOCK_SKEW_S
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    # an offline node's last known skew says nothing
    if view.connected_at_s is not None and abs(view.clock_skew_s) > CLOCK_SKEW_S:
        details = f"Its clock is {view.clock_skew_s:+.0f} s from the manager's; check its time service."
        yield about_node(view.name, AlarmKind.CLOCK_SKEW, details)


SPEC: Final = node_spec(AlarmKind.CLOCK_SKEW, 13, "warning", _find, delay_s=OUT_OF_SYNC_S)
