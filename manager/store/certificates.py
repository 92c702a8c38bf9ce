"""TLS certificates with their sealed keys, and which node's slot has which.

Invariant: a private key leaves only inside a `SlotMaterial`; every other answer is without it.
"""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.bundle.build import SlotMaterial
from common.bundle.manifest import Slot, SlotFacts
from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.ids import Fingerprint, NodeName
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.store.engine import Database, chunks
from manager.store.nodes import node_ids
from manager.store.records import NewCertificate
from manager.store.sealing import PRIVATE_KEY, Keyring
from manager.store.tables import assignment, certificate, node

_PLAIN = [column for column in certificate.columns if column.name != "sealed_key"]


class Certificates:
    """See the module."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(self, new: NewCertificate, *, now_s: float) -> tuple[CertificateRecord, bool]:
        """Keep a certificate; return it, and whether it is a new entry.

        One with the same issuer and serial number is updated in place (the specification's rule on uploading).
        """
        async with self._database.write(content=True) as connection:
            known = (await connection.execute(select(certificate.c.id).where(_is_same(new)))).scalar()
            if known is not None:
                return await self._update(connection, int(known), new, now_s), False
            values = {**_values(new), "created_s": now_s, "changed_s": now_s, "sealed_key": b""}
            result = await connection.execute(insert(certificate).values(values))
            (added,) = result.inserted_primary_key or (0,)
            await self._seal(connection, int(added), new)
            return await _get(connection, int(added)), True

    async def update(self, certificate_id: int, new: NewCertificate, *, now_s: float) -> CertificateRecord:
        """Replace an entry's content.

        Raises NotFoundError, or ConflictError if another entry has the same issuer and serial number.
        """
        async with self._database.write(content=True) as connection:
            known = (await connection.execute(select(certificate.c.id).where(_is_same(new)))).scalar()
            if known not in {None, certificate_id}:
                raise ConflictError(
                    f"certificate {known} has the same issuer and serial number; change that one instead"
                )
            return await self._update(connection, certificate_id, new, now_s)

    async def get(self, certificate_id: int) -> CertificateRecord:
        """Return one. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await _get(connection, certificate_id)

    async def list(self) -> Sequence[CertificateRecord]:
        """Return all by id."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(*_PLAIN).order_by(certificate.c.id))
            return [_record(row) for row in rows]

    async def delete(self, certificate_id: int) -> Sequence[AssignmentRecord]:
        """Remove one; return the assignments that went with it. Raises NotFoundError."""
        async with self._database.write(content=True) as connection:
            lost = await _assignments(connection, certificate_id=certificate_id)
            result = await connection.execute(delete(certificate).where(certificate.c.id == certificate_id))
            if not result.rowcount:
                raise _missing(certificate_id)
            return lost

    async def nodes_of(self, certificate_id: int) -> Sequence[AssignmentRecord]:
        """Return where a certificate is assigned."""
        async with self._database.read() as connection:
            return await _assignments(connection, certificate_id=certificate_id)

    async def slot_material(self, certificate_ids: Collection[int]) -> Mapping[int, SlotMaterial]:
        """Return what is served of these certificates, keys unsealed. Those that do not exist are left out."""
        rows: list[Row[Any]] = []
        async with self._database.read() as connection:
            for part in chunks(sorted(certificate_ids)):
                rows += (
                    await connection.execute(select(certificate).where(certificate.c.id.in_(part)))
                ).all()
        return await asyncio.to_thread(lambda: {int(row.id): self._material(row) for row in rows})

    async def private_key(self, certificate_id: int) -> str:
        """Return a certificate's private key for an export that was checked. Raises NotFoundError."""
        materials = await self.slot_material({certificate_id})
        if certificate_id not in materials:
            raise _missing(certificate_id)
        return materials[certificate_id].private_key_pem

    async def _update(
        self, connection: AsyncConnection, certificate_id: int, new: NewCertificate, now_s: float
    ) -> CertificateRecord:
        values = {**_values(new), "changed_s": now_s}
        result = await connection.execute(
            update(certificate).where(certificate.c.id == certificate_id).values(values)
        )
        if not result.rowcount:
            raise _missing(certificate_id)
        await self._seal(connection, certificate_id, new)
        return await _get(connection, certificate_id)

    async def _seal(self, connection: AsyncConnection, certificate_id: int, new: NewCertificate) -> None:
        sealed = self._keyring.seal(_identity(certificate_id), new.private_key_pem.encode())
        await connection.execute(
            update(certificate).where(certificate.c.id == certificate_id).values(sealed_key=sealed)
        )

    def _material(self, row: Row[Any]) -> SlotMaterial:
        return SlotMaterial(
            facts=SlotFacts(
                leaf=Fingerprint(row.fingerprint), not_before_s=row.not_before_s, not_after_s=row.not_after_s
            ),
            certificate_pem=row.leaf_pem,
            chain_pem=row.chain_pem,
            private_key_pem=self._keyring.open(_identity(row.id), row.sealed_key).decode(),
            parameters_pem=row.parameters_pem,
        )


class Assignments:
    """Certificate <-> node slot: at most one certificate a slot, any number of slots a certificate."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def assign(self, certificate_id: int, nodes: Sequence[NodeName], slot: Slot) -> None:
        """Put a certificate into a slot of each of these nodes, in place of what was there. Raises NotFoundError."""
        async with self._database.write(content=True) as connection:
            if (
                await connection.execute(select(certificate.c.id).where(certificate.c.id == certificate_id))
            ).first() is None:
                raise _missing(certificate_id)
            found = await node_ids(connection, set(nodes))
            if unknown := [name for name in nodes if name not in found]:
                raise NotFoundError(
                    f"there is no node '{unknown[0]}'; 'certcast node list' shows those there are"
                )
            statement = self._database.insert(assignment)
            statement = statement.on_conflict_do_update(
                index_elements=["node_id", "slot"], set_={"certificate_id": statement.excluded.certificate_id}
            )
            rows = [
                {"node_id": found[name], "slot": slot, "certificate_id": certificate_id} for name in nodes
            ]
            if rows:
                await connection.execute(statement, rows)

    async def unassign(self, name: NodeName, slot: Slot) -> bool:
        """Empty a slot; return whether there was anything in it."""
        async with self._database.write(content=True) as connection:
            owner = select(node.c.id).where(node.c.name == name).scalar_subquery()
            result = await connection.execute(
                delete(assignment).where((assignment.c.node_id == owner) & (assignment.c.slot == slot))
            )
            return bool(result.rowcount)

    async def list(self) -> Sequence[AssignmentRecord]:
        """Return all."""
        async with self._database.read() as connection:
            return await _assignments(connection)


async def _assignments(
    connection: AsyncConnection, *, certificate_id: int | None = None
) -> Sequence[AssignmentRecord]:
    query = select(node.c.name, assignment.c.slot, assignment.c.certificate_id).join_from(assignment, node)
    if certificate_id is not None:
        query = query.where(assignment.c.certificate_id == certificate_id)
    rows = await connection.execute(query.order_by(node.c.name, assignment.c.slot))
    return [
        AssignmentRecord(node=NodeName(row.name), slot=row.slot, certificate_id=row.certificate_id)
        for row in rows
    ]


async def _get(connection: AsyncConnection, certificate_id: int) -> CertificateRecord:
    row = (await connection.execute(select(*_PLAIN).where(certificate.c.id == certificate_id))).first()
    if row is None:
        raise _missing(certificate_id)
    return _record(row)


def _record(row: Row[Any]) -> CertificateRecord:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    fields["subject_alt_names"] = tuple(json.loads(fields["subject_alt_names"]))
    fields["fingerprint"] = Fingerprint(fields["fingerprint"])
    return CertificateRecord(**fields)


def _values(new: NewCertificate) -> dict[str, Any]:
    values = {name: getattr(new, name) for name in new.__slots__ if name != "private_key_pem"}
    if shown := [name for name, value in values.items() if isinstance(value, str) and PRIVATE_KEY in value]:
        raise InvalidInputError(shown[0], "a private key stands where it would be kept in the clear")
    return {**values, "subject_alt_names": json.dumps(new.subject_alt_names)}


def _is_same(new: NewCertificate) -> ColumnElement[bool]:
    return (certificate.c.raw_issuer == new.raw_issuer) & (certificate.c.serial_no == new.serial_no)


def _identity(certificate_id: int) -> str:
    return f"certificate:{certificate_id}"


def _missing(certificate_id: int) -> NotFoundError:
    return NotFoundError(
        f"there is no certificate {certificate_id}; 'certcast certificate list' shows those there are"
    )
