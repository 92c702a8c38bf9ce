"""Audit log: who did what, in a chain of HMACs, so that an entry that was altered, added or removed shows.

The key of the chain is sealed under the key-encryption key, and the end of the log is sealed apart from its entries: whoever can
write the database alone can neither make a chain that fits nor cut its end unseen. An older copy of the whole database still
fits; what tells of that is a signed head that was kept elsewhere.
Invariant: an entry never mends a break; one that is written after it marks it for good.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import StorageError
from manager.store.chain import EMPTY, GENESIS, Head, Seals, SignedHead, StoredHead, unkeyed
from manager.store.engine import Database
from manager.store.sealing import Keyring
from manager.store.tables import audit, meta

HEAD: Final = "audit head"
"""The name in `meta` under which the end of the log is kept."""

CHAIN_KEY: Final = "secret:audit chain key"
CHAIN_KEY_IDENTITY: Final = "meta:audit chain key"
"""The chain key's name in `meta`, and the identity that it is sealed for."""

SEALED: Final = ("at_s", "actor", "action", "subject", "detail")
BEFORE_ALL: Final = -(2**63)
"""Below every id that a database can hold, so that an entry with a forged one is not passed over."""

PAGE: Final = 500
"""Entries that a verification holds in memory; hashing them takes milliseconds, in a thread."""


class Fault(StrEnum):
    """What is wrong with the log.

    An ENTRY does not fit the one before it; the HEAD is missing or was not sealed with this log's key; the END is not where the head
    says; the KEY of the chain is missing or does not open; or it was one of these EARLIER, when an entry was written.
    """

    NONE = ""
    ENTRY = "entry"
    HEAD = "head"
    END = "end"
    KEY = "key"
    EARLIER = "earlier"


