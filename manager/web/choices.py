"""Node choices in forms: the nodes, and the certificate each has now."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from common.bundle.manifest import Slot
from common.ids import NodeName
from manager.domain.inventory import Inventory
from manager.web.forms import Form, FormFields

BOXES_MAX: Final = 200
"""With more nodes than this, a form asks for names instead of showing a box for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChoice:
    """A node to tick. `has` names its slot's certificate, "" for none or the form's own."""

    name: NodeName
    has: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeChoices:
    """All nodes as boxes or, if there are too many, the chosen ones as text."""

    boxes: Sequence[NodeChoice]
    text: str
    total: int


def node_choices(
    inventory: Inventory, chosen: Collection[str], *, slot: Slot = "server", own: int | None = None
) -> NodeChoices:
    """Offer all nodes; `own` is the form's certificate."""
    total = len(inventory.nodes)
    if total > BOXES_MAX:
        return NodeChoices(boxes=(), text="\n".join(sorted(chosen)), total=total)
    boxes = []
    for name in inventory.nodes:
        number = inventory.slots.get((name, slot))
        leaf = None if number is None or number == own else inventory.entries[number].leaf
        # certificates issued by ACME often have no subject
        has = "" if leaf is None else leaf.display_name
        boxes.append(NodeChoice(name=name, has=has, chosen=name in chosen))
    return NodeChoices(boxes=boxes, text="", total=total)


NODE_FIELDS: Final = FormFields(once=("node_names",), several=("node",))
"""The fields of a form with these choices."""


def chosen_nodes(form: Form) -> list[str]:
    """Return the ticked or named nodes."""
    return list(dict.fromkeys((*form.all("node"), *form.lines("node_names"))))
