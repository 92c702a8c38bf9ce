"""A service that staples no OCSP response although its certificate demands one."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import AlarmKind, Condition, node_spec
from manager.domain.view import NodeView

STAPLING_S: Final = 600.0
"""Time for a reloaded service to begin stapling: it asks its CA's responder only at the first handshake."""


def _find(view: NodeView) -> Iterable[Condition]:
    if unstapled := [seen for seen in view.serving if seen.stapled is False]:
        named = ", ".join(f"{seen.consumer} at {seen.endpoint}" for seen in unstapled[:5])
        details = f"{named} sends no OCSP response; clients that honour must-staple refuse it."
        yield about_node(view.name, AlarmKind.MUST_STAPLE_UNPROVEN, details)


SPEC: Final = node_spec(AlarmKind.MUST_STAPLE_UNPROVEN, 20, "warning", _find, delay_s=STAPLING_S)
