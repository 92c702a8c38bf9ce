"""Certificate signing requests with their sealed keys.

Invariant: a private key leaves only through `private_key`, for the certificate that answers the request.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import Hint, NotFoundError
from common.ids import CsrId
from manager.domain.model import CsrRecord
from manager.store.engine import Database
from manager.store.records import NewCsr
from manager.store.sealing import Keyring
from manager.store.tables.content import certificate, csr

_PLAIN = [column for column in csr.columns if column.name != "sealed_key"]


class Csrs:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(self, new: NewCsr, *, now_s: float) -> CsrRecord:
        """Store a request. Raises NotFoundError if the certificate that it replaces does not exist."""
        async with self._database.write() as connection:
            if new.replaces_id is not None:
                known = select(certificate.c.id).where(certificate.c.id == new.replaces_id)
                if (await connection.execute(known)).first() is None:
                    raise NotFoundError(
                        f"there is no certificate {new.replaces_id}", hint=Hint.LIST_CERTIFICATES
                    )
            values = {name: getattr(new, name) for name in new.__slots__ if name != "private_key_pem"}
            values["subject_alt_names"] = json.dumps(new.subject_alt_names)
            result = await connection.execute(
                insert(csr).values({**values, "sealed_key": b"", "created_s": now_s})
            )
            (added,) = result.inserted_primary_key or (0,)
            number = CsrId(added)
            sealed = self._keyring.seal(_identity(number), new.private_key_pem.encode())
            await connection.execute(update(csr).where(csr.c.id == number).values(sealed_key=sealed))
            return await get_csr(connection, number)

    async def get(self, csr_id: CsrId) -> CsrRecord:
        """Return a request. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await get_csr(connection, csr_id)

    async def list(self) -> Sequence[CsrRecord]:
        """Return all requests by id."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(*_PLAIN).order_by(csr.c.id))
            return [_record(row) for row in rows]

    async def private_key(self, csr_id: CsrId) -> str:
        """Return a request's key, unsealed, as unencrypted PKCS#8 PEM. Raises NotFoundError."""
        async with self._database.read() as connection:
            sealed = (await connection.execute(select(csr.c.sealed_key).where(csr.c.id == csr_id))).scalar()
        if sealed is None:
            raise _missing(csr_id)
        return self._keyring.open(_identity(csr_id), bytes(sealed)).decode()

    async def delete(self, csr_ids: Collection[CsrId]) -> None:
        """Remove all of these or none. Raises NotFoundError."""
        async with self._database.write() as connection:
            for csr_id in dict.fromkeys(csr_ids):
                await get_csr(connection, csr_id)
                await connection.execute(delete(csr).where(csr.c.id == csr_id))


async def get_csr(connection: AsyncConnection, csr_id: CsrId) -> CsrRecord:
    """Return a request within a transaction. Raises NotFoundError."""
    row = (await connection.execute(select(*_PLAIN).where(csr.c.id == csr_id))).first()
    if row is None:
        raise _missing(csr_id)
    return _record(row)


def _record(row: Row[Any]) -> CsrRecord:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return CsrRecord(**{**fields, "subject_alt_names": tuple(json.loads(fields["subject_alt_names"]))})


def _identity(csr_id: CsrId) -> str:
    return f"request:{csr_id}"


def _missing(csr_id: CsrId) -> NotFoundError:
    return NotFoundError(f"there is no certificate signing request {csr_id}", hint=Hint.LIST_CSRS)
