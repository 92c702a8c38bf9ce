"""Slots of first certificates: their current certificates, and the renewals of those.

Invariants: no two renewals serve one slot, or they would replace each other's certificates for ever. No
renewal replaces a certificate that the user was not asked about. A node gets no certificate that was ordered
for a removed node of its name.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from common.bundle.manifest import Slot
from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.consequences import name_entry
from manager.domain.inventory import Entry, Inventory
from manager.domain.moves import Move
from manager.domain.placements import of_ordering
from manager.domain.renewal.records import RenewalRecord, Terms
from manager.usecases.confirming import Impact, facts_of
from manager.usecases.context import Context
from manager.usecases.renewal.ports import CaError
from manager.usecases.renewal.terms import noted_terms


def assess_ordered(inventory: Inventory, terms: Terms, nodes: Sequence[NodeName], slot: Slot) -> Impact:
    """Assess the effect of an ordered certificate on its slots; only its names are known."""
    held = {name: inventory.slots.get((name, slot)) for name in nodes}
    moves = [
        Move(node=name, slot=slot, before=inventory.entries[number], after=None)
        for name, number in held.items()
        if number is not None
    ]
    return Impact(
        consequences=of_ordering(terms.names, moves), facts=[facts_of(moves, inventory), terms.names]
    )


def with_held(renewal: RenewalRecord, inventory: Inventory) -> RenewalRecord:
    """Return a first certificate's renewal that may replace the certificates now in its slots."""
    numbers = [inventory.slots.get((name, renewal.slot)) for name in renewal.nodes]
    held = [inventory.entries[number] for number in dict.fromkeys(numbers) if number is not None]
    return replace(
        renewal,
        takes_from=tuple(each.id for each in held),
        takes_leaves=tuple(each.leaf.fingerprint for each in held),
    )


def why_occupied(renewal: RenewalRecord, inventory: Inventory) -> str:
    """Return which slot of a first certificate was given another one since it was ordered, "" for none."""
    for name in renewal.nodes if renewal.is_new else ():
        number = inventory.slots.get((name, renewal.slot))
        entry = None if number is None else inventory.entries[number]
        if entry is None or entry.temporary or _may_be_taken(renewal, entry):
            continue
        what = name_entry(entry)
        return f"the {renewal.slot} slot of node '{name}' has {what}, which was not there when this was ordered; empty that slot, or remove this renewal and order anew, where you are asked about it"
    return ""


def _may_be_taken(renewal: RenewalRecord, entry: Entry) -> bool:
    if not renewal.takes_leaves:
        # ordered by a manager of a release that stored only numbers
        return entry.id in renewal.takes_from
    return entry.leaf.fingerprint in renewal.takes_leaves


def require_free(renewal: RenewalRecord, inventory: Inventory) -> None:
    """Check that a first certificate would take no slot that `why_occupied` names. Raises CaError."""
    if why := why_occupied(renewal, inventory):
        raise CaError(why, is_final=True)


async def take_from_renewals(context: Context, removed: Collection[NodeName], *, actor: str) -> None:
    """Exclude nodes that are being removed from first certificates: new nodes may reuse their names."""
    gone = set(removed)
    for renewal in await context.store.renewals.list():
        left = tuple(name for name in renewal.nodes if name not in gone)
        if left != renewal.nodes:
            # without any node left the certificate has no place, which is reported then
            is_placed = renewal.is_placed or not left
            after = replace(renewal, nodes=left, is_placed=is_placed, changed_s=context.clock())
            await context.store.renewals.keep(after)
            await context.audit(actor, "renewal.changed", f"renewal {renewal.id}", noted_terms(after))


def check_slots(
    inventory: Inventory, renewals: Iterable[RenewalRecord], nodes: Sequence[NodeName], slot: Slot
) -> None:
    """Refuse slots that another renewal has installed or will install a certificate in.

    Raises ConflictError.
    """
    for renewal in renewals:
        for name in nodes:
            number, where = inventory.slots.get((name, slot)), f"the {slot} slot of node '{name}'"
            if number is not None and renewal.certificate_id == number:
                what = name_entry(inventory.entries[number])
                raise ConflictError(
                    f"{where} has {what}, which renewal {renewal.id} renews; leave the node out, or empty that slot first"
                )
            if renewal.is_new and renewal.slot == slot and name in renewal.nodes:
                raise ConflictError(
                    f"renewal {renewal.id} orders a certificate for {where} already; leave the node out, or remove that renewal first"
                )
