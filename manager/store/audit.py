"""Who did what, in a chain of hashes: each row's hash covers the one before, so that a removed or altered row shows."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, insert, select, update

from manager.store.engine import Database
from manager.store.tables import audit

GENESIS: Final = "0" * 64


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

    async def list(self, *, limit: int = 100) -> Sequence[AuditRecord]:
        """Return the latest acts, the newest first."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(audit).order_by(audit.c.id.desc()).limit(limit))
            return [_record(row) for row in rows]

    async def verify(self) -> int | None:
        """Walk the chain; return the id of the first row that does not fit, None if all do."""
        last, expected = GENESIS, 1
        async with self._database.read() as connection:
            async for row in await connection.stream(select(audit).order_by(audit.c.id)):
                values = {
                    name: getattr(row, name) for name in ("at_s", "actor", "action", "subject", "detail")
                }
                if row.id != expected or row.chain != _chain(last, row.id, values):
                    return int(row.id)
                last, expected = row.chain, row.id + 1
        return None


def _chain(last: str, row_id: int, values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([last, row_id, values], sort_keys=True).encode()).hexdigest()


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(**dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name
