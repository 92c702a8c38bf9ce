"""Small resources of the management API, stored for its clients and returned unchanged.

Decides nothing about their fields. Invariant: ids are not reused.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import NotFoundError
from manager.domain.documents import Body, TakenError, Unique
from manager.store.engine import Database
from manager.store.tables.content import document


class Documents:
    """Documents: JSON objects, each of one kind."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self, kind: str) -> dict[int, Body]:
        """Return all documents of a kind by id."""
        async with self._database.read() as connection:
            return await _all(connection, kind)

    async def add(self, kind: str, body: Mapping[str, Any], *, unique: Unique = ()) -> int:
        """Store a new document; return its id. Raises TakenError if a unique value is taken."""
        async with self._database.write() as connection:
            _check_unique(kind, await _all(connection, kind), body, unique)
            result = await connection.execute(insert(document).values(kind=kind, body=json.dumps(body)))
            (added,) = result.inserted_primary_key or (0,)
            return int(added)

    async def replace(
        self, kind: str, document_id: int, body: Mapping[str, Any], *, unique: Unique = ()
    ) -> None:
        """Replace a document. Raises NotFoundError, TakenError if a unique value that changes is taken."""
        async with self._database.write() as connection:
            others = await _all(connection, kind)
            before = others.pop(document_id, None)
            if before is None:
                raise _missing(kind, document_id)
            changed = [fields for fields in unique if _values(before, fields) != _values(body, fields)]
            _check_unique(kind, others, body, changed)
            chosen = document.c.id == document_id
            await connection.execute(update(document).where(chosen).values(body=json.dumps(body)))

    async def delete(self, kind: str, document_ids: Collection[int]) -> None:
        """Remove all of these or none. Raises NotFoundError."""
        async with self._database.write() as connection:
            for document_id in dict.fromkeys(document_ids):
                chosen = (document.c.id == document_id) & (document.c.kind == kind)
                result = await connection.execute(delete(document).where(chosen))
                if not result.rowcount:
                    raise _missing(kind, document_id)


async def _all(connection: AsyncConnection, kind: str) -> dict[int, Body]:
    rows = await connection.execute(
        select(document.c.id, document.c.body).where(document.c.kind == kind).order_by(document.c.id)
    )
    return {row.id: json.loads(row.body) for row in rows}


def _check_unique(kind: str, others: Mapping[int, Body], body: Mapping[str, Any], unique: Unique) -> None:
    for fields in unique:
        if any(_values(other, fields) == _values(body, fields) for other in others.values()):
            raise TakenError(kind, fields)


def _values(body: Mapping[str, Any], fields: Sequence[str]) -> list[Any]:
    return [body.get(name) for name in fields]


def _missing(kind: str, document_id: int) -> NotFoundError:
    return NotFoundError(f"there is no {kind} {document_id}")
