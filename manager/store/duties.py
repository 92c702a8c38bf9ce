"""Duties: work that one member does for all.

Invariant: a duty belongs to one member at a time, and becomes free when that member's row is removed.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import DutyLostError
from manager.store.engine import Database
from manager.store.tables.running import duty

LEAD: Final = "lead"
"""All work done once per store: alarms, publishing for nodes that no member holds, collection, heads and
verification of the audit log."""


class Duties:
    """Duties of the member that the store acts as. Without a member, calls raise RuntimeError (a bug)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, name: str) -> bool:
        """Take a duty if it is free; return whether this member has it now.

        It only reads if the duty is taken.

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
        """Release a duty, so that another member may take it. Raises MembershipLostError, StorageError."""
        own = (duty.c.name == name) & (duty.c.member_id == self._database.member)
        async with self._database.write() as connection:
            if (await connection.execute(delete(duty).where(own))).rowcount:
                await self._database.number(connection)  # so that others hear of it

    def condition(self, name: str) -> Callable[[], Awaitable[None]]:
        """Return a check for `Store.on_condition`.

        It raises DutyLostError once this member no longer has the duty.
        """
        member = self._database.member

        async def check() -> None:
            async with self._database.read() as connection:
                if await _holder(connection, name) != member:
                    raise DutyLostError("another manager does this by now, so nothing of it was kept here")

        return check


async def _holder(connection: AsyncConnection, name: str) -> int | None:
    return (await connection.execute(select(duty.c.member_id).where(duty.c.name == name))).scalar()
