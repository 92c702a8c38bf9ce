"""TLS certificates with their sealed keys.

Invariant: a private key leaves only inside a `SlotMaterial`, or through `private_key`; no other result has
it.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, select

from common.bundle.build import SlotMaterial
from common.bundle.manifest import Slot, SlotFacts
from common.errors import ChangedMeanwhileError, ConflictError
from common.ids import CertificateId, Fingerprint, NodeName
from common.pki.expiry import as_number
from manager.domain.annotations import NO_ANNOTATIONS, Annotations
from manager.domain.etag import etag_of_certificate
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.store.assignments import assign_nodes, assignments_of
from manager.store.certificate_rows import (
    PLAIN_COLUMNS,
    annotate_certificate,
    certificate_record,
    conflict_with,
    get_certificate,
    identity_of,
    keep_certificate,
    missing_certificate,
    namesakes,
    update_certificate,
)
from manager.store.engine import Database
from manager.store.parts import chunks
from manager.store.records import NewCertificate
from manager.store.sealing import Keyring
from manager.store.tables.content import assignment, certificate

NAMED_MAX: Final = 20
"""How many nodes one sentence names."""


class Certificates:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(
        self,
        new: NewCertificate,
        *,
        nodes: Sequence[NodeName] = (),
        slot: Slot = "server",
        replaced: Collection[CertificateId] = (),
        annotations: Annotations = NO_ANNOTATIONS,
        now_s: float,
    ) -> tuple[CertificateRecord, bool]:
        """Store a certificate, assigned to these nodes; return it, and whether its entry is new.

        An entry with the same issuer, serial number and key is updated in place (the specification's rule on
        uploading). One with another key is updated only if it is in `replaced`. Raises NotFoundError,
        IdentityConflictError; then nothing was stored.
        """
        async with self._database.write() as connection:
            record, created = await keep_certificate(
                connection, self._keyring, new, replaced=replaced, now_s=now_s
            )
            self._database.opened.touch(certificates=[record.id])
            await assign_nodes(self._database, connection, record.id, nodes, slot)
            await annotate_certificate(connection, record.id, annotations, now_s)
            return await get_certificate(connection, record.id), created

    async def update(
        self,
        certificate_id: CertificateId,
        new: NewCertificate | None,
        *,
        nodes: Sequence[NodeName] | None = None,
        slot: Slot = "server",
        annotations: Annotations = NO_ANNOTATIONS,
        now_s: float,
    ) -> CertificateRecord:
        """Replace an entry's content, its nodes in a slot, and its annotations; None leaves each as it is.

        Raises NotFoundError; IdentityConflictError if another entry has the same issuer and serial number.
        """
        async with self._database.write() as connection:
            self._database.opened.touch(certificates=[certificate_id])
            if new is not None:
                others = [row for row in await namesakes(connection, new) if row.id != certificate_id]
                if others:
                    raise conflict_with(others[0], new)
                await update_certificate(connection, self._keyring, certificate_id, new, now_s)
            if nodes is not None:
                places = await assignments_of(connection, certificate_id=certificate_id)
                self._database.opened.touch(nodes=[place.node for place in places])
                own = (assignment.c.certificate_id == certificate_id) & (assignment.c.slot == slot)
                await connection.execute(delete(assignment).where(own))
                await assign_nodes(self._database, connection, certificate_id, nodes, slot)
            await annotate_certificate(connection, certificate_id, annotations, now_s)
            return await get_certificate(connection, certificate_id)

    async def check_seen(self, certificate_id: CertificateId, seen: str | None) -> None:
        """Check that an entry still has the tag (`manager.domain.etag`) that was `seen`.

        None skips the check.

        Raises NotFoundError, ChangedMeanwhileError.
        """
        async with self._database.read() as connection:
            places = await assignments_of(connection, certificate_id=certificate_id)
            found = etag_of_certificate(await get_certificate(connection, certificate_id), places)
        if seen not in {None, found}:
            raise ChangedMeanwhileError(f"certificate {certificate_id} was changed in the meantime")

    async def get(self, certificate_id: CertificateId) -> CertificateRecord:
        """Return a certificate. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await get_certificate(connection, certificate_id)

    async def delete(
        self, certificate_ids: Collection[CertificateId], *, even_assigned: bool
    ) -> Sequence[AssignmentRecord]:
        """Remove all of these or none; return the assignments that were removed with them.

        Raises NotFoundError; ConflictError, which names the nodes, if one is assigned without
        `even_assigned`.
        """
        async with self._database.write() as connection:
            lost: list[AssignmentRecord] = []
            for certificate_id in dict.fromkeys(certificate_ids):
                lost += await assignments_of(connection, certificate_id=certificate_id)
                await get_certificate(connection, certificate_id)
            if lost and not even_assigned:
                raise ConflictError(
                    f"{_held(lost)}; assign another certificate there first "
                    "(what those nodes serve stays until another is assigned)"
                )
            self._database.opened.touch(nodes=[place.node for place in lost], certificates=certificate_ids)
            for part in chunks(sorted(set(certificate_ids))):
                await connection.execute(delete(certificate).where(certificate.c.id.in_(part)))
            return lost

    async def changes(self) -> Mapping[CertificateId, float]:
        """Return when each certificate last changed, by id.

        A cheap way to see what a copy in memory lacks.
        """
        async with self._database.read() as connection:
            query = select(certificate.c.id, certificate.c.changed_s).order_by(certificate.c.id)
            rows = await connection.execute(query)
            # unpacking rows is three times as fast as fields by name, and there may be ten thousand
            return {number: changed_s for number, changed_s in rows}  # noqa: C416 - dict() would not type

    async def list(
        self, certificate_ids: Collection[CertificateId] | None = None
    ) -> Sequence[CertificateRecord]:
        """Return all certificates by id, or those among the given ids that exist."""
        query = select(*PLAIN_COLUMNS).order_by(certificate.c.id)
        parts = [None] if certificate_ids is None else chunks(sorted(set(certificate_ids)))
        found: list[CertificateRecord] = []
        async with self._database.read() as connection:
            for part in parts:
                some = query if part is None else query.where(certificate.c.id.in_(part))
                found += [certificate_record(row) for row in await connection.execute(some)]
        return found

    async def nodes_of(self, certificate_id: CertificateId) -> Sequence[AssignmentRecord]:
        """Return a certificate's assignments."""
        async with self._database.read() as connection:
            return await assignments_of(connection, certificate_id=certificate_id)

    async def slot_material(
        self, certificate_ids: Collection[CertificateId]
    ) -> Mapping[CertificateId, SlotMaterial]:
        """Return what nodes serve of these certificates, keys unsealed.

        Certificates that do not exist are left out.
        """
        rows: list[Row[Any]] = []
        async with self._database.read() as connection:
            for part in chunks(sorted(certificate_ids)):
                rows += (
                    await connection.execute(select(certificate).where(certificate.c.id.in_(part)))
                ).all()
        return await asyncio.to_thread(lambda: {CertificateId(row.id): self._material(row) for row in rows})

    async def private_key(self, certificate_id: CertificateId) -> str:
        """Return a certificate's private key, for an export that the caller has authorised.

        Raises NotFoundError.
        """
        materials = await self.slot_material({certificate_id})
        if certificate_id not in materials:
            raise missing_certificate(certificate_id)
        return materials[certificate_id].private_key_pem

    def _material(self, row: Row[Any]) -> SlotMaterial:
        return SlotMaterial(
            facts=SlotFacts(
                leaf=Fingerprint(row.fingerprint),
                not_before_s=as_number(row.not_before_s),
                not_after_s=as_number(row.not_after_s),
            ),
            certificate_pem=row.leaf_pem,
            chain_pem=row.chain_pem,
            private_key_pem=self._keyring.open(identity_of(row.id), row.sealed_key).decode(),
            parameters_pem=row.parameters_pem,
        )


def _held(assignments: Sequence[AssignmentRecord]) -> str:
    """Name the certificates that nodes would lose, and the nodes, of which there may be thousands."""
    by_certificate: dict[CertificateId, dict[NodeName, None]] = {}
    for each in assignments:
        by_certificate.setdefault(each.certificate_id, {})[each.node] = None
    held = []
    for number, nodes in by_certificate.items():
        names = list(nodes)
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        held.append(f"certificate {number} is still assigned to {', '.join(names[:NAMED_MAX])}{more}")
    return "; ".join(held)
