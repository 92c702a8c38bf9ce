"""Duties: what one member does for all.

Invariant: a duty is one member's at a time, and goes with its row.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import DutyLostError
from manager.store.engine import Database
from manager.store.tables.running import duty

LEAD: Final = "lead"
"""Everything that is done once: alarms, publishing for nodes that nobody holds, collection, the audit log's heads and its verification."""


class Duties:
    """Of the member that the store acts as; without one, this is a fault of the program (RuntimeError)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, name: str) -> bool:
        """Take a duty if nobody has it; return whether this member has it now. It only reads if somebody has it.

        Raises MembershipLostError, StorageError.
        """
        member = self._database.member
        async with self._database.read() as connection:
            holder = await _holder(connection, name)
        if holder is None:
            async with self._database.write() as connection:
                await self._database.insert_absent(connection, duty, [{"name": name, "member_id": member}])
                holder = await _holder(connection, name)
        return holder == member

    async def give_up(self, name: str) -> None:
        """Give up a duty, so that another member may take it. Raises MembershipLostError, StorageError."""
        own = (duty.c.name == name) & (duty.c.member_id == self._database.member)
        async with self._database.write() as connection:
            if (await connection.execute(delete(duty).where(own))).rowcount:
                await self._database.number(connection)  # so that others hear of it

    def condition(self, name: str) -> Callable[[], Awaitable[None]]:
        """Return what `Store.on_condition` is to ask: it raises DutyLostError once the duty is not that of whom the store acts as now."""
        member = self._database.member

        async def check() -> None:
            async with self._database.read() as connection:
                if await _holder(connection, name) != member:
                    raise DutyLostError("another manager does this by now, so nothing of it was kept here")

        return check


async def _holder(connection: AsyncConnection, name: str) -> int | None:
    return (await connection.execute(select(duty.c.member_id).where(duty.c.name == name))).scalar()
