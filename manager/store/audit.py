"""Who did what, in a chain of hashes: each row's hash covers the one before, so that a removed or altered row shows.

The last hash is kept apart, so that a removed last row shows too. Whoever can write all of the database can write a
new chain; what protects against that is a copy of the last hash elsewhere.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select, update

from manager.store.engine import Database
from manager.store.tables import audit, meta

GENESIS: Final = "0" * 64
HEAD: Final = "audit head"
"""The name in `meta` under which the last hash is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One act: when, who, what, on what, and details as JSON text without secrets."""

    id: int
    at_s: float
    actor: str
    action: str
    subject: str
    detail: str
    chain: str


class Audit:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(
        self, *, at_s: float, actor: str, action: str, subject: str, detail: object = None
    ) -> None:
        """Add an act to the chain."""
        values = {
            "at_s": float(at_s),
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": json.dumps(detail, sort_keys=True),
        }
        async with self._database.write() as connection:
            last = (
                await connection.execute(select(audit.c.chain).order_by(audit.c.id.desc()).limit(1))
            ).scalar()
            result = await connection.execute(insert(audit).values({**values, "chain": ""}))
            (added,) = result.inserted_primary_key or (0,)
            chain = _chain(last or GENESIS, int(added), values)
            await connection.execute(update(audit).where(audit.c.id == added).values(chain=chain))
            await self._database.upsert(
                connection, meta, [{"name": HEAD, "value": chain.encode()}], key="name"
            )

    async def list(self, *, limit: int = 100) -> Sequence[AuditRecord]:
        """Return the latest acts, the newest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit))
            return [_record(row) for row in rows]

    async def verify(self) -> int | None:
        """Walk the chain; return the id of the first row that does not fit or is missing at the end, None if all do."""
        last, last_id = GENESIS, 0
        async with self._database.read() as connection:
            head = (await connection.execute(select(meta.c.value).where(meta.c.name == HEAD))).scalar()
            async for row in await connection.stream(select(audit).order_by(audit.c.id)):
                values = {
                    name: getattr(row, name) for name in ("at_s", "actor", "action", "subject", "detail")
                }
                if row.chain != _chain(last, row.id, values):
                    return int(row.id)
                last, last_id = row.chain, int(row.id)
        # a store that was last written before the head was kept has none
        return last_id + 1 if head is not None and bytes(head).decode() != last else None


def _chain(last: str, row_id: int, values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([last, row_id, values], sort_keys=True).encode()).hexdigest()


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(**dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name
