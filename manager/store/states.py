"""Nodes with everything that the store knows of each: read in the caller's transaction, decoded after it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.domain.duplicate_identity import RecentAgents
from manager.domain.members import Hold, MemberId, NodeState, Sighting
from manager.store.engine import Database
from manager.store.generations import generation_of
from manager.store.nodes import node_of
from manager.store.parts import chunks, made_of
from manager.store.tables.content import generation, node, report
from manager.store.tables.running import asked_push, hold, seat, sighting
from manager.store.translate import decode_report, decode_seats

NODES_A_PART: Final = 100
"""How many nodes one statement reads: 500 KB of manifests and reports."""

FLOOD: Final = "flood"
TURNED_AWAY: Final = "turned_away"
"""Kinds of what a member notices."""

_NUMBERS: Final = generation.alias()
_NEWEST: Final = (
    select(func.max(_NUMBERS.c.generation))
    .where(_NUMBERS.c.node_id == node.c.id)
    .correlate(node)
    .scalar_subquery()
)
_STATES: Final = (
    select(
        node,
        *(column.label(f"generation_{column.key}") for column in generation.columns),
        report.c.body.label("report"),
        hold.c.member_id,
        hold.c.number,
        hold.c.since_s,
        hold.c.address,
        hold.c.agent_version,
        asked_push.c.node_id.label("asked"),
        seat.c.greetings,
        seat.c.left_s,
    )
    .select_from(node)
    .outerjoin(generation, (generation.c.node_id == node.c.id) & (generation.c.generation == _NEWEST))
    .outerjoin(report, report.c.node_id == node.c.id)
    .outerjoin(hold, hold.c.node_id == node.c.id)
    .outerjoin(asked_push, asked_push.c.node_id == node.c.id)
    .outerjoin(seat, seat.c.node_id == node.c.id)
    .order_by(node.c.id)
)

_SIGHTINGS: Final = select(sighting)


async def read_states(
    database: Database, connection: AsyncConnection, nodes: Sequence[int]
) -> Callable[[], Awaitable[list[NodeState]]]:
    """Read those of these nodes that exist.

    Return a function that makes the records, after the transaction.
    """
    rows: list[Row[Any]] = []
    for part in chunks(nodes, NODES_A_PART):
        rows += (await connection.execute(_STATES.where(database.among(node.c.id, part)))).all()
    # usually there are none
    noticed: dict[int, list[Row[Any]]] = {}
    for row in await connection.execute(_SIGHTINGS) if rows else ():
        noticed.setdefault(row.node_id, []).append(row)

    async def make() -> list[NodeState]:
        return await made_of(rows, lambda row: _state_of(row, noticed.get(row.id, ())))

    return make


def _state_of(row: Row[Any], noticed: Sequence[Row[Any]]) -> NodeState:
    return NodeState(
        record=node_of(row),
        generation=None
        if row.generation_generation is None
        else generation_of(row, name=row.name, prefix="generation_"),
        report=None if row.report is None else decode_report(row.report),
        hold=None if row.member_id is None else _hold(row),
        is_push_asked=row.asked is not None,
        seats=RecentAgents() if row.greetings is None else decode_seats(row.greetings),
        left_s=row.left_s,
        sightings=_sightings(noticed),
    )


def _sightings(noticed: Sequence[Row[Any]]) -> tuple[Sighting, ...]:
    texts: dict[int, dict[str, str]] = {}
    for row in noticed:
        texts.setdefault(row.member_id, {})[row.kind] = row.text
    return tuple(
        Sighting(member=MemberId(number), flood=each.get(FLOOD, ""), turned_away=each.get(TURNED_AWAY, ""))
        for number, each in sorted(texts.items())
    )


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        member=MemberId(row.member_id),
        number=row.number,
        since_s=row.since_s,
        address=row.address,
        agent_version=row.agent_version,
    )
