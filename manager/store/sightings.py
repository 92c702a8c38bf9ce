"""Sightings.

What members notice of nodes, even without their session: a flood, or why an agent was turned away.

Invariant: a member's sightings go with the member. The reason an agent was turned away is not kept for a node
that has a session.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.ids import NodeName
from manager.domain.members import Sighting
from manager.store.engine import Database
from manager.store.nodes import node_ids
from manager.store.states import FLOOD, TURNED_AWAY
from manager.store.tables.running import hold, sighting


class Sightings:
    """Sightings of the member that the store acts as. Without a member, calls raise RuntimeError (a bug)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def tell(self, noticed: Mapping[NodeName, Sighting]) -> None:
        """Replace what this member noticed of these nodes. Raises MembershipLostError, StorageError."""
        if not noticed:
            return
        async with self._database.write() as connection:
            ids = await node_ids(connection, noticed)
            own = self._database.among(sighting.c.node_id, ids.values()) & (
                sighting.c.member_id == self._database.member
            )
            await connection.execute(delete(sighting).where(own))
            rows = await self._rows(connection, {ids[name]: noticed[name] for name in ids})
            await self._database.insert_absent(connection, sighting, rows)
            await self._database.changed(connection, list(ids.values()))

    async def _rows(
        self, connection: AsyncConnection, noticed: Mapping[int, Sighting]
    ) -> Sequence[Mapping[str, Any]]:
        query = select(hold.c.node_id).where(self._database.among(hold.c.node_id, noticed))
        held = set((await connection.execute(query)).scalars())
        return [
            {"node_id": number, "member_id": self._database.member, "kind": kind, "text": text}
            for number, each in noticed.items()
            for kind, text in ((FLOOD, each.flood), (TURNED_AWAY, "" if number in held else each.turned_away))
            if text
        ]
