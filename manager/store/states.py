"""Nodes as a whole, with all that the store knows of each: read in the transaction that asks, made into records afterwards."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from manager.domain.members import Hold, MemberId, NodeState
from manager.store.generations import generation_of
from manager.store.nodes import node_of
from manager.store.parts import chunks
from manager.store.tables import asked_push, generation, hold, node, report
from manager.store.translate import decode_report

NODES_A_PART: Final = 100
"""Read by one statement: 500 KB of manifests and reports."""

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
    )
    .select_from(node)
    .outerjoin(generation, (generation.c.node_id == node.c.id) & (generation.c.generation == _NEWEST))
    .outerjoin(report, report.c.node_id == node.c.id)
    .outerjoin(hold, hold.c.node_id == node.c.id)
    .outerjoin(asked_push, asked_push.c.node_id == node.c.id)
    .order_by(node.c.id)
)


async def read_states(connection: AsyncConnection, nodes: Sequence[int]) -> list[Row[Any]]:
    """Return what `state_of` is made of, of those of these nodes that there are."""
    rows: list[Row[Any]] = []
    for part in chunks(nodes, NODES_A_PART):
        rows += (await connection.execute(_STATES.where(node.c.id.in_(part)))).all()
    return rows


def state_of(row: Row[Any]) -> NodeState:
    return NodeState(
        record=node_of(row),
        generation=None
        if row.generation_generation is None
        else generation_of(row, name=row.name, prefix="generation_"),
        report=None if row.report is None else decode_report(row.report),
        hold=None if row.member_id is None else _hold(row),
        is_push_asked=row.asked is not None,
    )


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        member=MemberId(row.member_id),
        number=row.number,
        since_s=row.since_s,
        address=row.address,
        agent_version=row.agent_version,
    )
