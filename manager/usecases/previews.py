"""Previews of changes: an upload as it was understood, and the consequences of a change, without making it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from common.bundle.manifest import Slot
from common.errors import NotFoundError
from common.ids import NO_CERTIFICATE, CertificateId, NodeName, TrustedCaId
from common.pki.certificate import Certificate
from manager.domain.inventory import Entry, Judgement
from manager.domain.keeping import new_entry
from manager.domain.model import AssignmentRecord, CsrRecord
from manager.pki.judge.headline import Headline, headline
from manager.pki.read.material import TlsMaterial
from manager.usecases.confirming import (
    Impact,
    assess_csr_deletion,
    assess_deletion,
    assess_kept,
    assess_node_removal,
    assess_trust_removal,
    assess_unassignment,
)
from manager.usecases.context import Context
from manager.usecases.uploads import Upload, read_upload
from manager.usecases.workers import READ_TIMEOUT_S


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatePreview:
    """A TLS certificate as it was understood.

    `updates` is the entry with the same issuer and serial number, which would be replaced. `beside` are
    others of the same subject. `replaces` has the present certificate of each chosen node. `impact` has the
    consequences.
    """

    material: TlsMaterial
    judgement: Judgement
    updates: Entry | None
    beside: Sequence[Entry]
    replaces: Sequence[tuple[NodeName, Entry]]
    impact: Impact

    @property
    def headline(self) -> Headline:
        """Return the most important statement."""
        found = self.judgement
        return headline(found.statuses, found.chain.state, found.findings)

    @property
    def roots(self) -> Sequence[Certificate]:
        """Return the accompanying certificates that are roots of the chain, which are not served."""
        linked = {link.certificate for link in self.judgement.chain.links}
        return [each for each in self.material.extras if each in linked and each.is_self_signed]


class PreviewUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def certificate(self, upload: Upload) -> CertificatePreview:
        """Read an upload as `certificates.upload` would.

        Raises PkiFindingsError, InvalidInputError, NotFoundError.
        """
        where, chosen = list(upload.nodes), upload.slot
        inventory, now_s = await self._context.inventories.current(), self._context.clock()
        if unknown := [name for name in where if name not in inventory.nodes]:
            raise NotFoundError(f"there is no node '{unknown[0]}'")
        material = await self._context.workers.run(READ_TIMEOUT_S, read_upload, upload)
        impact = await asyncio.to_thread(assess_kept, inventory, material, where, chosen, now_s=now_s)
        updates, (material,) = impact.updates, impact.materials
        # judged as the entry that it updates; otherwise it would count as sharing that entry's key
        number = updates.id if updates is not None else NO_CERTIFICATE
        places = [AssignmentRecord(node=name, slot=chosen, certificate_id=number) for name in where]
        entry = new_entry(material, number=number, places=places, now_s=now_s)
        return CertificatePreview(
            material=material,
            judgement=await asyncio.to_thread(inventory.judge_new, entry, now_s=int(now_s)),
            updates=updates,
            beside=[
                each
                for each in inventory.entries.values()
                if each.leaf.subject_id == entry.leaf.subject_id and each is not updates
            ],
            replaces=[
                (name, inventory.entries[held])
                for name in where
                if (held := inventory.slots.get((name, chosen))) is not None
                and (updates is None or held != updates.id)
            ],
            impact=impact,
        )

    async def certificate_deletion(self, certificate_ids: Sequence[CertificateId]) -> Impact:
        """Assess `certificates.delete`."""
        inventory = await self._context.inventories.current()
        return await asyncio.to_thread(assess_deletion, inventory, certificate_ids)

    async def unassignment(self, node: NodeName, slot: Slot) -> Impact:
        """Assess `assignments.unassign`."""
        inventory = await self._context.inventories.current()
        return await asyncio.to_thread(assess_unassignment, inventory, node, slot)

    async def node_removal(self, *names: NodeName) -> Impact:
        """Assess `nodes.remove`."""
        inventory = await self._context.inventories.current()
        return await asyncio.to_thread(assess_node_removal, inventory, names)

    async def csr_deletion(self, records: Sequence[CsrRecord]) -> Impact:
        """Assess `csrs.delete`."""
        inventory = await self._context.inventories.current()
        return await asyncio.to_thread(assess_csr_deletion, inventory, records)

    async def trust_removal(self, trusted_ca_ids: Sequence[TrustedCaId]) -> Impact:
        """Assess `trust.delete`."""
        inventory, now_s = await self._context.inventories.current(), int(self._context.clock())
        return await asyncio.to_thread(
            assess_trust_removal, inventory, set(trusted_ca_ids), (), edited=None, now_s=now_s
        )
