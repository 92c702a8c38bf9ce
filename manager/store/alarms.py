"""Alarms, active and past.

Invariant: raising and lowering are one transaction, so a reader sees the alarms of one evaluation.
"""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update

from common.errors import Hint, NotFoundError
from manager.domain.alarms import AlarmChanges, AlarmKind, AlarmRecord, Subject
from manager.store.engine import Database
from manager.store.numbers import ALARMS
from manager.store.parts import chunks, made_of
from manager.store.tables.content import alarm


class Alarms:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def active(self, *, node: str | None = None) -> Sequence[AlarmRecord]:
        """Return the active alarms (of a node, if given), the latest first."""
        query = select(alarm).where(alarm.c.lowered_s.is_(None)).order_by(alarm.c.id.desc())
        if node is not None:
            query = query.where(alarm.c.node == node)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return await made_of(rows, _record)

    async def first_active(self, kinds: Collection[AlarmKind], *, limit: int) -> Sequence[AlarmRecord]:
        """Return the latest active alarms of these kinds."""
        query = select(alarm).where(alarm.c.lowered_s.is_(None), alarm.c.kind.in_([*kinds]))
        async with self._database.read() as connection:
            rows = await connection.execute(query.order_by(alarm.c.id.desc()).limit(limit))
            return [_record(row) for row in rows]

    async def counts(self) -> Sequence[tuple[AlarmKind, bool, int]]:
        """Return how many alarms are active, by kind and by whether they are acknowledged."""
        seen = alarm.c.acknowledged_s.is_not(None)
        query = select(alarm.c.kind, seen, func.count()).where(alarm.c.lowered_s.is_(None))
        async with self._database.read() as connection:
            rows = await connection.execute(query.group_by(alarm.c.kind, seen))
            return [(AlarmKind(kind), bool(is_seen), count) for kind, is_seen, count in rows]

    async def history(self, *, limit: int) -> Sequence[AlarmRecord]:
        """Return the alarms that were lowered, the latest first."""
        query = select(alarm).where(alarm.c.lowered_s.is_not(None)).order_by(alarm.c.id.desc()).limit(limit)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return await made_of(rows, _record)

    async def apply(self, changes: AlarmChanges, *, now_s: float) -> None:
        """Raise, lower and reword alarms."""
        async with self._database.write() as connection:
            for part in chunks([record.id for record in changes.lowered]):
                await connection.execute(update(alarm).where(alarm.c.id.in_(part)).values(lowered_s=now_s))
            for alarm_id, condition in changes.updated.items():
                worded = {"details": condition.details, "label": condition.label}
                await connection.execute(update(alarm).where(alarm.c.id == alarm_id).values(worded))
            rows = [
                {
                    "kind": condition.subject.kind.value,
                    "subject": condition.subject.key,
                    "label": condition.label,
                    "node": condition.node,
                    "details": condition.details,
                    "raised_s": now_s,
                }
                for condition in changes.raised
            ]
            if rows:
                await connection.execute(insert(alarm), rows)
            await self._database.note(connection, ALARMS)

    async def acknowledge(self, alarm_ids: Collection[int], *, actor: str, now_s: float) -> None:
        """Acknowledge these alarms; the first acknowledgement stays.

        Raises NotFoundError if one is not active.
        """
        async with self._database.write() as connection:
            for alarm_id in dict.fromkeys(alarm_ids):
                query = select(alarm.c.acknowledged_s).where(
                    alarm.c.id == alarm_id, alarm.c.lowered_s.is_(None)
                )
                row = (await connection.execute(query)).first()
                if row is None:
                    raise NotFoundError(f"there is no active alarm {alarm_id}", hint=Hint.LIST_ALARMS)
                if row.acknowledged_s is None:
                    seen = {"acknowledged_s": now_s, "acknowledged_by": actor}
                    await connection.execute(update(alarm).where(alarm.c.id == alarm_id).values(seen))
            await self._database.note(connection, ALARMS)

    async def collect(self, *, keep: int, keep_each: int) -> None:
        """Keep only the latest `keep` lowered alarms, and at most `keep_each` of a kind and subject."""
        lowered = alarm.c.lowered_s.is_not(None)
        place = func.row_number().over(
            partition_by=(alarm.c.kind, alarm.c.subject), order_by=alarm.c.id.desc()
        )
        ranked = select(alarm.c.id, place.label("place")).where(lowered).subquery()
        repeated = select(ranked.c.id).where(ranked.c.place > keep_each)
        oldest = select(alarm.c.id).where(lowered).order_by(alarm.c.id.desc()).offset(keep).limit(1)
        async with self._database.write() as connection:
            await connection.execute(delete(alarm).where(alarm.c.id.in_(repeated)))
            last = (await connection.execute(oldest)).scalar()
            if last is not None:
                await connection.execute(delete(alarm).where(lowered, alarm.c.id <= last))


def _record(row: Row[Any]) -> AlarmRecord:
    return AlarmRecord(
        id=row.id,
        subject=Subject(AlarmKind(row.kind), row.subject),
        label=row.label,
        node=row.node,
        details=row.details,
        raised_s=row.raised_s,
        lowered_s=row.lowered_s,
        acknowledged_s=row.acknowledged_s,
        acknowledged_by=row.acknowledged_by,
    )
