"""Feed of changes: what other managers changed, by numbers that rise from one transaction to the next.

Where one manager is alone (SQLite) no numbers are drawn for changes: only the first look has nodes.
Invariant: what is read is of one moment, and no change that was kept before it is missed by looks that each begin where the last ended.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.domain.members import Changes
from manager.store.engine import Database
from manager.store.numbers import CHANGE, REMOVED, RIGHTS, counted
from manager.store.states import read_states
from manager.store.tables import node, node_change


class Feed:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._rights = 0

    async def is_all_own(self, number: int) -> bool:
        """Whether all that changed after this number was changed by this process, for whoever cannot wait until it is read.

        Only what `since` tells is certain: a server that took over from another one may give a number twice. Raises StorageError.
        """
        async with self._database.read() as connection:
            now = (await counted(connection)).get(CHANGE, 0)
        return 0 < number <= now and self._database.own_numbers.issuperset(range(number + 1, now + 1))

    async def since(self, number: int) -> Changes:
        """Return what changed after this number; all there is for 0, and for a number that this store has not come to.

        One's own changes are among it. `Store.rights_revision` rises if rights were changed since the last look. Raises StorageError.
        """
        async with self._database.read() as connection:
            come_to = await counted(connection)
            now = come_to.get(CHANGE, 0)
            # a server that took over from another one may lack its last transactions
            is_whole = not 0 < number <= now
            numbers = await _whole(connection) if is_whole else await _changed(connection, number, now)
            make = await read_states(self._database, connection, sorted(numbers))
            present = frozenset(numbers) if is_whole else None
            if not is_whole and come_to.get(REMOVED, 0) > number:
                present = frozenset(await _whole(connection))
            content = await self._database.revision(connection)
        self._database.own_numbers -= {each for each in self._database.own_numbers if each <= number}
        rights = come_to.get(RIGHTS, 0)
        if rights != self._rights:
            self._rights = rights
            self._database.note_rights()
        return Changes(number=now, content=content, rights=rights, nodes=await make(), present=present)


async def _whole(connection: AsyncConnection) -> Sequence[int]:
    return (await connection.execute(select(node.c.id))).scalars().all()


async def _changed(connection: AsyncConnection, number: int, now: int) -> Sequence[int]:
    if number == now:
        return []
    later = select(node_change.c.node_id).where(node_change.c.number > number)
    return (await connection.execute(later)).scalars().all()
