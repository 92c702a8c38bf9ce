"""Holds: which member has which node's session.

Invariant: of a node there is at most one, the newest that was taken, and its number is higher than that of any before.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.ids import NodeName
from manager.domain.members import Greeting, NodeState
from manager.store.engine import Database
from manager.store.nodes import node_ids
from manager.store.parts import SQL_VARIABLES_MAX, chunks, made_of
from manager.store.states import read_states, state_of
from manager.store.tables import hold, node


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A session that was taken: its number, and the node as the store knew it in that transaction."""

    number: int
    state: NodeState


@dataclass(frozen=True, slots=True)
class Session:
    """A node's own number, and that of its session, None if nobody holds it."""

    node_id: int
    number: int | None


class Holds:
    """Of the member that the store acts as; without one, this is a fault of the program (RuntimeError)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, greetings: Sequence[Greeting]) -> Mapping[NodeName, Held]:
        """Make these nodes this member's, whoever had them, in one transaction; of a node that greets twice, the last counts.

        Nodes that were removed (or are others now under their name) are left out. Raises MembershipLostError, StorageError.
        """
        member = self._database.member
        wanted = {each.node: each for each in greetings}
        if not wanted:
            return {}
        async with self._database.write() as connection:
            there = await node_ids(connection, wanted)
            taken = [each for each in wanted.values() if there.get(each.node) == each.node_id]
            if not taken:
                return {}
            number, now_s = await self._database.number(connection), await self._database.now_s(connection)
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
            await self._database.changed(connection, nodes)
            found = await read_states(connection, nodes)
        return {
            state.record.name: Held(number=number, state=state) for state in await made_of(found, state_of)
        }

    async def release(self, numbers: Mapping[NodeName, int]) -> None:
        """Give up the sessions that still have these numbers. Raises MembershipLostError, StorageError."""
        member = self._database.member
        if not numbers:
            return
        async with self._database.write() as connection:
            there = await sessions_of(connection, numbers)
            over = [each.node_id for name, each in there.items() if each.number == numbers[name]]
            for part in chunks(over):
                own = hold.c.node_id.in_(part) & (hold.c.member_id == member)
                await connection.execute(delete(hold).where(own))
            await self._database.changed(connection, over)


async def sessions_of(connection: AsyncConnection, names: Collection[NodeName]) -> dict[NodeName, Session]:
    """Return the numbers of those of these nodes that there are; many are found by reading all."""
    query = select(node.c.id, node.c.name, hold.c.number).select_from(node).outerjoin(hold)
    if len(names) <= SQL_VARIABLES_MAX:
        query = query.where(node.c.name.in_(names))
    wanted = set(names)
    return {
        NodeName(row.name): Session(row.id, row.number)
        for row in await connection.execute(query)
        if row.name in wanted
    }
