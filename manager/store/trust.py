"""Custom trusted CAs. The built-in list is not in the database: nobody can change it."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import ChangedMeanwhileError, ConflictError, NotFoundError
from common.ids import Fingerprint
from manager.domain.model import TrustedCaRecord
from manager.domain.version import version_of_trusted_ca
from manager.store.engine import Database
from manager.store.records import NewTrustedCa
from manager.store.tables import meta, trusted_ca

_MEANT: Final = "anchors_meant"


class TrustedCas:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, new: Sequence[NewTrustedCa], *, now_s: float
    ) -> Sequence[tuple[TrustedCaRecord, bool]]:
        """Keep all or none; return each, and whether it is a new entry (issuer and serial number decide)."""
        async with self._database.write(content=True) as connection:
            return [await keep_trusted_ca(connection, each, now_s=now_s) for each in new]

    async def update(
        self, trusted_ca_id: int, new: NewTrustedCa, *, seen: str | None = None
    ) -> TrustedCaRecord:
        """Replace an entry's content.

        Raises NotFoundError; ConflictError if another entry has the same issuer and serial number; ChangedMeanwhileError if
        the entry's version is not the one that was `seen`.
        """
        async with self._database.write(content=True) as connection:
            if seen is not None and version_of_trusted_ca(await _get(connection, trusted_ca_id)) != seen:
                raise ChangedMeanwhileError(f"trusted CA {trusted_ca_id} was changed meanwhile")
            known = (await connection.execute(select(trusted_ca.c.id).where(_is_same(new)))).scalar()
            if known not in {None, trusted_ca_id}:
                raise ConflictError(
                    f"trusted CA {known} has the same issuer and serial number; change that one instead"
                )
            await _get(connection, trusted_ca_id)
            await connection.execute(
                update(trusted_ca).where(trusted_ca.c.id == trusted_ca_id).values(_values(new))
            )
            return await _get(connection, trusted_ca_id)

    async def list(self) -> Sequence[TrustedCaRecord]:
        """Return all by id."""
        async with self._database.read() as connection:
            return [
                _record(row) for row in await connection.execute(select(trusted_ca).order_by(trusted_ca.c.id))
            ]

    async def get(self, trusted_ca_id: int) -> TrustedCaRecord:
        """Return one. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await _get(connection, trusted_ca_id)

    async def anchors_meant(self) -> int | None:
        """Return how few anchors an operator wanted when last some were taken away, None if that never was."""
        async with self._database.read() as connection:
            value = (await connection.execute(select(meta.c.value).where(meta.c.name == _MEANT))).scalar()
        return None if value is None else int(value)

    async def mean(self, anchors: int) -> None:
        """Note that an operator wants as few anchors as this, before any is taken away."""
        async with self._database.write() as connection:
            row = {"name": _MEANT, "value": str(anchors).encode()}
            await self._database.upsert(connection, meta, [row], key="name")

    async def delete(self, trusted_ca_ids: Collection[int]) -> None:
        """Remove all of these or none. Raises NotFoundError."""
        async with self._database.write(content=True) as connection:
            for trusted_ca_id in dict.fromkeys(trusted_ca_ids):
                await _get(connection, trusted_ca_id)
                await connection.execute(delete(trusted_ca).where(trusted_ca.c.id == trusted_ca_id))


async def keep_trusted_ca(
    connection: AsyncConnection, new: NewTrustedCa, *, now_s: float
) -> tuple[TrustedCaRecord, bool]:
    """Keep a CA within a transaction; return it, and whether it is a new entry."""
    known = (await connection.execute(select(trusted_ca.c.id).where(_is_same(new)))).scalar()
    if known is None:
        result = await connection.execute(insert(trusted_ca).values({**_values(new), "created_s": now_s}))
        (added,) = result.inserted_primary_key or (0,)
        return await _get(connection, int(added)), True
    await connection.execute(update(trusted_ca).where(trusted_ca.c.id == known).values(_values(new)))
    return await _get(connection, int(known)), False


async def _get(connection: AsyncConnection, trusted_ca_id: int) -> TrustedCaRecord:
    row = (await connection.execute(select(trusted_ca).where(trusted_ca.c.id == trusted_ca_id))).first()
    if row is None:
        raise NotFoundError(
            f"there is no trusted CA {trusted_ca_id}; 'certcast ca list' shows those there are"
        )
    return _record(row)


def _values(new: NewTrustedCa) -> dict[str, Any]:
    return {name: getattr(new, name) for name in new.__slots__}


def _is_same(new: NewTrustedCa) -> ColumnElement[bool]:
    return (trusted_ca.c.raw_issuer == new.raw_issuer) & (trusted_ca.c.serial_no == new.serial_no)


def _record(row: Row[Any]) -> TrustedCaRecord:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return TrustedCaRecord(**{**fields, "fingerprint": Fingerprint(fields["fingerprint"])})
