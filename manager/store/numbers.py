"""Numbers that rise from one transaction to the next.

With one writer at a time, they follow the order of commits.

Invariant: a transaction that read a number sees every change made under that number or a lower one.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, literal, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.store.columns import WHOLE
from manager.store.tables.content import counter, meta, node
from manager.store.tables.running import node_change

CHANGE: Final = "change"
"""The counter that numbers each transaction that changes nodes; it begins at 1, so that 0 is before all of
them."""

REMOVED: Final = "removed"
"""The number of the last transaction that removed a node."""

ALARMS: Final = "alarms"
"""The number of the last transaction that changed an alarm."""

CHALLENGES: Final = "challenges"
"""The number of the last transaction that changed the challenges that nodes show to CAs."""

RIGHTS: Final = "rights"
"""The count of changes of rights."""

LEAPT: Final = "leapt"
"""Where all counters continued after a server took over from another one; see `manager.store.timelines`."""

REVISION: Final = "revision"
"""The name in `meta` of the count of changes to content."""

Insert = sqlite.Insert | postgresql.Insert


async def draw(connection: AsyncConnection, inserting: Insert, name: str) -> int:
    """Increment a counter; return its new value. `inserting` is an INSERT into `counter`."""
    raised = inserting.values(name=name, value=1).on_conflict_do_update(
        index_elements=[counter.c.name], set_={"value": counter.c.value + 1}
    )
    return int((await connection.execute(raised.returning(counter.c.value))).scalar_one())


async def keep(connection: AsyncConnection, inserting: Insert, name: str, number: int) -> None:
    """Store a number under a name. `inserting` is an INSERT into `counter`."""
    kept = inserting.values(name=name, value=number)
    await connection.execute(
        kept.on_conflict_do_update(index_elements=[counter.c.name], set_={"value": kept.excluded.value})
    )


async def mark(
    connection: AsyncConnection, inserting: Insert, nodes: ColumnElement[bool], number: int
) -> None:
    """Set the last change of the nodes that meet the condition.

    `inserting` is an INSERT into `node_change`.
    """
    chosen = select(node.c.id, literal(number, WHOLE)).where(nodes)
    marked = inserting.from_select(["node_id", "number"], chosen)
    await connection.execute(
        marked.on_conflict_do_update(
            index_elements=[node_change.c.node_id], set_={"number": marked.excluded.number}
        )
    )


async def read_counters(connection: AsyncConnection) -> Mapping[str, int]:
    """Return the value of each counter that has begun."""
    return {row.name: int(row.value) for row in await connection.execute(select(counter))}


async def revision_of(connection: AsyncConnection) -> int:
    """Return how often content has changed; equal revisions mean equal content."""
    known = (await connection.execute(select(meta.c.value).where(meta.c.name == REVISION))).scalar()
    return int(known or b"0")


async def keep_revision(connection: AsyncConnection, inserting: Insert, revision: int) -> None:
    """Set how often content has changed. `inserting` is an INSERT into `meta`."""
    kept = inserting.values(name=REVISION, value=str(revision).encode())
    await connection.execute(
        kept.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": kept.excluded.value})
    )
