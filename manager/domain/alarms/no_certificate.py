"""A node's server slot is empty."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec


def _find(stored: Stored) -> Iterable[Condition]:
    for name in stored.nodes:
        if (name, "server") not in stored.inventory.slots:
            yield about_node(
                name,
                AlarmKind.NO_CERTIFICATE,
                "No certificate is assigned to it; it keeps serving what it has, if anything.",
            )


SPEC: Final = stored_spec(AlarmKind.NO_CERTIFICATE, 1, "error", _find)
