"""Holds: which member has which node's session.

Invariant: a node has one hold at most, the newest one taken, and its number is higher than those of all
before.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.ids import NodeName
from manager.domain.duplicate_identity import RecentAgents
from manager.domain.members import HoldRequest, NodeState
from manager.store.engine import Database
from manager.store.nodes import node_ids
from manager.store.parts import SQL_VARIABLES_MAX
from manager.store.states import TURNED_AWAY, read_states
from manager.store.tables.content import node
from manager.store.tables.running import hold, seat, sighting
from manager.store.translate import decode_seats, encode_seats


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenSession:
    """A session that was taken.

    Its number, its time, and the node as the store knew it in that transaction.
    """

    number: int
    since_s: float
    state: NodeState


@dataclass(frozen=True, slots=True)
class EndedSession:
    """A session that has ended: its number, and when its node was last heard from, by the manager's clock."""

    number: int
    last_report_s: float


@dataclass(frozen=True, slots=True)
class HeldSession:
    """A node's id and the number of its session, None if no member holds it."""

    node_id: int
    number: int | None


class Holds:
    """Holds of the member that the store acts as. Without a member, calls raise RuntimeError (a bug)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, requests: Sequence[HoldRequest]) -> Mapping[NodeName, TakenSession]:
        """Take these nodes for this member in one transaction, from any member that held them.

        If a node greets twice, the last request counts. Nodes that were removed, or whose name now belongs to
        another node, are left out. Raises MembershipLostError, StorageError.
        """
        member = self._database.member
        wanted = {each.node: each for each in requests}
        if not wanted:
            return {}
        async with self._database.write() as connection:
            there = await node_ids(connection, wanted)
            taken = [each for each in wanted.values() if there.get(each.node) == each.node_id]
            if not taken:
                return {}
            number, now_s = await self._database.number(connection), await self._database.now_s(connection)
            await self._seat(connection, taken, now_s)
            rows = [
                {
                    "node_id": each.node_id,
                    "member_id": member,
                    "number": number,
                    "since_s": now_s,
                    "address": each.address,
                    "agent_version": each.agent_version,
                }
                for each in taken
            ]
            await self._database.upsert(connection, hold, rows, key="node_id")
            nodes = sorted(each.node_id for each in taken)
            welcomed = self._database.among(sighting.c.node_id, nodes) & (sighting.c.kind == TURNED_AWAY)
            await connection.execute(delete(sighting).where(welcomed))
            await self._database.changed(connection, nodes)
            make = await read_states(self._database, connection, nodes)
        return {
            state.record.name: TakenSession(number=number, since_s=now_s, state=state)
            for state in await make()
        }

    async def release(self, sessions: Mapping[NodeName, EndedSession]) -> None:
        """Release the sessions that still have these numbers. Raises MembershipLostError, StorageError."""
        member = self._database.member
        if not sessions:
            return
        async with self._database.write() as connection:
            there = await sessions_of(connection, sessions)
            ended = {
                each.node_id: sessions[name].last_report_s
                for name, each in there.items()
                if each.number == sessions[name].number
            }
            own = self._database.among(hold.c.node_id, ended) & (hold.c.member_id == member)
            removed = await connection.execute(delete(hold).where(own).returning(hold.c.node_id))
            left = [{"of": each, "last_report_s": ended[each]} for each in removed.scalars()]
            if left:
                await connection.execute(_LEFT, left)
            await self._database.changed(connection, ended)

    async def _seat(self, connection: AsyncConnection, taken: Sequence[HoldRequest], now_s: float) -> None:
        """Record the agents that greeted; one that only reconnected needs no record."""
        query = select(seat.c.node_id, seat.c.greetings).where(
            self._database.among(seat.c.node_id, [each.node_id for each in taken])
        )
        known = {row.node_id: decode_seats(row.greetings) for row in await connection.execute(query)}
        rows = []
        for each in taken:
            before = known.get(each.node_id, RecentAgents())
            seats = before.after(each.instance, each.address, now_s, displaces=each.displaces)
            if seats is not before:
                rows.append({"node_id": each.node_id, "greetings": encode_seats(seats)})
        await self._database.upsert(connection, seat, rows, key="node_id")


_LEFT: Final = update(seat).where(seat.c.node_id == bindparam("of")).values(left_s=bindparam("last_report_s"))


async def sessions_of(
    connection: AsyncConnection, names: Collection[NodeName]
) -> dict[NodeName, HeldSession]:
    """Return the session numbers of the nodes that exist; for many nodes, it reads all."""
    query = select(node.c.id, node.c.name, hold.c.number).select_from(node).outerjoin(hold)
    if len(names) <= SQL_VARIABLES_MAX:
        query = query.where(node.c.name.in_(names))
    wanted = set(names)
    return {
        NodeName(row.name): HeldSession(row.id, row.number)
        for row in await connection.execute(query)
        if row.name in wanted
    }
