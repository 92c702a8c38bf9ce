"""A node's certificate that is not valid for all names of the node, as the strict client judges them."""

from collections.abc import Iterable
from typing import Final

from common.words import listed
from manager.domain.alarms.about import about_node
from manager.domain.alarms.kinds import AlarmKind, Condition, Stored, stored_spec
from manager.domain.placements import its_names, mismatches


def _find(stored: Stored) -> Iterable[Condition]:
    inventory = stored.inventory
    for name in stored.nodes:
        number = inventory.slots.get((name, "server"))
        assigned = inventory.entries[number] if number is not None else None
        entry = stored.republished.get(name, assigned)
        if entry is not None and (missing := mismatches(inventory, entry, [name]).get(name)):
            which = "this name" if len(missing) == 1 else "these names"
            details = f"{entry.label} is not valid for {listed(missing)}: clients that use {which} refuse it. {its_names(entry)}"
            yield about_node(name, AlarmKind.NAME_MISMATCH, details)


SPEC: Final = stored_spec(AlarmKind.NAME_MISMATCH, 15, "error", _find)
