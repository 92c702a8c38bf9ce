"""TLS certificates with their sealed keys, and which node's slot has which.

Invariant: a private key leaves only inside a `SlotMaterial`; every other answer is without it.
"""

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import Row, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.bundle.build import SlotMaterial
from common.bundle.manifest import Slot, SlotFacts
from common.errors import ChangedMeanwhileError, ConflictError, Hint, InvalidInputError, NotFoundError
from common.ids import Fingerprint, NodeName
from manager.domain.etag import etag_of_certificate
from manager.domain.identity import Identified, IdentityConflictError
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.store.engine import Database, chunks
from manager.store.nodes import node_ids
from manager.store.records import NewCertificate
from manager.store.sealing import PRIVATE_KEY, Keyring
from manager.store.tables import assignment, certificate, node

NAMED_MAX: Final = 20
"""Nodes that one sentence names."""

TICK_S: Final = 0.001
"""What a later change differs by at least; today's unix time as a float has steps of 0.24 microseconds."""

_INTERNAL: Final = frozenset({"sealed_key", "issuer_id", "public_key_id"})
"""Columns that no record shows."""

_PLAIN = [column for column in certificate.columns if column.name not in _INTERNAL]


class Certificates:
    """See the module."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(
        self,
        new: NewCertificate,
        *,
        nodes: Sequence[NodeName] = (),
        slot: Slot = "server",
        replaced: Collection[int] = (),
        now_s: float,
    ) -> tuple[CertificateRecord, bool]:
        """Keep a certificate, assigned to these nodes; return it, and whether it is a new entry.

        One with the same issuer, serial number and key is updated in place (the specification's rule on uploading); one with another
        key only if it is among those that may be `replaced`. Raises NotFoundError, IdentityConflictError; then nothing was kept.
        """
        async with self._database.write(content=True) as connection:
            record, created = await keep_certificate(
                connection, self._keyring, new, replaced=replaced, now_s=now_s
            )
            await assign_nodes(self._database, connection, record.id, nodes, slot)
            return record, created

    async def update(
        self,
        certificate_id: int,
        new: NewCertificate | None,
        *,
        nodes: Sequence[NodeName] | None = None,
        slot: Slot = "server",
        now_s: float,
    ) -> CertificateRecord:
        """Replace an entry's content, and the nodes that have it in a slot; None leaves either as it is.

        Raises NotFoundError; IdentityConflictError if another entry has the same issuer and serial number.
        """
        async with self._database.write(content=True) as connection:
            if new is not None:
                others = [row for row in await _namesakes(connection, new) if row.id != certificate_id]
                if others:
                    raise _conflict(others[0], new)
                await _update(connection, self._keyring, certificate_id, new, now_s)
            if nodes is not None:
                own = (assignment.c.certificate_id == certificate_id) & (assignment.c.slot == slot)
                await connection.execute(delete(assignment).where(own))
                await assign_nodes(self._database, connection, certificate_id, nodes, slot)
            return await _get(connection, certificate_id)

    async def check_seen(self, certificate_id: int, seen: str | None) -> None:
        """Check that an entry's tag (`manager.domain.etag`) is the one that was `seen`; None is any. Raises NotFoundError, ChangedMeanwhileError."""
        async with self._database.read() as connection:
            places = await _assignments(connection, certificate_id=certificate_id)
            found = etag_of_certificate(await _get(connection, certificate_id), places)
        if seen not in {None, found}:
            raise ChangedMeanwhileError(f"certificate {certificate_id} was changed meanwhile")

    async def get(self, certificate_id: int) -> CertificateRecord:
        """Return one. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await _get(connection, certificate_id)

    async def delete(
        self, certificate_ids: Collection[int], *, even_assigned: bool
    ) -> Sequence[AssignmentRecord]:
        """Remove all of these or none; return the assignments that went with them.

        Raises NotFoundError; ConflictError naming the nodes if one is assigned and `even_assigned` is not given.
        """
        async with self._database.write(content=True) as connection:
            lost: list[AssignmentRecord] = []
            for certificate_id in dict.fromkeys(certificate_ids):
                lost += await _assignments(connection, certificate_id=certificate_id)
                await _get(connection, certificate_id)
            if lost and not even_assigned:
                raise ConflictError(
                    f"{_held(lost)}; assign another certificate there first "
                    "(what those nodes serve stays until another is assigned)"
                )
            for part in chunks(sorted(set(certificate_ids))):
                await connection.execute(delete(certificate).where(certificate.c.id.in_(part)))
            return lost

    async def changes(self) -> Mapping[int, float]:
        """Return when each certificate was last changed, in the order of ids: a cheap look at what a copy in memory lacks."""
        async with self._database.read() as connection:
            query = select(certificate.c.id, certificate.c.changed_s).order_by(certificate.c.id)
            rows = await connection.execute(query)
            # rows taken apart are read three times as fast as fields by name, and there may be ten thousand
            return {number: changed_s for number, changed_s in rows}  # noqa: C416 - dict() would not type

    async def list(self, certificate_ids: Collection[int] | None = None) -> Sequence[CertificateRecord]:
        """Return all, or those of these that exist, by id."""
        query = select(*_PLAIN).order_by(certificate.c.id)
        parts = [None] if certificate_ids is None else chunks(sorted(set(certificate_ids)))
        found: list[CertificateRecord] = []
        async with self._database.read() as connection:
            for part in parts:
                some = query if part is None else query.where(certificate.c.id.in_(part))
                found += [_record(row) for row in await connection.execute(some)]
        return found

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


async def keep_certificate(
    connection: AsyncConnection,
    keyring: Keyring,
    new: NewCertificate,
    *,
    replaced: Collection[int] = (),
    now_s: float,
) -> tuple[CertificateRecord, bool]:
    """Keep a certificate within a transaction; return it, and whether it is a new entry. Raises IdentityConflictError."""
    namesakes = await _namesakes(connection, new)
    own = [row for row in namesakes if row.public_key_id == new.public_key_id or row.id in replaced]
    if own:
        await _update(connection, keyring, int(own[0].id), new, now_s)
        return await _get(connection, int(own[0].id)), False
    if namesakes:
        raise _conflict(namesakes[0], new)
    values = {**_values(new), "created_s": now_s, "changed_s": now_s, "sealed_key": b""}
    result = await connection.execute(insert(certificate).values(values))
    (added,) = result.inserted_primary_key or (0,)
    await _seal(connection, keyring, int(added), new)
    return await _get(connection, int(added)), True


async def require_certificate(connection: AsyncConnection, certificate_id: int) -> None:
    """Check within a transaction that there is such a certificate. Raises NotFoundError."""
    known = select(certificate.c.id).where(certificate.c.id == certificate_id)
    if (await connection.execute(known)).first() is None:
        raise _missing(certificate_id)


async def assign_nodes(
    database: Database,
    connection: AsyncConnection,
    certificate_id: int,
    nodes: Sequence[NodeName],
    slot: Slot,
) -> None:
    """Put a certificate into a slot of each of these nodes within a transaction. Raises NotFoundError."""
    found = await node_ids(connection, set(nodes))
    if unknown := [name for name in nodes if name not in found]:
        raise NotFoundError(f"there is no node '{unknown[0]}'", hint=Hint.LIST_NODES)
    statement = database.insert(assignment)
    statement = statement.on_conflict_do_update(
        index_elements=["node_id", "slot"], set_={"certificate_id": statement.excluded.certificate_id}
    )
    rows = [{"node_id": found[name], "slot": slot, "certificate_id": certificate_id} for name in nodes]
    if rows:
        await connection.execute(statement, rows)


class Assignments:
    """Certificate <-> node slot: at most one certificate a slot, any number of slots a certificate."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check_seen(self, slot: Slot, seen: Mapping[NodeName, int | None]) -> None:
        """Check that a slot of each of these nodes has what was `seen` there. Raises ChangedMeanwhileError."""
        async with self._database.read() as connection:
            await _check_seen(connection, slot, seen)

    async def assign(self, certificate_id: int, nodes: Sequence[NodeName], slot: Slot) -> None:
        """Put a certificate into a slot of each of these nodes, in place of what was there. Raises NotFoundError."""
        async with self._database.write(content=True) as connection:
            await require_certificate(connection, certificate_id)
            await assign_nodes(self._database, connection, certificate_id, nodes, slot)

    async def unassign(
        self, name: NodeName, slot: Slot, *, seen: Mapping[NodeName, int | None] = MappingProxyType({})
    ) -> bool:
        """Empty a slot; return whether there was anything in it. Raises ChangedMeanwhileError as `assign` does."""
        async with self._database.write(content=True) as connection:
            await _check_seen(connection, slot, seen)
            owner = select(node.c.id).where(node.c.name == name).scalar_subquery()
            result = await connection.execute(
                delete(assignment).where((assignment.c.node_id == owner) & (assignment.c.slot == slot))
            )
            return bool(result.rowcount)

    async def list(self) -> Sequence[AssignmentRecord]:
        """Return all."""
        async with self._database.read() as connection:
            return await _assignments(connection)


async def _check_seen(connection: AsyncConnection, slot: Slot, seen: Mapping[NodeName, int | None]) -> None:
    if not seen:
        return
    held = {each.node: each.certificate_id for each in await _assignments(connection) if each.slot == slot}
    for name, certificate_id in seen.items():
        if held.get(name) != certificate_id:
            raise ChangedMeanwhileError(f"the {slot} slot of node '{name}' was changed meanwhile")


async def _assignments(
    connection: AsyncConnection, *, certificate_id: int | None = None
) -> Sequence[AssignmentRecord]:
    query = select(node.c.name, assignment.c.slot, assignment.c.certificate_id).join_from(assignment, node)
    if certificate_id is not None:
        query = query.where(assignment.c.certificate_id == certificate_id)
    rows = await connection.execute(query.order_by(node.c.name, assignment.c.slot))
    return [
        AssignmentRecord(node=NodeName(name), slot=slot, certificate_id=number) for name, slot, number in rows
    ]


async def _update(
    connection: AsyncConnection, keyring: Keyring, certificate_id: int, new: NewCertificate, now_s: float
) -> None:
    # a copy in memory is told by this from what is stored: a clock that stands or was set back must not hide a change
    was_s = certificate.c.changed_s
    values = {**_values(new), "changed_s": case((was_s >= now_s, was_s + TICK_S), else_=now_s)}
    result = await connection.execute(
        update(certificate).where(certificate.c.id == certificate_id).values(values)
    )
    if not result.rowcount:
        raise _missing(certificate_id)
    await _seal(connection, keyring, certificate_id, new)


async def _seal(
    connection: AsyncConnection, keyring: Keyring, certificate_id: int, new: NewCertificate
) -> None:
    sealed = keyring.seal(_identity(certificate_id), new.private_key_pem.encode())
    await connection.execute(
        update(certificate).where(certificate.c.id == certificate_id).values(sealed_key=sealed)
    )


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


async def _namesakes(connection: AsyncConnection, new: NewCertificate) -> Sequence[Row[Any]]:
    """Return the entries of this issuer and serial number, those with the same key first."""
    query = select(certificate).where(
        (certificate.c.issuer_id == new.issuer_id) & (certificate.c.serial_no == new.serial_no)
    )
    rows = (await connection.execute(query.order_by(certificate.c.id))).all()
    return sorted(rows, key=lambda row: row.public_key_id != new.public_key_id)


def _conflict(row: Row[Any], new: NewCertificate) -> IdentityConflictError:
    return IdentityConflictError(
        known=Identified(
            kind="certificate",
            name=row.subject_name or row.raw_subject,
            number=int(row.id),
            serial_no=row.serial_no,
            fingerprint=row.fingerprint,
        ),
        given=Identified(
            kind="certificate",
            name=new.subject_name or new.raw_subject,
            number=None,
            serial_no=new.serial_no,
            fingerprint=new.fingerprint,
        ),
        has_other_key=row.public_key_id != new.public_key_id,
    )


def _identity(certificate_id: int) -> str:
    return f"certificate:{certificate_id}"


def _missing(certificate_id: int) -> NotFoundError:
    return NotFoundError(f"there is no certificate {certificate_id}", hint=Hint.LIST_CERTIFICATES)


def _held(assignments: Sequence[AssignmentRecord]) -> str:
    """Say which certificates nodes would lose; there may be thousands of nodes."""
    by_certificate: dict[int, dict[NodeName, None]] = {}
    for each in assignments:
        by_certificate.setdefault(each.certificate_id, {})[each.node] = None
    told = []
    for number, nodes in by_certificate.items():
        names = list(nodes)
        more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
        told.append(f"certificate {number} is still assigned to {', '.join(names[:NAMED_MAX])}{more}")
    return "; ".join(told)
