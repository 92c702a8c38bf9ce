"""Assignments of certificates to the slots of nodes.

Invariant: a slot has at most one certificate.
"""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.bundle.manifest import Slot
from common.errors import ChangedMeanwhileError
from common.ids import CertificateId, NodeName
from manager.domain.model import AssignmentRecord
from manager.store.certificate_rows import require_certificate
from manager.store.engine import Database
from manager.store.nodes import ids_of
from manager.store.parts import chunks
from manager.store.tables.content import assignment, node


class Assignments:
    """A slot has at most one certificate; a certificate may be in any number of slots."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check_seen(self, slot: Slot, seen: Mapping[NodeName, CertificateId | None]) -> None:
        """Check that each node's slot still has the certificate that was `seen`.

        Raises ChangedMeanwhileError.
        """
        async with self._database.read() as connection:
            await _check_seen(connection, slot, seen)

    async def assign(self, certificate_id: CertificateId, nodes: Sequence[NodeName], slot: Slot) -> None:
        """Put a certificate into a slot of each of these nodes, replacing any other. Raises NotFoundError."""
        async with self._database.write() as connection:
            await require_certificate(connection, certificate_id)
            await assign_nodes(self._database, connection, certificate_id, nodes, slot)

    async def unassign(
        self,
        name: NodeName,
        slot: Slot,
        *,
        seen: Mapping[NodeName, CertificateId | None] = MappingProxyType({}),
    ) -> bool:
        """Empty a slot; return whether it held a certificate.

        Raises ChangedMeanwhileError as `check_seen` does.
        """
        async with self._database.write() as connection:
            self._database.opened.touch(nodes=[name])
            await _check_seen(connection, slot, seen)
            owner = select(node.c.id).where(node.c.name == name).scalar_subquery()
            result = await connection.execute(
                delete(assignment).where((assignment.c.node_id == owner) & (assignment.c.slot == slot))
            )
            return bool(result.rowcount)

    async def of(self, nodes: Collection[NodeName]) -> Sequence[AssignmentRecord]:
        """Return the assignments of these nodes."""
        async with self._database.read() as connection:
            return [
                each
                for part in chunks(sorted(nodes))
                for each in await assignments_of(connection, nodes=part)
            ]

    async def list(self) -> Sequence[AssignmentRecord]:
        async with self._database.read() as connection:
            return await assignments_of(connection)


async def assign_nodes(
    database: Database,
    connection: AsyncConnection,
    certificate_id: CertificateId,
    nodes: Sequence[NodeName],
    slot: Slot,
) -> None:
    """Put a certificate into a slot of each of these nodes within a transaction. Raises NotFoundError."""
    database.opened.touch(nodes=nodes)
    found = await ids_of(connection, nodes)
    statement = database.insert(assignment)
    statement = statement.on_conflict_do_update(
        index_elements=["node_id", "slot"], set_={"certificate_id": statement.excluded.certificate_id}
    )
    rows = [{"node_id": found[name], "slot": slot, "certificate_id": certificate_id} for name in nodes]
    if rows:
        await connection.execute(statement, rows)


async def _check_seen(
    connection: AsyncConnection, slot: Slot, seen: Mapping[NodeName, CertificateId | None]
) -> None:
    if not seen:
        return
    held: dict[NodeName, CertificateId] = {}
    for part in chunks(list(seen)):
        places = await assignments_of(connection, nodes=part)
        held.update({each.node: each.certificate_id for each in places if each.slot == slot})
    for name, certificate_id in seen.items():
        if held.get(name) != certificate_id:
            raise ChangedMeanwhileError(f"the {slot} slot of node '{name}' was changed in the meantime")


async def assignments_of(
    connection: AsyncConnection,
    *,
    certificate_id: CertificateId | None = None,
    nodes: Collection[NodeName] | None = None,
) -> Sequence[AssignmentRecord]:
    """Return assignments within a transaction.

    All, one certificate's, or those of some nodes (one IN list at most).
    """
    query = select(node.c.name, assignment.c.slot, assignment.c.certificate_id).join_from(assignment, node)
    if certificate_id is not None:
        query = query.where(assignment.c.certificate_id == certificate_id)
    if nodes is not None:
        query = query.where(node.c.name.in_(nodes))
    rows = await connection.execute(query.order_by(node.c.name, assignment.c.slot))
    return [
        AssignmentRecord(node=NodeName(name), slot=slot, certificate_id=number) for name, slot, number in rows
    ]
