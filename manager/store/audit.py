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


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a walk along the chain found.

    `broken_at` is the id of the first row that does not fit or is missing at the end, None if all fit; `count` rows before
    it do, and `head` is the hash of the last of these. `noted` says whether the hash that was asked for is among them.
    """

    broken_at: int | None
    count: int
    head: str
    noted: bool


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

    async def list(
        self,
        *,
        limit: int = 100,
        before: int | None = None,
        actor: str = "",
        action: str = "",
        subject: str = "",
    ) -> Sequence[AuditRecord]:
        """Return the latest acts, of those before an id if one is given, the newest first.

        Those in whose actor, action and subject these texts stand, without regard to case.
        """
        query = select(audit).order_by(audit.c.id.desc()).limit(limit)
        for column, text in ((audit.c.actor, actor), (audit.c.action, action), (audit.c.subject, subject)):
            if text:
                query = query.where(column.icontains(text, autoescape=True))
        if before is not None:
            query = query.where(audit.c.id < before)
        async with self._database.read() as connection:
            return [_record(row) for row in await connection.execute(query)]

    async def verify(self, *, noted: str | None = None) -> Verification:
        """Walk the chain. `noted` is a hash that was the last one at some time, kept elsewhere."""
        last, last_id, count, found = GENESIS, 0, 0, noted in {None, GENESIS}
        async with self._database.read() as connection:
            head = (await connection.execute(select(meta.c.value).where(meta.c.name == HEAD))).scalar()
            async for row in await connection.stream(select(audit).order_by(audit.c.id)):
                values = {
                    name: getattr(row, name) for name in ("at_s", "actor", "action", "subject", "detail")
                }
                if row.chain != _chain(last, row.id, values):
                    return Verification(broken_at=int(row.id), count=count, head=last, noted=found)
                last, last_id, count = row.chain, int(row.id), count + 1
                found = found or row.chain == noted
        # a store that was last written before the head was kept has none
        is_cut = head is not None and bytes(head).decode() != last
        return Verification(broken_at=last_id + 1 if is_cut else None, count=count, head=last, noted=found)


def _chain(last: str, row_id: int, values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps([last, row_id, values], sort_keys=True).encode()).hexdigest()


def _record(row: Row[Any]) -> AuditRecord:
    return AuditRecord(**dict(row._mapping))  # noqa: SLF001 - SQLAlchemy's documented name