class Kept(StrEnum):
    """What became of a head that was kept elsewhere: FOREIGN was not signed with this log's key."""

    UNASKED = ""
    HELD = "held"
    LOST = "lost"
    FOREIGN = "foreign"


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

    `broken_at` is the id of the first entry that does not fit, or that of the first missing at the end, None if all fit;
    `count` entries before it do, and `head` is the HMAC of the last of these. `noted` says whether the hash that was asked for is
    among them, `kept` what became of the signed head that was asked for.
    """

    broken_at: int | None
    fault: Fault
    count: int
    head: str
    noted: bool
    kept: Kept


@dataclass(slots=True, kw_only=True)
class _Walk:
    """A verification under way. `unkeyed` is the hash of the last entry from before there was a key."""

    seals: Seals
    noted: str | None
    kept: SignedHead | None
    after: int = BEFORE_ALL
    head: Head = EMPTY
    unkeyed: str = GENESIS
    broken_at: int | None = None
    found_noted: bool = False
    found_kept: bool = False

    def take(self, rows: Sequence[Row[Any]]) -> None:
        """Go along some more entries, up to the first that does not fit."""
        for row in rows:
            values = {name: getattr(row, name) for name in SEALED}
            sealed = {**values, "unkeyed": row.unkeyed}
            fits = row.chain == self.seals.entry(self.head.chain, row.id, sealed)
            if fits and row.unkeyed:
                fits = row.unkeyed == unkeyed(self.unkeyed, row.id, values)
                self.unkeyed = row.unkeyed
            if not fits:
                self.broken_at = int(row.id)
                return
            self.after = int(row.id)
            self.head = Head(count=self.head.count + 1, last_id=int(row.id), chain=row.chain)
            self.found_noted = self.found_noted or self.noted in {row.chain, row.unkeyed}
            self.found_kept = self.found_kept or (self.kept is not None and self.kept.head == self.head)


class Audit:
    """See the module."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._verifying = asyncio.Lock()

    async def append(
        self, *, at_s: float, actor: str, action: str, subject: str, detail: object = None
    ) -> None:
        """Add an act to the chain. Raises StorageError, also where the chain key is missing: nothing is done unrecorded."""
        values = {
            "at_s": float(at_s),
            "actor": actor,
            "action": action,
            "subject": subject,
            "detail": json.dumps(detail, sort_keys=True),
            "unkeyed": "",
        }
        async with self._database.write() as connection:
            seals = await self._seals(connection)
            stored = seals.open_head(await _value(connection, HEAD))
            end = await _end(connection, count=stored.head.count if stored else 0)
            broken = stored is None or stored.head != end
            result = await connection.execute(insert(audit).values({**values, "chain": ""}))
            (added,) = result.inserted_primary_key or (0,)
            seal = seals.entry_after_break if broken else seals.entry
            chain = seal(end.chain, int(added), values)
            await connection.execute(update(audit).where(audit.c.id == added).values(chain=chain))
            new = StoredHead(
                head=Head(count=end.count + 1, last_id=int(added), chain=chain),
                broken=broken or (stored is not None and stored.broken),
            )
            await self._database.upsert(
                connection, meta, [{"name": HEAD, "value": seals.seal_head(new)}], key="name"
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

    async def signed_head(self, *, at_s: float) -> SignedHead | None:
        """Return the end of the log, signed, to be kept elsewhere; None if it is missing or was altered. Raises StorageError."""
        async with self._database.read() as connection:
            seals = await self._seals(connection)
            stored = seals.open_head(await _value(connection, HEAD))
        return None if stored is None else seals.sign(stored.head, at_s=int(at_s))

    async def find_fault(self) -> Fault:
        """Look at the end of the log, and whether it was ever written after a break; the entries before are for `verify`."""
        async with self._database.read() as connection:
            try:
                seals = await self._seals(connection)
            except StorageError:
                return Fault.KEY
            stored = seals.open_head(await _value(connection, HEAD))
            end = await _end(connection, count=stored.head.count if stored else 0)
        if stored is None:
            return Fault.HEAD
        if stored.head != end:
            return Fault.END
        return Fault.EARLIER if stored.broken else Fault.NONE

    async def verify(self, *, noted: str | None = None, kept: SignedHead | None = None) -> Verification:
        """Walk the chain, a page at a time; one walk runs at once.

        `noted` is a hash that was the last one at some time, `kept` a signed head; both were kept elsewhere.
        """
        async with self._verifying:
            try:
                async with self._database.read() as connection:
                    seals = await self._seals(connection)
            except StorageError:
                return Verification(
                    broken_at=1, fault=Fault.KEY, count=0, head=GENESIS, noted=noted is None, kept=_lost(kept)
                )
            walk = _Walk(seals=seals, noted=noted, kept=kept, found_noted=noted in {None, GENESIS})
            walk.found_kept = kept is not None and kept.head == EMPTY
            return _judge(walk, await self._walk(walk))

    async def _walk(self, walk: _Walk) -> bytes | None:
        """Go to the end, or the first entry that does not fit; return the stored head as it was when the last page was read."""
        while True:
            following = select(audit).where(audit.c.id > walk.after).order_by(audit.c.id).limit(PAGE)
            async with self._database.read() as connection:
                rows = (await connection.execute(following)).all()
                stored = await _value(connection, HEAD)
            await asyncio.to_thread(walk.take, rows)
            if len(rows) < PAGE or walk.broken_at is not None:
                return stored

    async def _seals(self, connection: AsyncConnection) -> Seals:
        sealed = await _value(connection, CHAIN_KEY)
        if sealed is None:
            raise StorageError(
                "the audit log's chain key is missing from the store; restore it from a backup"
            )
        return Seals(self._keyring.open(CHAIN_KEY_IDENTITY, sealed))


def _judge(walk: _Walk, stored: bytes | None) -> Verification:
    sealed, fault = walk.seals.open_head(stored), Fault.NONE
    if walk.broken_at is not None:
        fault = Fault.ENTRY
    elif sealed is None:
        fault = Fault.HEAD
    elif sealed.head != walk.head:
        fault = Fault.END
    kept = _lost(walk.kept)
    if walk.kept is not None and not walk.seals.has_signed(walk.kept):
        kept = Kept.FOREIGN
    elif walk.found_kept:
        kept = Kept.HELD
    broken_at = walk.broken_at if walk.broken_at is not None or fault is Fault.NONE else walk.head.last_id + 1
    return Verification(
        broken_at=broken_at,
        fault=fault,
        count=walk.head.count,
        head=walk.head.chain,
        noted=walk.found_noted,
        kept=kept,
    )


def _lost(kept: SignedHead | None) -> Kept:
    return Kept.UNASKED if kept is None else Kept.LOST


async def _end(connection: AsyncConnection, *, count: int) -> Head:
    """Return the end that the entries have, for as many of them as the head counts."""
    latest = select(audit.c.id, audit.c.chain).order_by(audit.c.id.desc()).limit(1)
    last = (await connection.execute(latest)).first()
    return EMPTY if last is None else Head(count=count, last_id=last.id, chain=last.chain)


async def _value(connection: AsyncConnection, name: str) -> bytes | None:
    value = (await connection.execute(select(meta.c.value).where(meta.c.name == name))).scalar()
    return None if value is None else bytes(value)


def _record(row: Row[Any]) -> AuditRecord:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    del facts["unkeyed"]
    return AuditRecord(**facts)
