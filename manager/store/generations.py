"""Generations, immutable, and the payloads they name, each kept once whoever uses it.

Invariant: a node's generation numbers only rise, and a generation's payloads are there as long as it is.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, insert, select

from common.errors import ConflictError, NotFoundError
from common.ids import Digest, NodeName
from manager.domain.model import GenerationRecord
from manager.store.engine import Database, chunks
from manager.store.records import NewGeneration
from manager.store.sealing import Keyring
from manager.store.tables import generation, node, payload

KEEP: Final = 20
"""Generations a node keeps for history, difference and republish."""


class _Entry(msgspec.Struct):
    digest: str


class _Entries(msgspec.Struct):
    entries: list[_Entry]


class Generations:
    """See the module."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def publish(self, items: Sequence[NewGeneration]) -> None:
        """Keep all or none, in one transaction. Raises ConflictError if a number does not rise, NotFoundError."""
        if not items:
            return
        payloads = await asyncio.to_thread(self._seal, items)
        async with self._database.write() as connection:
            found = {row.name: row.id for row in await connection.execute(select(node.c.id, node.c.name))}
            last = dict(
                (
                    await connection.execute(
                        select(generation.c.node_id, func.max(generation.c.generation)).group_by(
                            generation.c.node_id
                        )
                    )
                )
                .tuples()
                .all()
            )
            rows = []
            for item in items:
                owner = found.get(item.node)
                if owner is None:
                    raise NotFoundError(f"there is no node '{item.node}'")
                if item.generation <= last.get(owner, 0):
                    raise ConflictError(f"generation {item.generation} of node '{item.node}' does not rise")
                rows.append(_values(item, owner))
            await self._database.insert_absent(connection, payload, payloads)
            await connection.execute(insert(generation), rows)

    async def latest(self) -> Mapping[NodeName, GenerationRecord]:
        """Return the newest generation of each node that has one."""
        newest = (
            select(generation.c.node_id, func.max(generation.c.generation).label("top"))
            .group_by(generation.c.node_id)
            .subquery()
        )
        query = (
            select(node.c.name, generation)
            .join_from(generation, node)
            .join(
                newest, (newest.c.node_id == generation.c.node_id) & (newest.c.top == generation.c.generation)
            )
        )
        async with self._database.read() as connection:
            return {NodeName(row.name): _record(row) for row in await connection.execute(query)}

    async def history(self, name: NodeName, *, limit: int = KEEP) -> Sequence[GenerationRecord]:
        """Return a node's generations, the newest first."""
        query = (
            select(node.c.name, generation)
            .join_from(generation, node)
            .where(node.c.name == name)
            .order_by(generation.c.generation.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [_record(row) for row in await connection.execute(query)]

    async def payloads(self, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        """Return those that exist, unsealed."""
        rows: list[Row[Any]] = []
        async with self._database.read() as connection:
            for part in chunks(sorted(set(digests))):
                rows += (await connection.execute(select(payload).where(payload.c.digest.in_(part)))).all()
        return await asyncio.to_thread(lambda: {Digest(row.digest): self._open(row) for row in rows})

    async def collect(self, *, keep: int = KEEP) -> int:
        """Remove generations beyond the newest `keep` of each node, and payloads that none names; return how many went."""
        async with self._database.write() as connection:
            rank = (
                func.row_number()
                .over(partition_by=generation.c.node_id, order_by=generation.c.generation.desc())
                .label("rank")
            )
            ranked = select(generation.c.node_id, generation.c.generation, rank).subquery()
            old = await connection.execute(
                select(ranked.c.node_id, ranked.c.generation).where(ranked.c.rank > keep)
            )
            gone = 0
            for row in old.all():
                gone += 1
                await connection.execute(
                    delete(generation).where(
                        (generation.c.node_id == row.node_id) & (generation.c.generation == row.generation)
                    )
                )
            if gone:
                used: set[str] = set()
                async for row in await connection.stream(select(generation.c.manifest)):
                    used.update(
                        each.digest for each in msgspec.json.decode(row.manifest, type=_Entries).entries
                    )
                held = (await connection.execute(select(payload.c.digest))).scalars().all()
                for part in chunks([digest for digest in held if digest not in used]):
                    await connection.execute(delete(payload).where(payload.c.digest.in_(part)))
            return gone

    def _seal(self, items: Sequence[NewGeneration]) -> list[dict[str, Any]]:
        bodies = {digest: body for item in items for digest, body in item.payloads.items()}
        secret = {digest for item in items for digest in item.secrets}
        return [
            {
                "digest": digest,
                "sealed": digest in secret,
                "body": self._keyring.seal(_identity(digest), body) if digest in secret else body,
            }
            for digest, body in bodies.items()
        ]

    def _open(self, row: Row[Any]) -> bytes:
        body = bytes(row.body)
        return self._keyring.open(_identity(row.digest), body) if row.sealed else body


def _identity(digest: str) -> str:
    return f"payload:{digest}"


def _values(item: NewGeneration, owner: int) -> dict[str, Any]:
    return {
        "node_id": owner,
        "generation": item.generation,
        "epoch": item.epoch,
        "digest": item.digest,
        "manifest": item.manifest,
        "created_s": item.created_s,
        "cause": item.cause,
    }


def _record(row: Row[Any]) -> GenerationRecord:
    return GenerationRecord(
        node=NodeName(row.name),
        epoch=row.epoch,
        generation=row.generation,
        digest=Digest(row.digest),
        manifest=bytes(row.manifest),
        created_s=row.created_s,
        cause=row.cause,
    )
