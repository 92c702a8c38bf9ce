"""Moves: the effects of a change on the slots of nodes.

Pure. Decides which slots get, keep and lose a certificate; `placements` judges the consequences.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.bundle.manifest import Slot
from common.ids import NodeName
from manager.domain.inventory import Entry, Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A node's slot before and after a change; None for empty."""

    node: NodeName
    slot: Slot
    before: Entry | None
    after: Entry | None


def moves_of_content(before: Entry | None, after: Entry) -> list[Move]:
    """Return the moves that an entry's new content means for its slots."""
    if before is None or before.leaf == after.leaf:
        return []
    return [Move(node=place.node, slot=place.slot, before=before, after=after) for place in before.places]


def moves_to(inventory: Inventory, entry: Entry, nodes: Sequence[NodeName], slot: Slot) -> list[Move]:
    """Return the moves of assigning a certificate; slots that have it already do not move."""
    moves = []
    # the store reports unknown nodes
    for name in (each for each in dict.fromkeys(nodes) if each in inventory.nodes):
        number = inventory.slots.get((name, slot))
        if number is None or number != entry.id:
            before = inventory.entries[number] if number is not None else None
            moves.append(Move(node=name, slot=slot, before=before, after=entry))
    return moves


def moves_from(entry: Entry, stay: Sequence[NodeName], slot: Slot) -> list[Move]:
    """Return the moves of an entry's slots that lose it, which are those not in `stay`."""
    return [
        Move(node=place.node, slot=slot, before=entry, after=None)
        for place in entry.places
        if place.slot == slot and place.node not in stay
    ]
