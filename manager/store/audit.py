"""Audit log: who did what, in a chain of HMACs that shows if an entry was altered, added or removed.

The chain's key is sealed under the key-encryption key, and the end of the log is sealed apart from its
entries. Write access to the database alone is therefore not enough to forge a chain that fits, or to cut its
end unseen. An older copy of the whole database still fits; only a signed head that was kept elsewhere reveals
it (`compare`). Ids are above zero and rise, since the database never reuses one: any other id is a break.
Invariant: an entry never mends a break; an entry that is written after a break marks it for good.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.codes import Fault, Kept
from common.errors import StorageError
from manager.domain.audit import AuditRecord, Verification
from manager.store.chain import EMPTY, GENESIS, Head, Seals, SignedHead, StoredHead, hash_unkeyed
from manager.store.engine import Database
from manager.store.sealing import Keyring
from manager.store.tables.content import audit, meta

HEAD: Final = "audit head"
"""The name in `meta` under which the end of the log is kept."""

CHAIN_KEY: Final = "secret:audit chain key"
CHAIN_KEY_IDENTITY: Final = "meta:audit chain key"
"""The chain key's name in `meta`, and the identity under which it is sealed."""

SEALED: Final = ("at_s", "actor", "action", "subject", "detail")
RESTORED: Final = "store.restored"
"""The act by which an operator declares a restore from a backup: earlier heads may be missing since then."""

WITNESSED: Final = "audit.witnessed"
"""The act by which the manager records that it keeps the log's last head beside the log from now on."""

LOOKED_AT: Final = 20
"""How many entries of one act are searched for one that was sealed."""

PAGE: Final = 500
"""Entries that a verification holds in memory; hashing them takes milliseconds, in a thread."""


@dataclass(slots=True, kw_only=True)
class _Walk:
    """A verification in progress. `unkeyed` is the hash of the last entry from before there was a key."""

    seals: Seals
    noted: str | None
    kept: SignedHead | None
    head: Head = EMPTY
    unkeyed: str = GENESIS
    broken_at: int | None = None
    found_noted: bool = False
    found_kept: bool = False

    def take(self, rows: Sequence[Row[Any]]) -> None:
        """Check further entries, up to the first that does not fit."""
        for row in rows:
            if not self._fits(row):
                self.broken_at = int(row.id)
                return
            self.head = Head(count=self.head.count + 1, last_id=int(row.id), chain=row.chain)
            self.found_noted = self.found_noted or self.noted in {row.chain, row.unkeyed}
            self.found_kept = self.found_kept or (self.kept is not None and self.kept.head == self.head)

    def _fits(self, row: Row[Any]) -> bool:
        values = {name: getattr(row, name) for name in SEALED}
        if row.id <= self.head.last_id or any(isinstance(each, bytes) for each in values.values()):
            return False
        fits = row.chain == self.seals.entry(self.head.chain, row.id, {**values, "unkeyed": row.unkeyed})
        if fits and row.unkeyed:
            fits = row.unkeyed == hash_unkeyed(self.unkeyed, row.id, values)
            self.unkeyed = row.unkeyed
        return bool(fits)


