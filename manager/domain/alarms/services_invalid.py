"""A node's unusable services file."""

from collections.abc import Iterable
from typing import Final

from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import AlarmKind, Condition, node_spec
from manager.domain.view import NodeView


def _find(view: NodeView) -> Iterable[Condition]:
    if view.configuration:
        details = " ".join(_sentence(each.message) for each in view.configuration)
        yield about_node(view.name, AlarmKind.SERVICES_INVALID, details)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


SPEC: Final = node_spec(AlarmKind.SERVICES_INVALID, 17, "warning", _find)
