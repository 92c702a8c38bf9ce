"""Uploading, replacing, assigning and deleting TLS certificates."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from common.bundle.manifest import SLOTS, Slot
from common.errors import ConflictError, InvalidInputError
from common.ids import NodeName, node_name
from common.pki.certificate import decode
from common.pki.material import TlsMaterial
from common.pki.pem import read_blocks
from common.pki.status import status_of
from common.pki.upload import read_tls
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.operations.context import Context
from manager.operations.workers import READ_TIMEOUT_S
from manager.store.records import NewCertificate

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate, its leading status in the specification's words, and where it is assigned."""

    record: CertificateRecord
    status: str
    nodes: Sequence[AssignmentRecord]


def slot_name(text: str) -> Slot:
    """Check a slot's name. Raises InvalidInputError."""
    for slot in SLOTS:
        if text == slot:
            return slot
    raise InvalidInputError("slot", f"'{text[:40]}' is not a slot; a node has {' and '.join(SLOTS)}")


def new_certificate(material: TlsMaterial, *, temporary: bool = False) -> NewCertificate:
    """Return what the store keeps of a certificate that was read or made."""
    leaf = material.leaf
    return NewCertificate(
        text=material.certificate_text,
        leaf_pem=leaf.pem,
        chain_pem="".join(each.pem for each in material.chain),
        parameters_pem=material.parameters_pem,
        private_key_pem=material.private_key_pem,
        fingerprint=leaf.fingerprint,
        subject_name=leaf.subject_name,
        issuer_name=leaf.issuer_name,
        raw_subject=leaf.raw_subject,
        raw_issuer=leaf.raw_issuer,
        serial_no=leaf.serial_no,
        subject_alt_names=leaf.subject_alt_names,
        not_before_s=leaf.not_before_s,
        not_after_s=leaf.not_after_s,
        self_signed=leaf.is_self_signed,
        temporary=temporary,
    )


class CertificateOperations:
    """See the module."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def upload(
        self,
        *,
        certificate: str,
        private_key: str,
        passphrase: str | None,
        parameters: str,
        nodes: Sequence[str],
        slot: str,
        actor: str,
    ) -> tuple[CertificateRecord, bool]:
        """Read, keep and assign a certificate; return it, and whether it is a new entry.

        Raises PkiFindingsError (every finding), InvalidInputError, NotFoundError; then nothing was kept.
        """
        chosen, where = slot_name(slot), [node_name(name) for name in nodes]
        for name in where:
            await self._context.store.nodes.get(name)
        material = await self._context.workers.run(
            READ_TIMEOUT_S,
            read_tls,
            certificate=certificate,
            private_key=private_key,
            passphrase=passphrase,
            parameters=parameters,
        )
        record, created = await self._context.store.certificates.add(
            new_certificate(material), now_s=self._context.clock()
        )
        concerned = {each.node for each in await self._context.store.certificates.nodes_of(record.id)}
        if where:
            await self._context.store.assignments.assign(record.id, where, chosen)
        detail = {"fingerprint": record.fingerprint, "nodes": where, "slot": chosen}
        action = "certificate.uploaded" if created else "certificate.updated"
        await self._context.note(actor, action, f"certificate {record.id}", detail)
        log.info(action, certificate=record.id, leaf=record.fingerprint, user=actor, count=len(where))
        self._context.fleet.changed({*concerned, *where}, cause=f"certificate {record.id} uploaded")
        return record, created

    async def list(self) -> Sequence[CertificateView]:
        """Return all, each with its status and nodes."""
        records = await self._context.store.certificates.list()
        assigned: dict[int, list[AssignmentRecord]] = {}
        for each in await self._context.store.assignments.list():
            assigned.setdefault(each.certificate_id, []).append(each)
        # decoding takes 0.2 ms each, and there may be thousands
        return await asyncio.to_thread(
            lambda: [self._view(record, assigned.get(record.id, ())) for record in records]
        )

    async def show(self, certificate_id: int) -> CertificateView:
        """Return one. Raises NotFoundError."""
        record = await self._context.store.certificates.get(certificate_id)
        return self._view(record, await self._context.store.certificates.nodes_of(certificate_id))

    async def assign(
        self, certificate_id: int, *, nodes: Sequence[str] | None, slot: str, actor: str
    ) -> Sequence[NodeName]:
        """Put a certificate into a slot of these nodes (None: of all); return them. Raises NotFoundError."""
        chosen = slot_name(slot)
        if nodes is None:
            where = [
                record.name for record in await self._context.store.nodes.list() if record.kind == "node"
            ]
        else:
            where = [node_name(name) for name in nodes]
        await self._context.store.assignments.assign(certificate_id, where, chosen)
        await self._context.note(
            actor, "certificate.assigned", f"certificate {certificate_id}", {"nodes": where, "slot": chosen}
        )
        log.info(
            "certificate.assigned", certificate=certificate_id, slot=chosen, count=len(where), user=actor
        )
        self._context.fleet.changed(where, cause=f"certificate {certificate_id} assigned")
        return where

    async def unassign(self, node: str, slot: str, *, actor: str) -> None:
        """Empty a slot. A node keeps serving what it has until another certificate is assigned."""
        name, chosen = node_name(node), slot_name(slot)
        await self._context.store.nodes.get(name)
        if await self._context.store.assignments.unassign(name, chosen):
            await self._context.note(actor, "certificate.unassigned", f"node {name}", {"slot": chosen})
            self._context.fleet.changed([name], cause=f"{chosen} slot emptied")

    async def delete(self, certificate_id: int, *, force: bool, actor: str) -> Sequence[AssignmentRecord]:
        """Remove a certificate; return the assignments that went with it.

        Raises ConflictError naming the nodes that would lose it, unless forced; NotFoundError.
        """
        held = await self._context.store.certificates.nodes_of(certificate_id)
        if held and not force:
            names = ", ".join(sorted({each.node for each in held}))
            raise ConflictError(
                f"certificate {certificate_id} is assigned to {names}; assign another there first, "
                "or confirm with --force (they keep serving it until another is assigned)"
            )
        lost = await self._context.store.certificates.delete(certificate_id)
        await self._context.note(
            actor,
            "certificate.deleted",
            f"certificate {certificate_id}",
            {"nodes": [each.node for each in lost]},
        )
        log.info("certificate.deleted", certificate=certificate_id, user=actor, count=len(lost))
        self._context.fleet.changed(
            {each.node for each in lost}, cause=f"certificate {certificate_id} deleted"
        )
        return lost

    def _view(self, record: CertificateRecord, nodes: Sequence[AssignmentRecord]) -> CertificateView:
        (block,) = read_blocks(record.leaf_pem).blocks
        status = status_of(decode(block.der), now_s=int(self._context.clock()))
        return CertificateView(record=record, status=status.text, nodes=nodes)
