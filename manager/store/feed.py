"""Feed of the changes that other managers make, by numbers that rise from one transaction to the next.

On SQLite, where only one manager runs, changes get no numbers, and only the first pass returns nodes.
Invariant: each pass reads a single snapshot. Passes that each start where the last one ended miss no commit.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.domain.members import StoreChanges
from manager.store.engine import Database
from manager.store.numbers import (
    ALARMS,
    CHALLENGES,
    CHANGE,
    LEAPT,
    REMOVED,
    RIGHTS,
    read_counters,
    revision_of,
)
from manager.store.states import read_states
from manager.store.tables.content import node
from manager.store.tables.running import node_change


class Feed:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._rights = 0

    async def is_all_own(self, number: int) -> bool:
        """Whether this process made every change after this number, for callers that cannot wait for a pass.

        This is a hint; only `since` is certain. Raises StorageError.
        """
        await self._database.note_takeover()
        async with self._database.read() as connection:
            come_to = await read_counters(connection)
        if not _is_known(number, come_to):
            return False
        return self._database.own_numbers.issuperset(range(number + 1, come_to[CHANGE] + 1))

    async def since(self, number: int) -> StoreChanges:
        """Return what changed after this number.

        Everything for 0, or for a number from before a server took over.

        It includes this process's own changes. `Store.rights_revision` rises if rights changed since the last
        pass. Raises StorageError.
        """
        await self._database.note_takeover()
        async with self._database.read() as connection:
            come_to = await read_counters(connection)
            now = come_to.get(CHANGE, 0)
            is_whole = not _is_known(number, come_to)
            numbers = await _whole(connection) if is_whole else await _changed(connection, number, now)
            make = await read_states(self._database, connection, sorted(numbers))
            present = frozenset(numbers) if is_whole else None
            if not is_whole and come_to.get(REMOVED, 0) > number:
                present = frozenset(await _whole(connection))
            content = await revision_of(connection)
        self._database.own_numbers -= {each for each in self._database.own_numbers if each <= number}
        rights = come_to.get(RIGHTS, 0)
        if rights != self._rights:
            self._rights = rights
            self._database.note_rights()
        return StoreChanges(
            number=now,
            content=content,
            rights=rights,
            alarms=come_to.get(ALARMS, 0),
            challenges=come_to.get(CHALLENGES, 0),
            nodes=await make(),
            present=present,
            is_anew=is_whole and number > 0,
        )


def _is_known(number: int, come_to: Mapping[str, int]) -> bool:
    """Whether this store itself has reached a number, rather than a server whose last commits were lost."""
    return max(1, come_to.get(LEAPT, 0)) <= number <= come_to.get(CHANGE, 0)


async def _whole(connection: AsyncConnection) -> Sequence[int]:
    return (await connection.execute(select(node.c.id))).scalars().all()


async def _changed(connection: AsyncConnection, number: int, now: int) -> Sequence[int]:
    if number == now:
        return []
    later = select(node_change.c.node_id).where(node_change.c.number > number)
    return (await connection.execute(later)).scalars().all()
