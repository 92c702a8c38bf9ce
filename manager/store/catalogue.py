"""Changes of several kinds of entries at once.

An import, the answer to a signing request, a node with its slots.

Invariant: each is one transaction, so nothing is half-imported and no node is without a certificate in
between.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.bundle.manifest import Slot
from common.ids import CertificateId, CsrId, NodeName
from manager.domain.model import CertificateRecord, NodeDescription, TrustedCaRecord
from manager.store.assignments import assign_nodes, assignments_of
from manager.store.certificate_rows import keep_certificate, require_certificate
from manager.store.csrs import get_csr
from manager.store.engine import Database
from manager.store.nodes import get_node
from manager.store.records import NewCertificate, NewTrustedCa
from manager.store.sealing import Keyring
from manager.store.tables.content import assignment, csr, node
from manager.store.trust import keep_trusted_ca


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Result of an import: each entry, and whether it is new."""

    tls: Sequence[tuple[CertificateRecord, bool]]
    trusted_cas: Sequence[tuple[TrustedCaRecord, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """Result of a signed answer.

    The certificate, whether its entry is new, and the nodes that have it now.
    """

    certificate: CertificateRecord
    created: bool
    nodes: Sequence[NodeName]


class Catalogue:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def keep(
        self,
        tls: Sequence[NewCertificate],
        trusted_cas: Sequence[NewTrustedCa],
        *,
        replaced: Collection[CertificateId] = (),
        now_s: float,
    ) -> Imported:
        """Store all of these or none; `replaced` as for `Certificates.add`. Raises IdentityConflictError."""
        async with self._database.write() as connection:
            kept = [
                await keep_certificate(connection, self._keyring, new, replaced=replaced, now_s=now_s)
                for new in tls
            ]
            self._database.opened.touch(
                certificates=[record.id for record, _ in kept], trusted_cas=bool(trusted_cas)
            )
            return Imported(
                tls=kept,
                trusted_cas=[await keep_trusted_ca(connection, new, now_s=now_s) for new in trusted_cas],
            )

    async def answer(
        self,
        csr_id: CsrId,
        new: NewCertificate,
        *,
        take_over: bool,
        nodes: Sequence[NodeName],
        slot: Slot,
        replaced: Collection[CertificateId] = (),
        now_s: float,
    ) -> KeptAnswer:
        """Store the certificate that a CA issued for a request, and mark the request as answered.

        `take_over` moves every slot of the certificate that the request replaces to the new one; `nodes` get
        it in `slot`. `replaced` as for `Certificates.add`. Raises NotFoundError, IdentityConflictError.
        """
        async with self._database.write() as connection:
            replaces_id = (await get_csr(connection, csr_id)).replaces_id
            record, created = await keep_certificate(
                connection, self._keyring, new, replaced=replaced, now_s=now_s
            )
            self._database.opened.touch(certificates=[record.id])
            if take_over and replaces_id is not None:
                await self._take_over(connection, CertificateId(replaces_id), record.id)
            await assign_nodes(self._database, connection, record.id, nodes, slot)
            answered = {"answer_id": record.id, "answered_s": now_s, "answer_text": new.text}
            await connection.execute(update(csr).where(csr.c.id == csr_id).values(answered))
            return KeptAnswer(
                certificate=record, created=created, nodes=await _nodes_of(connection, record.id)
            )

    async def renew(
        self,
        predecessor_id: CertificateId | None,
        new: NewCertificate,
        *,
        nodes: Sequence[NodeName],
        slot: Slot,
        now_s: float,
    ) -> KeptAnswer:
        """Store a renewed certificate beside the old one, and move all of its slots.

        `nodes` get it in `slot`.

        Raises NotFoundError, IdentityConflictError.
        """
        async with self._database.write() as connection:
            record, created = await keep_certificate(connection, self._keyring, new, now_s=now_s)
            self._database.opened.touch(certificates=[record.id])
            if predecessor_id is not None:
                await require_certificate(connection, predecessor_id)
                await self._take_over(connection, predecessor_id, record.id)
            await assign_nodes(self._database, connection, record.id, nodes, slot)
            return KeptAnswer(
                certificate=record, created=created, nodes=await _nodes_of(connection, record.id)
            )

    async def _take_over(
        self, connection: AsyncConnection, before: CertificateId, after: CertificateId
    ) -> None:
        """Move every slot of one certificate to another."""
        places = await assignments_of(connection, certificate_id=before)
        self._database.opened.touch(nodes=[place.node for place in places])
        moved = assignment.c.certificate_id == before
        await connection.execute(update(assignment).where(moved).values(certificate_id=after))

    async def describe(self, name: NodeName, described: NodeDescription) -> None:
        """Replace a node's description, and change its slots.

        Raises NotFoundError: the node, or a certificate.
        """
        async with self._database.write() as connection:
            self._database.opened.touch(nodes=[name])
            owner = (await get_node(connection, name)).id
            values = {
                "names": json.dumps(list(described.names)),
                "addresses": json.dumps(list(described.addresses)),
                "detail": json.dumps(dict(described.detail)),
            }
            await connection.execute(update(node).where(node.c.id == owner).values(values))
            await self._database.changed(connection, [owner])
            for slot, certificate_id in described.slots.items():
                if certificate_id is None:
                    emptied = (assignment.c.node_id == owner) & (assignment.c.slot == slot)
                    await connection.execute(delete(assignment).where(emptied))
                else:
                    await require_certificate(connection, certificate_id)
                    await assign_nodes(self._database, connection, certificate_id, [name], slot)


async def _nodes_of(connection: AsyncConnection, certificate_id: CertificateId) -> Sequence[NodeName]:
    own = assignment.c.certificate_id == certificate_id
    rows = await connection.execute(select(node.c.name).join(assignment).where(own).distinct())
    return sorted(NodeName(row.name) for row in rows)
