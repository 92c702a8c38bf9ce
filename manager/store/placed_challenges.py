"""Placed challenges.

The responses that each node shows to a CA, until they expire, and what the node said of them.

Invariant: a node never has more than fit in one message. They are not sealed: anybody who asks the node gets
them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.challenge import CHALLENGES_MAX, LIFETIME_MAX_S
from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.challenges import PlacedChallenge
from manager.store.engine import Database
from manager.store.nodes import node_ids
from manager.store.numbers import CHALLENGES
from manager.store.parts import chunks
from manager.store.tables.content import node
from manager.store.tables.running import placed_challenge

PROLONGED_SHARE: Final = 0.9
"""Share of the requested time that must be left, else the end moves: not at each request, a few seconds
later."""

_ALL: Final = (
    select(placed_challenge, node.c.name)
    .join(node, node.c.id == placed_challenge.c.node_id)
    .order_by(placed_challenge.c.node_id, placed_challenge.c.token)
)


class PlacedChallenges:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(self, wanted: Mapping[NodeName, Mapping[str, str]], *, until_s: float) -> None:
        """Have these nodes show these responses, by token. A response already there stays.

        Its end moves if more than a tenth of its time is gone. Nodes that do not exist are left out, and so
        are those without room for all of it beside what they already show. Nothing is shown for longer than
        LIFETIME_MAX_S unless it is placed again. Raises StorageError; ConflictError if it is more than any
        node can show.
        """
        _check_size(wanted)
        async with self._database.read() as connection:
            now_s = await self._database.now_s(connection)
            if not _differing(await _of(connection, wanted), wanted, _least_s(until_s, now_s)):
                return
        async with self._database.write() as connection:
            now_s = await self._database.now_s(connection)
            await connection.execute(delete(placed_challenge).where(placed_challenge.c.expires_s <= now_s))
            ids = await node_ids(connection, wanted)
            known = await _of(connection, ids)
            fitting = {name: wanted[name] for name in ids if _has_room(known, name, wanted[name])}
            differing = _differing(known, fitting, _least_s(until_s, now_s))
            end_s = min(until_s, now_s + LIFETIME_MAX_S)
            for name, token in differing:
                chosen = (placed_challenge.c.node_id == ids[name]) & (placed_challenge.c.token == token)
                await connection.execute(delete(placed_challenge).where(chosen))
            rows = [
                _row(ids[name], token, wanted[name][token], end_s, known.get((name, token)))
                for name, token in differing
            ]
            if rows:
                await connection.execute(insert(placed_challenge), rows)
                await self._database.note(connection, CHALLENGES)

    async def remove(self, tokens: Collection[str]) -> None:
        """Remove these from all nodes. Raises StorageError."""
        async with self._database.write() as connection:
            removed = 0
            for part in chunks(sorted(tokens)):
                result = await connection.execute(
                    delete(placed_challenge).where(placed_challenge.c.token.in_(part))
                )
                removed += result.rowcount
            if removed:
                await self._database.note(connection, CHALLENGES)

    async def all(self) -> Sequence[PlacedChallenge]:
        """Return all challenges, including expired ones. Raises StorageError."""
        async with self._database.read() as connection:
            return [_placed(row) for row in await connection.execute(_ALL)]

    async def of(self, tokens: Collection[str]) -> Sequence[PlacedChallenge]:
        """Return the challenges with these tokens. Raises StorageError."""
        found: list[PlacedChallenge] = []
        async with self._database.read() as connection:
            for part in chunks(sorted(tokens)):
                rows = await connection.execute(_ALL.where(placed_challenge.c.token.in_(part)))
                found += [_placed(row) for row in rows]
        return found

    async def note_kept(self, kept: Mapping[NodeName, Mapping[str, str]]) -> None:
        """Record the nodes' answers: by token, why the node does not show it, "" if it does.

        Raises StorageError.
        """
        async with self._database.write() as connection:
            now_s = await self._database.now_s(connection)
            ids = await node_ids(connection, kept)
            for name, number in ids.items():
                for token, fault in kept[name].items():
                    chosen = (placed_challenge.c.node_id == number) & (placed_challenge.c.token == token)
                    await connection.execute(
                        update(placed_challenge)
                        .where(chosen)
                        .values(kept_s=None if fault else now_s, fault=fault)
                    )

    async def remove_expired(self) -> None:
        """Remove expired challenges. Raises StorageError."""
        async with self._database.write() as connection:
            now_s = await self._database.now_s(connection)
            await connection.execute(delete(placed_challenge).where(placed_challenge.c.expires_s <= now_s))


Known = Mapping[tuple[NodeName, str], PlacedChallenge]


async def _of(connection: AsyncConnection, nodes: Iterable[NodeName]) -> Known:
    wanted = set(nodes)
    placed = [_placed(row) for row in await connection.execute(_ALL)]
    return {(each.node, each.token): each for each in placed if each.node in wanted}


def _least_s(until_s: float, now_s: float) -> float:
    """Return the earliest end at which a challenge need not be moved."""
    return now_s + PROLONGED_SHARE * (min(until_s, now_s + LIFETIME_MAX_S) - now_s)


def _differing(
    known: Known, wanted: Mapping[NodeName, Mapping[str, str]], least_s: float
) -> list[tuple[NodeName, str]]:
    """Return the responses that are missing, different, or end too early."""
    return [
        (name, token)
        for name, responses in wanted.items()
        for token, response in responses.items()
        if (found := known.get((name, token))) is None
        or found.response != response
        or found.expires_s < least_s
    ]


def _check_size(wanted: Mapping[NodeName, Mapping[str, str]]) -> None:
    for name, responses in wanted.items():
        if len(responses) > CHALLENGES_MAX:
            raise ConflictError(
                f"node '{name}' would have to show {len(responses)} challenges at once, and can show {CHALLENGES_MAX}"
            )


def _has_room(known: Known, name: NodeName, responses: Mapping[str, str]) -> bool:
    return len({token for owner, token in known if owner == name} | responses.keys()) <= CHALLENGES_MAX


def _row(
    number: int, token: str, response: str, until_s: float, known: PlacedChallenge | None
) -> Mapping[str, Any]:
    is_same = known is not None and known.response == response
    return {
        "node_id": number,
        "token": token,
        "response": response,
        "expires_s": until_s,
        "kept_s": known.kept_s if known is not None and is_same else None,
        "fault": known.fault if known is not None and is_same else "",
    }


def _placed(row: Row[Any]) -> PlacedChallenge:
    return PlacedChallenge(
        node=NodeName(row.name),
        token=row.token,
        response=row.response,
        expires_s=row.expires_s,
        kept_s=row.kept_s,
        fault=row.fault,
    )
