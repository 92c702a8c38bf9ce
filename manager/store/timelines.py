"""Timelines of a server: whether it took over from another one, and lacks that one's last commits.

Decides that no number which the former server may have assigned is reused with another meaning. Invariant: a
number seen on a former timeline is below `LEAPT`, or above all that were assigned since.
"""

from collections.abc import Callable, Mapping
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.store.backend import Engine
from manager.store.numbers import (
    CHANGE,
    LEAPT,
    REMOVED,
    RIGHTS,
    keep,
    keep_revision,
    read_counters,
    revision_of,
)
from manager.store.tables.content import counter, meta

TIMELINE: Final = "timeline"
"""The name of the last write's timeline in `meta`, and of the connection's timeline in its info."""

NUMBERS_A_SECOND: Final = 1_000_000
"""Counters leap to the time in this unit. Transactions are never that frequent, so a server that takes over
later begins above all numbers of the former ones, however they replicated each other."""

IDS_LEAP: Final = 1_000
"""How many ids of each table count as assigned by lost commits."""


def leap_from(counters: Mapping[str, int], revision: int, now_s: float) -> int:
    """Return where all counters continue after a leap: above all of them, even with a wrong clock."""
    return max(int(now_s * NUMBERS_A_SECOND), revision, *counters.values(), 0) + 1


async def note_timeline(
    connection: AsyncConnection, engine: Engine, effects: list[Callable[[], None]]
) -> bool:
    """Record the timeline in the open transaction; return whether the counters leapt because it is a new one.

    Each connection is checked once, since it never leads to another server; `effects` run after the commit.
    """
    lasting = connection.sync_connection
    if lasting is None or lasting.info.get(TIMELINE):
        return False
    known = lasting.info
    effects.append(lambda: known.update({TIMELINE: True}))
    timeline = engine.timeline(connection).encode()
    kept = (await connection.execute(select(meta.c.value).where(meta.c.name == TIMELINE))).scalar()
    if kept is not None and bytes(kept) == timeline:
        return False
    if kept is not None:
        await _leap(connection, engine)
    noted = engine.insert(meta).values(name=TIMELINE, value=timeline)
    await connection.execute(
        noted.on_conflict_do_update(index_elements=[meta.c.name], set_={"value": noted.excluded.value})
    )
    return kept is not None


async def is_taken_over(connection: AsyncConnection, engine: Engine) -> bool:
    """Whether the server took over from another one and nothing was written since, so no counter leapt.

    As with `note_timeline`, a connection is not checked again once it is known that none did.
    """
    lasting = connection.sync_connection
    if lasting is None or lasting.info.get(TIMELINE):
        return False
    kept = (await connection.execute(select(meta.c.value).where(meta.c.name == TIMELINE))).scalar()
    is_due = kept is not None and bytes(kept) != engine.timeline(connection).encode()
    if kept is not None and not is_due:
        lasting.info[TIMELINE] = True
    return is_due


async def _leap(connection: AsyncConnection, engine: Engine) -> None:
    now_s = await engine.now_s(connection)
    number = leap_from(await read_counters(connection), await revision_of(connection), now_s)
    for name in (CHANGE, REMOVED, RIGHTS, LEAPT):
        await keep(connection, engine.insert(counter), name, number)
    await keep_revision(connection, engine.insert(meta), number)
    given = await engine.ids_given(connection)
    await engine.set_ids_given(
        connection, {name: highest + IDS_LEAP for name, highest in given.items() if highest}
    )