class Audit:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._verifying = asyncio.Lock()
        self._lost: SignedHead | None = None
        self._lacks_witness = False
        self._has_bad_entry = False

    async def append(
        self, *, at_s: float, actor: str, action: str, subject: str, detail: object = None
    ) -> None:
        """Append an act to the chain. Raises StorageError, also if the chain key is missing."""
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
        """Return the latest acts, the newest first; only those before an id if one is given.

        The texts filter by actor, action and subject: each must be contained there, regardless of case.
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
        """Return the signed end of the log, to be kept elsewhere; None if it is missing or altered.

        Raises StorageError.
        """
        async with self._database.read() as connection:
            seals = await self._seals(connection)
            stored = seals.open_head(await _value(connection, HEAD))
        return None if stored is None else seals.sign(stored.head, at_s=int(at_s))

    async def find_fault(self) -> Fault:
        """Check the end of the log, and return the fault found there, or by the last `verify`.

        A log that was ever written after a break has a fault for good.
        """
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
        if stored.broken:
            return Fault.EARLIER
        return self.own_fault

    @property
    def own_fault(self) -> Fault:
        """Return the fault that only this process found: in a walk, or in this manager's files."""
        if self._has_bad_entry:
            return Fault.ENTRY
        if self._lost is not None:
            return Fault.SHIPPED
        return Fault.WITNESS if self._lacks_witness else Fault.NONE

    async def compare(self, kept: Sequence[SignedHead]) -> SignedHead | None:
        """Return the first of these heads that the log does not hold, None if it holds all.

        Once a head was missing, `find_fault` and `verify` report it for the rest of this process. Heads from
        before an operator declared a restore from a backup are not compared.
        """
        async with self._database.read() as connection:
            seals = await self._seals(connection)
            stored = seals.open_head(await _value(connection, HEAD))
            count = stored.head.count if stored else 0
            chains = await _chains(connection, [each.head.last_id for each in kept])
            lost = [
                each
                for each in kept
                if not seals.has_signed(each)
                or each.head.count > count
                or chains.get(each.head.last_id) != each.head.chain
            ]
            restored_s = await _restored_s(connection, seals) if lost else None
        first = next((each for each in lost if restored_s is None or each.at_s > restored_s), None)
        self._lost = first or self._lost
        return first

    async def has_witness(self, name: str) -> bool:
        """Whether the log says that its head was put here, with no restore from a backup declared since."""
        named = (audit.c.action == WITNESSED) & (audit.c.subject == name)
        async with self._database.read() as connection:
            seals = await self._seals(connection)
            latest = await _latest_sealed(connection, seals, named | (audit.c.action == RESTORED))
            return latest is not None and latest.action == WITNESSED

    def miss_witness(self) -> None:
        """Note that the head beside the log is gone, which this process reports from now on (`verify`)."""
        self._lacks_witness = True

    async def verify(self, *, noted: str | None = None, kept: SignedHead | None = None) -> Verification:
        """Walk the chain, a page at a time; only one walk runs at once.

        `noted` is a hash that once was the last one, `kept` a signed head; both were kept elsewhere. Raises
        StorageError.
        """
        async with self._verifying:
            async with self._database.read() as connection:
                # only a key that is missing or does not open; a store that does not answer raises another
                # error
                try:
                    seals = await self._seals(connection)
                except StorageError:
                    return Verification(
                        broken_at=1,
                        fault=Fault.KEY,
                        count=0,
                        head=GENESIS,
                        noted=noted is None,
                        kept=_lost(kept),
                    )
            walk = _Walk(seals=seals, noted=noted, kept=kept, found_noted=noted in {None, GENESIS})
            walk.found_kept = kept is not None and kept.head == EMPTY
            found = _judge(walk, await self._walk(walk), self._lost)
            self._has_bad_entry = found.fault is Fault.ENTRY
            if found.fault is Fault.NONE and self._lacks_witness:
                return replace(found, fault=Fault.WITNESS, broken_at=walk.head.last_id + 1)
            return found

    async def _walk(self, walk: _Walk) -> bytes | None:
        """Walk to the end or the first entry that does not fit; return the last page's stored head."""
        while True:
            following = select(audit).order_by(audit.c.id).limit(PAGE)
            if walk.head is not EMPTY:
                following = following.where(audit.c.id > walk.head.last_id)
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


def _judge(walk: _Walk, stored: bytes | None, lost: SignedHead | None) -> Verification:
    sealed, fault = walk.seals.open_head(stored), Fault.NONE
    if walk.broken_at is not None:
        fault = Fault.ENTRY
    elif sealed is None:
        fault = Fault.HEAD
    elif sealed.head != walk.head:
        fault = Fault.END
    elif lost is not None:
        fault = Fault.SHIPPED
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
    """Return the end of the entries, counted as far as the head does; an id not above zero fits no head."""
    latest = select(audit.c.id, audit.c.chain).order_by(audit.c.id.desc()).limit(1)
    last = (await connection.execute(latest)).first()
    if last is None:
        return EMPTY
    lowest = (await connection.execute(select(func.min(audit.c.id)))).scalar_one()
    return Head(count=count, last_id=last.id, chain=last.chain if lowest > 0 else "")


async def _restored_s(connection: AsyncConnection, seals: Seals) -> float | None:
    """Return when an operator last declared a restore from a backup."""
    restored = await _latest_sealed(connection, seals, audit.c.action == RESTORED)
    return None if restored is None else float(restored.at_s)


async def _latest_sealed(
    connection: AsyncConnection, seals: Seals, chosen: ColumnElement[bool]
) -> Row[Any] | None:
    """Return the last of these entries that the log's key sealed; one merely inserted excuses nothing."""
    query = select(audit).where(chosen).order_by(audit.c.id.desc()).limit(LOOKED_AT)
    for row in (await connection.execute(query)).all():
        before = select(audit.c.chain).where(audit.c.id < row.id).order_by(audit.c.id.desc()).limit(1)
        last = (await connection.execute(before)).scalar() or GENESIS
        values = {**{name: getattr(row, name) for name in SEALED}, "unkeyed": row.unkeyed}
        if any(isinstance(each, bytes) for each in values.values()):
            continue
        if row.chain in {seals.entry(last, row.id, values), seals.entry_after_break(last, row.id, values)}:
            return row
    return None


async def _chains(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, str]:
    """Return the HMACs of the entries with these ids, leaving out ids that do not exist."""
    found = {EMPTY.last_id: EMPTY.chain}
    wanted = sorted(set(ids))
    for start in range(0, len(wanted), PAGE):
        page = wanted[start : start + PAGE]
        rows = await connection.execute(select(audit.c.id, audit.c.chain).where(audit.c.id.in_(page)))
        found.update({row.id: row.chain for row in rows})
    return found


async def _value(connection: AsyncConnection, name: str) -> bytes | None:
    value = (await connection.execute(select(meta.c.value).where(meta.c.name == name))).scalar()
    return None if value is None else bytes(value)


def _record(row: Row[Any]) -> AuditRecord:
    facts = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's documented name
    del facts["unkeyed"]
    return AuditRecord(**facts)
