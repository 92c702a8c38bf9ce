"""Renewals: the terms by which certificates are renewed.

Invariants: a certificate has one at most. A retired renewal is found by nobody, but its orders are.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import ConflictError, NotFoundError
from common.ids import CertificateId
from manager.domain.renewal.records import RenewalId, RenewalRecord
from manager.store.certificate_rows import require_certificate
from manager.store.engine import Database
from manager.store.renewal_fields import renewal_of, renewal_values
from manager.store.tables.renewal import acme_account, renewal

_READ: Final = select(renewal, acme_account.c.deactivated_s.is_not(None).label("is_stopped")).outerjoin(
    acme_account, renewal.c.account_id == acme_account.c.id
)


class Renewals:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, new: RenewalRecord) -> RenewalRecord:
        """Store a renewal, and give it a number.

        Raises NotFoundError (the certificate, the account), ConflictError if the certificate has one.
        """
        async with self._database.write() as connection:
            if new.certificate_id is not None:
                await require_certificate(connection, new.certificate_id)
                taken = select(renewal.c.id).where(renewal.c.certificate_id == new.certificate_id)
                if (own := (await connection.execute(taken)).scalar()) is not None:
                    raise ConflictError(
                        f"certificate {new.certificate_id} is renewed already, by renewal {own}"
                    )
            await _require_account(connection, new)
            result = await connection.execute(insert(renewal).values(renewal_values(new)))
            (added,) = result.inserted_primary_key or (0,)
            return replace(new, id=RenewalId(added))

    async def get(self, renewal_id: RenewalId) -> RenewalRecord:
        """Return a renewal. Raises NotFoundError."""
        for found in await self._found(_READ.where(renewal.c.id == renewal_id)):
            return found
        raise _missing(renewal_id)

    async def list(self) -> Sequence[RenewalRecord]:
        """Return all renewals by id, including those that are over."""
        return await self._found(_READ.order_by(renewal.c.id))

    async def some(self, renewal_ids: Collection[RenewalId]) -> Mapping[RenewalId, RenewalRecord]:
        """Return those of these renewals that exist."""
        chosen = _READ.where(self._database.among(renewal.c.id, renewal_ids))
        return {each.id: each for each in await self._found(chosen)}

    async def of_certificate(self, certificate_id: CertificateId) -> RenewalRecord | None:
        """Return a certificate's renewal, None if it has none."""
        query = _READ.where(renewal.c.certificate_id == certificate_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else renewal_of(row)

    async def keep(self, record: RenewalRecord) -> None:
        """Replace a renewal's record, in the transaction that read it. Raises NotFoundError."""
        async with self._database.write() as connection:
            await _require_account(connection, record)
            changed = update(renewal).where(renewal.c.id == record.id).values(renewal_values(record))
            if not (await connection.execute(changed)).rowcount:
                raise _missing(record.id)

    async def retire(self, record: RenewalRecord, *, until_s: float) -> None:
        """Remove a renewal, but keep its orders until then; its certificate and account become free.

        Raises NotFoundError.
        """
        await self.keep(
            replace(
                record, certificate_id=None, terms=None, request_id=None, is_new=False, kept_until_s=until_s
            )
        )

    async def collect(self, *, now_s: float) -> None:
        """Remove retired renewals whose time is up, with their orders."""
        for each in await self._read(_READ):
            if each.kept_until_s is not None and each.kept_until_s <= now_s:
                await self.delete(each.id)

    async def _found(self, query: Select[Any]) -> Sequence[RenewalRecord]:
        return [each for each in await self._read(query) if each.kept_until_s is None]

    async def _read(self, query: Select[Any]) -> Sequence[RenewalRecord]:
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [renewal_of(row) for row in rows]

    async def delete(self, renewal_id: RenewalId) -> None:
        """Remove a renewal with its orders. Raises NotFoundError."""
        async with self._database.write() as connection:
            if not (await connection.execute(delete(renewal).where(renewal.c.id == renewal_id))).rowcount:
                raise _missing(renewal_id)


async def _require_account(connection: AsyncConnection, record: RenewalRecord) -> None:
    if record.terms is None:
        return
    known = select(acme_account.c.id).where(acme_account.c.id == record.terms.account_id)
    if (await connection.execute(known)).first() is None:
        raise NotFoundError(f"there is no account {record.terms.account_id} at a CA")


def _missing(renewal_id: RenewalId) -> NotFoundError:
    return NotFoundError(f"there is no renewal {renewal_id}")
