"""Custom trusted CAs. The built-in list is not in the database, since nobody can change it."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import Hint, NotFoundError
from common.ids import Fingerprint, TrustedCaId
from manager.domain.identity import IdentityConflictError, identify
from manager.domain.model import TrustedCaRecord
from manager.store.engine import Database
from manager.store.records import NewTrustedCa
from manager.store.tables.content import meta, trusted_ca

_CONFIRMED: Final = "anchors_meant"

_INTERNAL: Final = frozenset({"issuer_id", "public_key_id"})
_PLAIN = [column for column in trusted_ca.columns if column.name not in _INTERNAL]


class TrustedCas:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, new: Sequence[NewTrustedCa], *, now_s: float
    ) -> Sequence[tuple[TrustedCaRecord, bool]]:
        """Store all or none; return each, and whether its entry is new (by issuer, serial number and key)."""
        async with self._database.write() as connection:
            self._database.opened.touch(trusted_cas=True)
            return [await keep_trusted_ca(connection, each, now_s=now_s) for each in new]

    async def update(self, trusted_ca_id: TrustedCaId, new: NewTrustedCa) -> TrustedCaRecord:
        """Replace an entry's content.

        Raises NotFoundError; IdentityConflictError if another entry has the same issuer, serial number and
        key.
        """
        async with self._database.write() as connection:
            self._database.opened.touch(trusted_cas=True)
            known = await _same(connection, new)
            if known is not None and known.id != trusted_ca_id:
                raise _conflict(known, new)
            await _get(connection, trusted_ca_id)
            await connection.execute(
                update(trusted_ca).where(trusted_ca.c.id == trusted_ca_id).values(_values(new))
            )
            return await _get(connection, trusted_ca_id)

    async def list(self) -> Sequence[TrustedCaRecord]:
        """Return all trusted CAs by id."""
        async with self._database.read() as connection:
            return [
                _record(row) for row in await connection.execute(select(*_PLAIN).order_by(trusted_ca.c.id))
            ]

    async def get(self, trusted_ca_id: TrustedCaId) -> TrustedCaRecord:
        """Return a trusted CA. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await _get(connection, trusted_ca_id)

    async def confirmed_anchors(self) -> int | None:
        """Return the anchor count that an operator last confirmed for a removal, None if there was none."""
        async with self._database.read() as connection:
            value = (await connection.execute(select(meta.c.value).where(meta.c.name == _CONFIRMED))).scalar()
        return None if value is None else int(value)

    async def confirm_anchor_count(self, anchors: int) -> None:
        """Record, before anchors are removed, that an operator wants this few."""
        async with self._database.write() as connection:
            row = {"name": _CONFIRMED, "value": str(anchors).encode()}
            await self._database.upsert(connection, meta, [row], key="name")

    async def delete(self, trusted_ca_ids: Collection[TrustedCaId]) -> None:
        """Remove all of these or none. Raises NotFoundError."""
        async with self._database.write() as connection:
            self._database.opened.touch(trusted_cas=True)
            for trusted_ca_id in dict.fromkeys(trusted_ca_ids):
                await _get(connection, trusted_ca_id)
                await connection.execute(delete(trusted_ca).where(trusted_ca.c.id == trusted_ca_id))


async def keep_trusted_ca(
    connection: AsyncConnection, new: NewTrustedCa, *, now_s: float
) -> tuple[TrustedCaRecord, bool]:
    """Store a CA within a transaction; return it, and whether its entry is new.

    Two CAs with the same issuer and serial number but different keys are two entries: each verifies what the
    other does not.
    """
    known = await _same(connection, new)
    if known is None:
        result = await connection.execute(insert(trusted_ca).values({**_values(new), "created_s": now_s}))
        (added,) = result.inserted_primary_key or (0,)
        return await _get(connection, TrustedCaId(added)), True
    await connection.execute(update(trusted_ca).where(trusted_ca.c.id == known.id).values(_values(new)))
    return await _get(connection, known.id), False


async def _get(connection: AsyncConnection, trusted_ca_id: TrustedCaId) -> TrustedCaRecord:
    row = (await connection.execute(select(*_PLAIN).where(trusted_ca.c.id == trusted_ca_id))).first()
    if row is None:
        raise NotFoundError(f"there is no trusted CA {trusted_ca_id}", hint=Hint.LIST_TRUSTED_CAS)
    return _record(row)


def _values(new: NewTrustedCa) -> dict[str, Any]:
    own = {name: getattr(new, name) for name in new.__slots__ if name != "decoded"}
    return {**own, **asdict(new.decoded)}


async def _same(connection: AsyncConnection, new: NewTrustedCa) -> TrustedCaRecord | None:
    """Return the entry of this issuer, serial number and key."""
    query = select(*_PLAIN).where(
        (trusted_ca.c.issuer_id == new.decoded.issuer_id)
        & (trusted_ca.c.serial_no == new.decoded.serial_no)
        & (trusted_ca.c.public_key_id == new.decoded.public_key_id)
    )
    row = (await connection.execute(query.order_by(trusted_ca.c.id))).first()
    return None if row is None else _record(row)


def _conflict(known: TrustedCaRecord, new: NewTrustedCa) -> IdentityConflictError:
    return IdentityConflictError(
        known=identify(known, "trusted CA", known.id),
        given=identify(new.decoded, "trusted CA"),
        has_other_key=False,
    )


def _record(row: Row[Any]) -> TrustedCaRecord:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return TrustedCaRecord(**{**fields, "fingerprint": Fingerprint(fields["fingerprint"])})
