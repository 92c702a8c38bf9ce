"""Findings of what is wrong, part by part, as of the last look at each: so that a look after one change looks at what changed.

Decides what of a later inventory is looked at again. Leaves to the shell which nodes changed, and when all is looked at.

Time alone changes what is wrong with certificates and trusted CAs (they begin and end, and chains with them), and two things that are known of a
node: `rivals` (a greeting counts for minutes) and `key_replaced` (for a week). Both end by time alone, and begin with something of the
node that changes. So whoever looks at everything once a minute is late by a minute with these, and with nothing else.

Pure. Invariant: what was found of each part is what `conditions_of_inventory` and `conditions_of_nodes` found of it at its last look.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from common.bundle.manifest import SLOTS
from common.ids import CertificateId, NodeName
from manager.domain.alarms import Condition, conditions_of_inventory, conditions_of_nodes
from manager.domain.inventory import Entry, Inventory
from manager.domain.view import NodeView


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be looked at; None is all of it."""

    numbers: Collection[CertificateId] | None = None
    names: Collection[NodeName] | None = None


class IncrementalConditions:
    """What was found until now; to begin with, nothing was looked at."""

    def __init__(self) -> None:
        self._inventory: Inventory | None = None
        self._republished: dict[NodeName, Entry] = {}
        self._stored: dict[str, list[Condition]] = {}
        self._on_nodes: dict[NodeName, list[Condition]] = {}

    def due(self, inventory: Inventory, changed: Collection[NodeName]) -> Due:
        """Return what to look at of a later inventory, with nodes of which something else changed."""
        last = self._inventory
        step = inventory.since(last) if last is not None else None
        if last is None or step is None or step.has_other_trust:
            return Due()
        slots, numbers, names = inventory.slots, set(step.numbers), {*step.names, *changed}
        for number in step.numbers:
            before, after = last.entries.get(number), inventory.entries.get(number)
            for inventory_then, entry in ((last, before), (inventory, after)):
                # each is told of the others that have its key
                numbers.update(
                    each.id for each in (inventory_then.sharing(entry) if entry is not None else ())
                )
            if before is None or after is None or _is_other(before, after):
                names.update(each.node for entry in (before, after) if entry for each in entry.places)
        # a certificate is judged by the names of the nodes that have it
        numbers.update(slots[name, slot] for name in step.names for slot in SLOTS if (name, slot) in slots)
        # an entry that is published again is known by its number
        names.update(name for name, entry in self._republished.items() if entry.id in step.numbers)
        return Due(numbers, names)

    def look(
        self,
        inventory: Inventory,
        views: Sequence[NodeView],
        due: Due,
        *,
        republished: Mapping[NodeName, Entry],
        now_s: float,
    ) -> list[Condition]:
        """Look at what is due, of which these are the nodes and what they are to serve by older content; return all that is wrong."""
        if due.names is None:
            self._republished, self._on_nodes = {}, {}
        for name in due.names or ():
            self._republished.pop(name, None)
            self._on_nodes.pop(name, None)
        self._republished.update(republished)
        for view in views:
            if found := conditions_of_nodes([view]):
                self._on_nodes[view.name] = found
        self._take_stored(inventory, due, now_s=now_s)
        self._inventory = inventory
        return [each for kept in (self._stored, self._on_nodes) for found in kept.values() for each in found]

    def _take_stored(self, inventory: Inventory, due: Due, *, now_s: float) -> None:
        if due.names is None or due.numbers is None:
            self._stored = {}
        else:
            seen = {*(f"certificate:{each}" for each in due.numbers), *(f"node:{each}" for each in due.names)}
            # few have anything wrong
            self._stored = {key: found for key, found in self._stored.items() if _is_kept(key, seen)}
        found = conditions_of_inventory(
            inventory, republished=self._republished, now_s=now_s, numbers=due.numbers, names=due.names
        )
        for condition in found:
            self._stored.setdefault(condition.subject.key, []).append(condition)


def _is_kept(key: str, seen: Collection[str]) -> bool:
    """Whether something was not looked at; trusted CAs are each time."""
    return key not in seen and not key.startswith("trusted_ca")


def _is_other(before: Entry, after: Entry) -> bool:
    return before.leaf != after.leaf or before.temporary != after.temporary
