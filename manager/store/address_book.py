"""Address book.

The addresses at which nodes dial each manager, as the manager stated them when it last served.

Invariant: `read` returns only managers whose nodes still exist.
"""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import select

from common.ids import NodeName
from manager.store.engine import Database
from manager.store.meta import VALUE, Meta
from manager.store.tables.content import meta, node

_PREFIX = "addresses:"
_LIST = msgspec.json.Decoder(list[str])


class AddressBook:
    def __init__(self, database: Database, values: Meta) -> None:
        self._database = database
        self._values = values

    async def keep(self, name: NodeName, addresses: Sequence[str]) -> None:
        """Store the addresses (HOST:PORT) at which the manager with this node is dialled."""
        await self._values.set(f"{_PREFIX}{name}", msgspec.json.encode(list(addresses)))

    async def forget(self, name: NodeName) -> None:
        """Remove the addresses of a node that is being removed."""
        await self._values.remove(f"{_PREFIX}{name}")

    async def read(self) -> Mapping[NodeName, tuple[str, ...]]:
        """Return all addresses, in the order in which the managers joined."""
        query = (
            select(node.c.name, meta.c.value)
            .join(meta, meta.c.name == f"{VALUE}{_PREFIX}" + node.c.name)
            .where(node.c.kind == "management")
            .order_by(node.c.id)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return {NodeName(row.name): tuple(_LIST.decode(row.value)) for row in rows}
