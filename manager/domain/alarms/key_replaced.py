"""A node's pinned key was replaced recently."""

from collections.abc import Iterable
from typing import Final

from common.words import date
from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import AlarmKind, Condition, node_spec
from manager.domain.model import KeyChange
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if view.key_replaced is not None:
        yield about_node(view.name, AlarmKind.KEY_REPLACED, _details(view.key_replaced))


def _details(change: KeyChange) -> str:
    how = "with a join token" if change.how == "rejoined" else "vouched for by its former key"
    until = f"; its former key was last used from {change.former_address}" if change.former_address else ""
    return (
        f"Its key was replaced on {date(int(change.at_s))} {how}, from {change.address}{until}. The new key is "
        f"{change.fingerprint}. If this was not intended, a stranger has a copy of its key or a token: remove the "
        "node, and join it again."
    )


SPEC: Final = node_spec(AlarmKind.KEY_REPLACED, 23, "warning", _find)
