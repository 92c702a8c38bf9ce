"""Custom trusted CAs. The built-in list is not in the database: nobody can change it."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from common.errors import NotFoundError
from common.ids import Fingerprint
from manager.domain.model import TrustedCaRecord
from manager.store.engine import Database
from manager.store.records import NewTrustedCa
from manager.store.tables import trusted_ca


class TrustedCas:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, new: Sequence[NewTrustedCa], *, now_s: float
    ) -> Sequence[tuple[TrustedCaRecord, bool]]:
        """Keep all or none; return each, and whether it is a new entry (issuer and serial number decide)."""
        kept = []
        async with self._database.write(content=True) as connection:
            for each in new:
                values = {name: getattr(each, name) for name in each.__slots__}
                same = (trusted_ca.c.raw_issuer == each.raw_issuer) & (
                    trusted_ca.c.serial_no == each.serial_no
                )
                known = (await connection.execute(select(trusted_ca.c.id).where(same))).scalar()
                if known is None:
                    await connection.execute(insert(trusted_ca).values({**values, "created_s": now_s}))
                else:
                    await connection.execute(update(trusted_ca).where(same).values(values))
                row = (await connection.execute(select(trusted_ca).where(same))).one()
                kept.append((_record(row), known is None))
        return kept

    async def list(self) -> Sequence[TrustedCaRecord]:
        """Return all by id."""
        async with self._database.read() as connection:
            return [
                _record(row) for row in await connection.execute(select(trusted_ca).order_by(trusted_ca.c.id))
            ]

    async def get(self, trusted_ca_id: int) -> TrustedCaRecord:
        """Return one. Raises NotFoundError."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(select(trusted_ca).where(trusted_ca.c.id == trusted_ca_id))
            ).first()
        if row is None:
            raise NotFoundError(
                f"there is no trusted CA {trusted_ca_id}; 'certcast ca list' shows those there are"
            )
        return _record(row)

    async def delete(self, trusted_ca_ids: Collection[int]) -> None:
        """Remove all of these or none. Raises NotFoundError."""
        async with self._database.write(content=True) as connection:
            for trusted_ca_id in dict.fromkeys(trusted_ca_ids):
                result = await connection.execute(delete(trusted_ca).where(trusted_ca.c.id == trusted_ca_id))
                if not result.rowcount:
                    raise NotFoundError(
                        f"there is no trusted CA {trusted_ca_id}; 'certcast ca list' shows those there are"
                    )


def _record(row: Row[Any]) -> TrustedCaRecord:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return TrustedCaRecord(**{**fields, "fingerprint": Fingerprint(fields["fingerprint"])})
