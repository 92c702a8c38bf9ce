"""Members: the managers that share a store, each with a lease by the database's clock.

Decides which member is evicted. A lease means nothing else: a member may make changes while its row exists,
even with an overdue lease. Invariant: member numbers are never reused, and all that a member holds goes with
its row.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import MembershipLostError
from common.ids import NodeName
from manager.domain.members import EVICTED, Member, MemberId
from manager.store.engine import Database
from manager.store.tables.content import node
from manager.store.tables.running import hold, member, seat, sighting

LEASE_S: Final = 15.0
"""How long a lease lasts without renewal: two renewals may fail, and a server may restart."""

RENEW_EACH_S: Final = 5.0


class Members:
    """Members and their leases.

    Changes of a store that acts as a member (`Store.act_as`) need that member's row.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def join(self, node: NodeName) -> MemberId:
        """Add the manager with this node as a new member. Raises StorageError."""
        async with self._database.write(by_member=False) as connection:
            now_s = await self._database.now_s(connection)
            made = insert(member).values(node=node, started_s=now_s, renewed_s=now_s).returning(member.c.id)
            number = (await connection.execute(made)).scalar_one()
            await self._database.number(connection)  # so that others hear of it
        return MemberId(number)

    async def renew(self, number: MemberId) -> None:
        """Renew a member's lease, without waiting for writers where several managers can run.

        Raises MembershipLostError, StorageError.
        """
        async with self._database.beside() as connection:
            now_s = await self._database.now_s(connection)
            renewed = update(member).where(member.c.id == number).values(renewed_s=now_s)
            if not (await connection.execute(renewed)).rowcount:
                raise MembershipLostError(EVICTED)

    async def leave(self, number: MemberId) -> None:
        """Remove a member with what it holds; without effect if it was evicted before.

        Raises StorageError.
        """
        async with self._database.write(by_member=False) as connection:
            await self._remove(connection, [number])

    async def expire(self) -> Sequence[Member]:
        """Evict members other than this one that did not renew for LEASE_S; return them.

        Without any, it only reads.

        Raises MembershipLostError, StorageError.
        """
        async with self._database.read() as connection:
            now_s = await self._database.now_s(connection)
            doubtful = self._overdue(now_s) | (member.c.renewed_s > now_s)
            if (await connection.execute(select(member.c.id).where(doubtful))).first() is None:
                return []
        async with self._database.write() as connection:
            now_s = await self._database.now_s(connection)
            # the clock was set back: restart these leases, or they would last until it has caught up
            ahead = update(member).where(member.c.renewed_s > now_s).values(renewed_s=now_s)
            await connection.execute(ahead)
            # this waits for a renewal in progress, and the next renewal waits for this
            query = select(member).where(self._overdue(now_s)).order_by(member.c.id).with_for_update()
            gone = [_record(row) for row in await connection.execute(query)]
            await self._remove(connection, [each.id for each in gone])
        return gone

    async def list(self) -> Sequence[Member]:
        """Return all members by number. Raises StorageError."""
        async with self._database.read() as connection:
            return [_record(row) for row in await connection.execute(select(member).order_by(member.c.id))]

    def _overdue(self, now_s: float) -> ColumnElement[bool]:
        late = member.c.renewed_s < now_s - LEASE_S
        own = self._database.acting
        return late if own is None else late & (member.c.id != own)

    async def _remove(self, connection: AsyncConnection, gone: Collection[MemberId]) -> None:
        if not gone:
            return
        held = select(hold.c.node_id).where(hold.c.member_id.in_(gone))
        noticed = select(sighting.c.node_id).where(sighting.c.member_id.in_(gone))
        concerned = select(node.c.id).where(node.c.id.in_(held) | node.c.id.in_(noticed))
        await self._database.changed(connection, concerned)
        # when its nodes were last heard, to within a minute
        left = select(member.c.renewed_s).join_from(hold, member).where(hold.c.node_id == seat.c.node_id)
        await connection.execute(
            update(seat).where(seat.c.node_id.in_(held)).values(left_s=left.scalar_subquery())
        )
        await self._database.number(connection)  # its duty is free now, even if it held no node
        await connection.execute(delete(member).where(member.c.id.in_(gone)))


def _record(row: Row[Any]) -> Member:
    return Member(
        id=MemberId(row.id), node=NodeName(row.node), started_s=row.started_s, renewed_s=row.renewed_s
    )
