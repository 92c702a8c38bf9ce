"""Pushes requested at a member that does not hold the node; the holder takes them from here."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import Select, delete, select

from common.ids import NodeName
from manager.domain.members import AskedPush
from manager.store.engine import Database
from manager.store.parts import chunks
from manager.store.tables.content import node
from manager.store.tables.running import asked_push, hold

KEPT_S: Final = 60.0
"""By then the requester has stopped waiting, so a push that its holder has not taken is dropped."""


class AskedPushes:
    """Requests from and to the member that the store acts as.

    Without a member, calls raise RuntimeError (a bug).
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(
        self, nodes: Collection[NodeName], *, is_forced: bool, asked_by: str
    ) -> frozenset[NodeName]:
        """Leave pushes to the members that hold these nodes; return the nodes that another member holds.

        A forced push that was already requested stays forced. Raises MembershipLostError, StorageError.
        """
        elsewhere = (
            select(node.c.name, hold.c.node_id)
            .join_from(hold, node)
            .where(hold.c.member_id != self._database.member)
        )
        async with self._database.write() as connection:
            now_s = await self._database.now_s(connection)
            found = {row.name: row.node_id for row in await connection.execute(elsewhere)}
            asked = {name: found[name] for name in nodes if name in found}
            forced = {row.node_id for row in await connection.execute(_fresh(now_s)) if row.is_forced}
            rows = [
                {
                    "node_id": number,
                    "is_forced": is_forced or number in forced,
                    "asked_by": asked_by,
                    "asked_s": now_s,
                }
                for number in asked.values()
            ]
            await self._database.upsert(connection, asked_push, rows, key="node_id")
            await self._database.changed(connection, set(asked.values()))
        return frozenset(asked)

    async def take(self) -> Sequence[AskedPush]:
        """Take the pushes that others left for nodes of this member; without any, it only reads.

        Raises MembershipLostError, StorageError.
        """
        own = _FOR_HOLDERS.where(hold.c.member_id == self._database.member)
        async with self._database.read() as connection:
            if (await connection.execute(own)).first() is None:
                return []
        async with self._database.write() as connection:
            now_s = await self._database.now_s(connection)
            rows = (await connection.execute(own)).all()
            numbers = [row.node_id for row in rows]
            for part in chunks(numbers):
                await connection.execute(delete(asked_push).where(asked_push.c.node_id.in_(part)))
            await self._database.changed(connection, numbers)
        return [
            AskedPush(
                node=NodeName(row.name), is_forced=row.is_forced, asked_by=row.asked_by, asked_s=row.asked_s
            )
            for row in rows
            if row.asked_s >= now_s - KEPT_S
        ]


_FOR_HOLDERS: Final = (
    select(asked_push, node.c.name)
    .join_from(asked_push, hold, hold.c.node_id == asked_push.c.node_id)
    .join(node, node.c.id == asked_push.c.node_id)
    .order_by(asked_push.c.node_id)
)


def _fresh(now_s: float) -> Select[Any]:
    return select(asked_push).where(asked_push.c.asked_s >= now_s - KEPT_S)
