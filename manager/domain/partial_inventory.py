"""Partial update of an inventory: the part that was read again replaces the known part, and the rest stays.

Pure. Decides which certificates' places change; the shell chooses the part. Invariant: if the part has all
changes, the result equals a full read, in the same order.
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
    """These nodes and certificates, and all trusted CAs, as they were read; absent ones are gone.

    `places` are the assignments of the nodes.
    """

    names: AbstractSet[NodeName]
    numbers: AbstractSet[CertificateId]
    nodes: Iterable[NodeRecord]
    places: Sequence[AssignmentRecord]
    entries: Mapping[CertificateId, Entry]
    trusted_cas: Mapping[TrustedCaId, TrustedCaRecord]
    trust: Trust


def reread(last: Inventory, reading: PartialInventory, *, revision: int, noted: int) -> Inventory:
    """Return the last inventory, updated by a reading."""
    nodes = _put(last.nodes, reading.names, {record.name: record for record in reading.nodes})
    entries = _put(last.entries, reading.numbers, reading.entries)
    slots = dict(last.slots)
    concerned = {*reading.numbers}
    for place in [(name, slot) for name in reading.names for slot in SLOTS if (name, slot) in slots]:
        concerned.add(slots.pop(place))
    # remove assignments of a deleted certificate whose nodes are read only with a later change
    for number in [each for each in reading.numbers if each in last.entries and each not in entries]:
        for each in last.entries[number].places:
            if slots.get((each.node, each.slot)) == number:
                del slots[each.node, each.slot]
    found: dict[CertificateId, list[AssignmentRecord]] = {}
    for each in reading.places:
        # leave out assignments of things added after the rest was read
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
    """Return the nodes whose desired content may differ from an earlier inventory; None for all, or if unknown."""
    step = inventory.since(last)
    if step is None or step.has_other_trust:
        return None
    names = set(step.names)
    for number in step.numbers:
        before, after = last.entries.get(number), inventory.entries.get(number)
        # an assignment to one node does not concern the certificate's other nodes
        if before is None or after is None or not _is_same(before, after):
            names.update(place.node for entry in (before, after) if entry for place in entry.places)
    return names


def _is_same(before: Entry, after: Entry) -> bool:
    """Whether two entries are the same for every node: their content, and the purpose of their chain of trust."""
    return before is after or (before.changed_s == after.changed_s and before.purpose is after.purpose)


def _put(known: Mapping[_K, _V], keys: Collection[_K], read: Mapping[_K, _V]) -> dict[_K, _V]:
    """Replace the known values of these keys, and keep the keys sorted."""
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
