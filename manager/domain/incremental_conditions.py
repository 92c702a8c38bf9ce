"""Incremental conditions: those found at the last check of each part, so that a check can be limited to changes.

Pure. Decides which parts of a later inventory to check again. The shell says which nodes changed, and when to
check everything.

Some conditions change by time alone: those of certificates and trusted CAs, which begin and end, and two of
nodes, `rivals` (a connection counts for minutes) and `key_replaced` (for a week). The latter two end by time
alone, but begin with a change of the node. So a full check every minute finds these a minute late, and no
others.

Invariant: each part's conditions are those that `conditions_of_inventory` and `conditions_of_nodes` found at
its last check.
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
    """The parts to check; None for all."""

    numbers: Collection[CertificateId] | None = None
    names: Collection[NodeName] | None = None


class IncrementalConditions:
    """The conditions found so far; at first nothing has been checked."""

    def __init__(self) -> None:
        self._inventory: Inventory | None = None
        self._republished: dict[NodeName, Entry] = {}
        self._stored: dict[str, list[Condition]] = {}
        self._on_nodes: dict[NodeName, list[Condition]] = {}

    def due(self, inventory: Inventory, changed: Collection[NodeName]) -> Due:
        """Return the parts of a later inventory to check; `changed` are nodes with other changes."""
        last = self._inventory
        step = inventory.since(last) if last is not None else None
        if last is None or step is None or step.has_other_trust:
            return Due()
        slots, numbers, names = inventory.slots, set(step.numbers), {*step.names, *changed}
        for number in step.numbers:
            before, after = last.entries.get(number), inventory.entries.get(number)
            for inventory_then, entry in ((last, before), (inventory, after)):
                # findings name the other certificates with the same key
                numbers.update(
                    each.id for each in (inventory_then.sharing(entry) if entry is not None else ())
                )
            if before is None or after is None or _is_other(before, after):
                names.update(each.node for entry in (before, after) if entry for each in entry.places)
        # a certificate is judged by the names of its nodes
        numbers.update(slots[name, slot] for name in step.names for slot in SLOTS if (name, slot) in slots)
        # republished entries are known by their number
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
        """Check the due parts and return all conditions.

        `views` are the due nodes, `republished` the certificates that they serve by republished older
        content.
        """
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
            # few have any condition
            self._stored = {key: found for key, found in self._stored.items() if _is_kept(key, seen)}
        found = conditions_of_inventory(
            inventory, republished=self._republished, now_s=now_s, numbers=due.numbers, names=due.names
        )
        for condition in found:
            self._stored.setdefault(condition.subject.key, []).append(condition)


def _is_kept(key: str, seen: Collection[str]) -> bool:
    """Whether a subject was not checked this time; trusted CAs are always checked."""
    return key not in seen and not key.startswith("trusted_ca")


def _is_other(before: Entry, after: Entry) -> bool:
    return before.leaf != after.leaf or before.temporary != after.temporary
