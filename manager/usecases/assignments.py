"""Certificate assignment: assigning certificates to node slots, emptying slots, and listing them.

Decides the order: consequences are assessed and confirmed before anything is written.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import structlog

from common.bundle.manifest import SLOTS, Slot
from common.errors import InvalidInputError
from common.ids import CertificateId, NodeName
from common.pki.finding import Finding
from manager.domain.consequences import Consequence
from manager.domain.inventory import Inventory
from manager.usecases.certificate_views import ListedCertificate, judge_listed
from manager.usecases.confirming import assess_assignment, assess_unassignment
from manager.usecases.context import Context

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assigned:
    """Result of an assignment: the nodes that have the certificate now, the consequences and findings."""

    nodes: Sequence[NodeName]
    consequences: Sequence[Consequence]
    findings: Sequence[Finding]


def slot_name(text: str) -> Slot:
    """Check a slot's name. Raises InvalidInputError."""
    for slot in SLOTS:
        if text == slot:
            return slot
    raise InvalidInputError("slot", f"'{text[:40]}' is not a slot; a node has {' and '.join(SLOTS)}")


class AssignmentUseCases:
    """Use cases of the slots' certificates."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def assign(
        self,
        certificate_id: CertificateId,
        *,
        nodes: Sequence[NodeName] | None,
        slot: Slot,
        seen: Mapping[NodeName, CertificateId | None] = MappingProxyType({}),
        confirm: str | None = None,
        actor: str,
    ) -> Assigned:
        """Assign a certificate to a slot of these nodes (None: of all).

        `seen` has the slots' certificates that the user saw; `confirm` is explained in
        `manager.usecases.confirming`. Raises NotFoundError, ChangedMeanwhileError, ConfirmationNeededError.
        """
        if nodes is None:
            where = [
                record.name for record in await self._context.store.nodes.list() if record.kind == "node"
            ]
        else:
            where = list(nodes)
        now_s = self._context.clock()
        async with self._context.deciding() as inventory:
            # the store reports missing nodes and certificates, which rolls this back
            await self._context.store.assignments.check_seen(slot, seen)
            impact = await asyncio.to_thread(
                assess_assignment, inventory, certificate_id, where, slot, now_s=now_s
            )
            impact.require_confirmation(confirm)
            await self._context.store.assignments.assign(certificate_id, where, slot)
            detail = {"nodes": where, "slot": slot}
            await self._context.audit(actor, "certificate.assigned", f"certificate {certificate_id}", detail)
            then = await self._context.inventories.changed(inventory)
        log.info("certificate.assigned", certificate=certificate_id, slot=slot, count=len(where), user=actor)
        self._context.changed(where, cause=f"certificate {certificate_id} assigned")
        findings = await asyncio.to_thread(then.findings, certificate_id, now_s=int(now_s))
        return Assigned(nodes=where, consequences=impact.consequences, findings=findings)

    async def unassign(
        self,
        node: NodeName,
        slot: Slot,
        *,
        seen: Mapping[NodeName, CertificateId | None] = MappingProxyType({}),
        confirm: str | None = None,
        actor: str,
    ) -> None:
        """Empty a slot.

        The node keeps serving its certificate until another one is assigned. Arguments and errors are those
        of `assign`.
        """
        async with self._context.deciding() as inventory:
            await self._context.store.nodes.get(node)
            impact = await asyncio.to_thread(assess_unassignment, inventory, node, slot)
            impact.require_confirmation(confirm)
            was_full = await self._context.store.assignments.unassign(node, slot, seen=seen)
            if was_full:
                await self._context.audit(actor, "certificate.unassigned", f"node {node}", {"slot": slot})
        if was_full:
            self._context.changed([node], cause=f"{slot} slot emptied")

    async def by_node(self, search: str = "") -> "SlotList":
        """Return the slots of nodes: every server slot, and client slots with a certificate.

        `search` matches node names and certificates, ignoring case.
        """
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        places = await asyncio.to_thread(_places, inventory, search.strip().lower())
        return SlotList(inventory=inventory, places=places, now_s=now_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotList:
    """Slots of nodes with their certificates, which are judged only when they are shown.

    `judged` caches the judgements: thousands of nodes may share a certificate, and judging it looks at all of
    them.
    """

    inventory: Inventory
    places: Sequence[tuple[NodeName, Slot, CertificateId | None]]
    now_s: int
    judged: dict[CertificateId, ListedCertificate] = field(default_factory=dict, repr=False)

    async def shown(self, start: int, stop: int) -> list[tuple[NodeName, Slot, ListedCertificate | None]]:
        """Return a page of the list, judged."""
        return await asyncio.to_thread(self._shown, self.places[start:stop])

    def _shown(
        self, places: Sequence[tuple[NodeName, Slot, CertificateId | None]]
    ) -> list[tuple[NodeName, Slot, ListedCertificate | None]]:
        return [
            (name, slot, None if number is None else self._judge(number)) for name, slot, number in places
        ]

    def _judge(self, number: CertificateId) -> ListedCertificate:
        if number not in self.judged:
            self.judged[number] = judge_listed(self.inventory, self.inventory.entries[number], self.now_s)
        return self.judged[number]


def _places(inventory: Inventory, search: str) -> Sequence[tuple[NodeName, Slot, CertificateId | None]]:
    found = {
        number
        for number, entry in inventory.entries.items()
        if entry.places and search in entry.leaf.display_name.lower()
    }
    places: list[tuple[NodeName, Slot, CertificateId | None]] = []
    for name in inventory.nodes:
        for slot in SLOTS:
            number = inventory.slots.get((name, slot))
            if (number is not None or slot == "server") and (search in name or number in found):
                places.append((name, slot, number))
    return places
