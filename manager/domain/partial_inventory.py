"""Inventory of which a part is read again: what was read takes the place of what was known, and all else stays.

Pure. Decides which certificates' places that changes. Leaves to the shell which part it is. Invariant: the result is what reading everything
would give, in the same order, as long as the part has all that changed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from common.bundle.manifest import SLOTS
from common.ids import CertificateId, NodeName, TrustedCaId
from manager.domain.inventory import Entry, Inventory, Trust
from manager.domain.inventory_steps import STEPS_MAX, InventoryStep
from manager.domain.model import AssignmentRecord, NodeRecord, TrustedCaRecord


class _Ordered(Protocol):
    def __lt__(self, other: Any, /) -> bool: ...


_K = TypeVar("_K", bound=_Ordered)
_V = TypeVar("_V")


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialInventory:
    """What was read of these nodes and certificates, and of all trusted CAs; what is not among it is gone. `places` are the nodes'."""

    names: AbstractSet[NodeName]
    numbers: AbstractSet[CertificateId]
    nodes: Iterable[NodeRecord]
    places: Sequence[AssignmentRecord]
    entries: Mapping[CertificateId, Entry]
    trusted_cas: Mapping[TrustedCaId, TrustedCaRecord]
    trust: Trust


def reread(last: Inventory, reading: PartialInventory, *, revision: int, noted: int) -> Inventory:
    """Return the inventory that is known now."""
    nodes = _put(last.nodes, reading.names, {record.name: record for record in reading.nodes})
    entries = _put(last.entries, reading.numbers, reading.entries)
    slots = dict(last.slots)
    concerned = {*reading.numbers}
    for place in [(name, slot) for name in reading.names for slot in SLOTS if (name, slot) in slots]:
        concerned.add(slots.pop(place))
    # what nodes had of a certificate that is gone, should they be read only with a later change
    for number in [each for each in reading.numbers if each in last.entries and each not in entries]:
        for each in last.entries[number].places:
            if slots.get((each.node, each.slot)) == number:
                del slots[each.node, each.slot]
    found: dict[CertificateId, list[AssignmentRecord]] = {}
    for each in reading.places:
        # what is not there was read a moment later, and is left out
        if each.certificate_id in entries and each.node in nodes:
            slots[each.node, each.slot] = each.certificate_id
            found.setdefault(each.certificate_id, []).append(each)
    concerned |= found.keys()
    for number in [each for each in concerned if each in entries]:
        former = last.entries[number].places if number in last.entries else ()
        stay = [each for each in former if each.node not in reading.names]
        places = tuple(sorted([*stay, *found[number]], key=_order) if number in found else stay)
        if entries[number].places != places:
            entries[number] = replace(entries[number], places=places)
    step = InventoryStep(
        serial=last.serial,
        numbers=frozenset(concerned),
        names=reading.names,
        has_other_trust=reading.trust is not last.trust,
    )
    inventory = Inventory(
        revision=revision,
        noted=noted,
        steps=(*last.steps[1 - STEPS_MAX :], step),
        entries=entries,
        trusted_cas=reading.trusted_cas,
        nodes=nodes,
        slots=slots,
        trust=reading.trust,
    )
    inventory.take_over(last, step)
    return inventory


def nodes_concerned(last: Inventory, inventory: Inventory) -> AbstractSet[NodeName] | None:
    """Return the nodes that may have to hold something else than by an earlier inventory; None if all may, or it is not known."""
    step = inventory.since(last)
    if step is None or step.has_other_trust:
        return None
    names = set(step.names)
    for number in step.numbers:
        before, after = last.entries.get(number), inventory.entries.get(number)
        # what changed about it for one node is nothing to the others that have it
        if before is None or after is None or not _is_same(before, after):
            names.update(place.node for entry in (before, after) if entry for place in entry.places)
    return names


def _is_same(before: Entry, after: Entry) -> bool:
    """Whether an entry is the same wherever it is: its content, and what its chain of trust is judged for."""
    return before is after or (before.changed_s == after.changed_s and before.purpose is after.purpose)


def _put(known: Mapping[_K, _V], keys: Collection[_K], read: Mapping[_K, _V]) -> dict[_K, _V]:
    """Replace what is known of these keys, and keep the order of keys."""
    found = dict(known)
    last = next(reversed(found), None)
    for key in keys:
        if key not in read:
            found.pop(key, None)
    added = [key for key in read if key not in found]
    found.update(read)
    is_in_order = last is None or all(last < key for key in added)
    if is_in_order and added == sorted(added):
        return found
    return {key: found[key] for key in sorted(found)}


def _order(place: AssignmentRecord) -> tuple[str, str]:
    return place.node, place.slot
