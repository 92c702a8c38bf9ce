"""Moves: what a change does to the slots of nodes.

Pure. Decides which slots get, keep and lose a certificate. Leaves to `placements` what follows from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.bundle.manifest import Slot
from common.ids import NodeName
from manager.domain.inventory import Entry, Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A node's slot before a change and after it; None where it is empty."""

    node: NodeName
    slot: Slot
    before: Entry | None
    after: Entry | None


def moves_of_content(before: Entry | None, after: Entry) -> list[Move]:
    """Return what an entry's new content is to the slots that have it."""
    if before is None or before.leaf == after.leaf:
        return []
    return [Move(node=place.node, slot=place.slot, before=before, after=after) for place in before.places]


def moves_to(inventory: Inventory, entry: Entry, nodes: Sequence[NodeName], slot: Slot) -> list[Move]:
    """Return what assigning a certificate is to the slots that get it; those that have it already stay."""
    moves = []
    # a node that is not there is named by the store
    for name in (each for each in dict.fromkeys(nodes) if each in inventory.nodes):
        number = inventory.slots.get((name, slot))
        if number is None or number != entry.id:
            before = inventory.entries[number] if number is not None else None
            moves.append(Move(node=name, slot=slot, before=before, after=entry))
    return moves


def moves_from(entry: Entry, stay: Sequence[NodeName], slot: Slot) -> list[Move]:
    """Return what the slots of an entry lose that are not among those that stay."""
    return [
        Move(node=place.node, slot=slot, before=entry, after=None)
        for place in entry.places
        if place.slot == slot and place.node not in stay
    ]
