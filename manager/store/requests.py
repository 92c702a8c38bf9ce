"""Certificate signing requests with their sealed keys.

Invariant: a private key leaves only through `private_key`, for the certificate that answers the request.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import Hint, NotFoundError
from common.ids import RequestId
from manager.domain.model import CsrRecord
from manager.store.engine import Database
from manager.store.records import NewRequest
from manager.store.sealing import Keyring
from manager.store.tables.content import certificate, request

_PLAIN = [column for column in request.columns if column.name != "sealed_key"]


class Requests:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(self, new: NewRequest, *, now_s: float) -> CsrRecord:
        """Keep a request. Raises NotFoundError if the certificate that it replaces is not there."""
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
                insert(request).values({**values, "sealed_key": b"", "created_s": now_s})
            )
            (added,) = result.inserted_primary_key or (0,)
            number = RequestId(added)
            sealed = self._keyring.seal(_identity(number), new.private_key_pem.encode())
            await connection.execute(update(request).where(request.c.id == number).values(sealed_key=sealed))
            return await get_request(connection, number)

    async def get(self, request_id: RequestId) -> CsrRecord:
        """Return one. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await get_request(connection, request_id)

    async def list(self) -> Sequence[CsrRecord]:
        """Return all by id."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(*_PLAIN).order_by(request.c.id))
            return [_record(row) for row in rows]

    async def private_key(self, request_id: RequestId) -> str:
        """Return a request's key, unsealed, as unencrypted PKCS#8 PEM. Raises NotFoundError."""
        async with self._database.read() as connection:
            sealed = (
                await connection.execute(select(request.c.sealed_key).where(request.c.id == request_id))
            ).scalar()
        if sealed is None:
            raise _missing(request_id)
        return self._keyring.open(_identity(request_id), bytes(sealed)).decode()

    async def delete(self, request_ids: Collection[RequestId]) -> None:
        """Remove all of these or none. Raises NotFoundError."""
        async with self._database.write() as connection:
            for request_id in dict.fromkeys(request_ids):
                await get_request(connection, request_id)
                await connection.execute(delete(request).where(request.c.id == request_id))


async def get_request(connection: AsyncConnection, request_id: RequestId) -> CsrRecord:
    """Return a request within a transaction. Raises NotFoundError."""
    row = (await connection.execute(select(*_PLAIN).where(request.c.id == request_id))).first()
    if row is None:
        raise _missing(request_id)
    return _record(row)


def _record(row: Row[Any]) -> CsrRecord:
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    return CsrRecord(**{**fields, "subject_alt_names": tuple(json.loads(fields["subject_alt_names"]))})


def _identity(request_id: RequestId) -> str:
    return f"request:{request_id}"


def _missing(request_id: RequestId) -> NotFoundError:
    return NotFoundError(f"there is no certificate signing request {request_id}", hint=Hint.LIST_REQUESTS)
