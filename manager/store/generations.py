"""Generations, which are immutable, and the payloads that they name.

Payloads are shared, and stored once each.

Invariant: a node's generation numbers only rise, and a generation's payloads exist as long as it does.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import ConflictError, NotFoundError
from common.ids import Digest, NodeName
from manager.domain.model import GenerationRecord
from manager.store.engine import Database
from manager.store.nodes import node_ids
from manager.store.numbers import revision_of
from manager.store.parts import SQL_VARIABLES_MAX, chunks
from manager.store.records import NewGeneration
from manager.store.sealing import PRIVATE_KEY, Keyring
from manager.store.tables.content import generation, node, payload

KEEP: Final = 20
"""How many generations of a node are kept for history, comparison and republishing."""


NUMBER_MAX: Final = 2**31 - 1
"""The highest number that the column can hold."""

NODES_A_PART: Final = 50
"""How many nodes' manifests are read at once while collecting: 2.5 MB, some 10 ms of the loop."""


class _Entry(msgspec.Struct):
    digest: str


class _Entries(msgspec.Struct):
    entries: list[_Entry]


class Generations:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._swept: int | None = None  # the store's revision at the last search for unnamed payloads

    async def publish(self, items: Sequence[NewGeneration]) -> Sequence[GenerationRecord]:
        """Store all of these or none; return them.

        Raises ConflictError if a number is not higher than the last.

        Generations for nodes that were removed are left out, even if another node now has the name.
        """
        if not items:
            return []
        payloads = await asyncio.to_thread(self._seal, items)
        async with self._database.write() as connection:
            found = await node_ids(connection, {item.node for item in items})
            last = await _tops(connection, found.values())
            rows, kept = [], []
            for item in items:
                owner = item.node_id
                if found.get(item.node) != owner:
                    continue
                # it follows the last one unless another manager was faster, or a server took over that lacks
                # that one
                if item.follows != last.get(owner, 0):
                    raise ConflictError(
                        f"generation {item.generation} of node '{item.node}' does not follow its last one"
                    )
                if item.generation <= last.get(owner, 0):
                    raise ConflictError(
                        f"generation {item.generation} of node '{item.node}' is not higher than its last one"
                    )
                if item.copies is not None:
                    # its payloads exist because the generation that it copies does
                    await _check_there(connection, owner, item.node, item.copies)
                last[owner] = item.generation
                rows.append(_values(item, owner))
                kept.append(_published(item))
            if rows:
                await self._database.insert_absent(connection, payload, payloads)
                await connection.execute(insert(generation), rows)
                await self._database.changed(connection, {row["node_id"] for row in rows})
        return kept

    async def get(self, name: NodeName, *, number: int) -> GenerationRecord:
        """Return a generation. Raises NotFoundError."""
        found = await self.some({name: number})
        if name not in found:
            raise _missing(name, number)
        return found[name]

    async def some(self, wanted: Mapping[NodeName, int]) -> Mapping[NodeName, GenerationRecord]:
        """Return one generation of each of these nodes, by number, leaving out those that do not exist."""
        found: dict[NodeName, GenerationRecord] = {}
        pairs = [(name, number) for name, number in wanted.items() if number <= NUMBER_MAX]
        async with self._database.read() as connection:
            for part in chunks(pairs, SQL_VARIABLES_MAX // 2):
                query = (
                    select(node.c.name, generation)
                    .join_from(generation, node)
                    .where(tuple_(node.c.name, generation.c.generation).in_(part))
                )
                found.update(
                    {
                        NodeName(row.name): generation_of(row, name=row.name)
                        for row in await connection.execute(query)
                    }
                )
        return found

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
            return {
                NodeName(row.name): generation_of(row, name=row.name)
                for row in await connection.execute(query)
            }

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
            return [generation_of(row, name=row.name) for row in await connection.execute(query)]

    async def payloads(self, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        """Return the payloads that exist, unsealed."""
        rows: list[Row[Any]] = []
        async with self._database.read() as connection:
            for part in chunks(sorted(set(digests))):
                rows += (await connection.execute(select(payload).where(payload.c.digest.in_(part)))).all()
        return await asyncio.to_thread(lambda: {Digest(row.digest): self._open(row) for row in rows})

    async def collect(self, *, keep: int = KEEP) -> int:
        """Remove generations beyond the newest `keep` of each node, and payloads that no generation names.

        Returns how many generations were removed. Names are read in parts, without blocking writers;
        generations that were published meanwhile are checked before any payload is removed.
        """
        gone, revision = await self._remove_old(keep)
        if not gone and revision == self._swept:
            return 0
        async with self._database.read() as connection:
            seen = await _tops(connection, None)
        used: set[str] = set()
        for part in chunks(sorted(seen), NODES_A_PART):
            async with self._database.read() as connection:
                used |= await _named(connection, part)
        async with self._database.write() as connection:
            now = await _tops(connection, None)
            changed = [owner for owner, top in now.items() if top != seen.get(owner)]
            for part in chunks(changed, NODES_A_PART):
                used |= await _named(connection, part)
            held = (await connection.execute(select(payload.c.digest))).scalars().all()
            for part_held in chunks([digest for digest in held if digest not in used]):
                await connection.execute(delete(payload).where(payload.c.digest.in_(part_held)))
        self._swept = revision
        return gone

    async def _remove_old(self, keep: int) -> tuple[int, int]:
        rank = (
            func.row_number()
            .over(partition_by=generation.c.node_id, order_by=generation.c.generation.desc())
            .label("rank")
        )
        ranked = select(generation.c.node_id, generation.c.generation, rank).subquery()
        old = select(ranked.c.node_id, ranked.c.generation).where(ranked.c.rank > keep)
        async with self._database.write() as connection:
            result = await connection.execute(
                delete(generation).where(tuple_(generation.c.node_id, generation.c.generation).in_(old))
            )
            return result.rowcount, await revision_of(connection)

    def _seal(self, items: Sequence[NewGeneration]) -> list[dict[str, Any]]:
        bodies = {digest: body for item in items for digest, body in item.payloads.items()}
        secret = {digest for item in items for digest in item.secrets}
        # no key is ever stored in the clear, whatever the caller says
        secret |= {digest for digest, body in bodies.items() if PRIVATE_KEY.encode() in body}
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


async def _tops(connection: AsyncConnection, owners: Collection[int] | None) -> dict[int, int]:
    """Return the highest number of each of these nodes (None: of all)."""
    query = select(generation.c.node_id, func.max(generation.c.generation).label("top")).group_by(
        generation.c.node_id
    )
    if owners is not None and len(owners) <= SQL_VARIABLES_MAX:
        query = query.where(generation.c.node_id.in_(owners))
    return {int(row.node_id): int(row.top) for row in await connection.execute(query)}


async def _named(connection: AsyncConnection, owners: Sequence[int]) -> set[str]:
    """Return the digests that the generations of these nodes name."""
    manifests = (
        (await connection.execute(select(generation.c.manifest).where(generation.c.node_id.in_(owners))))
        .scalars()
        .all()
    )
    return await asyncio.to_thread(
        lambda: {
            each.digest
            for manifest in manifests
            for each in msgspec.json.decode(manifest, type=_Entries).entries
        }
    )


async def _check_there(connection: AsyncConnection, owner: int, name: NodeName, number: int) -> None:
    chosen = (generation.c.node_id == owner) & (generation.c.generation == number)
    if (await connection.execute(select(generation.c.generation).where(chosen))).first() is None:
        raise _missing(name, number)


def _missing(name: NodeName, number: int) -> NotFoundError:
    return NotFoundError(
        f"node '{name}' has no generation {number} in the store, which keeps the last {KEEP} of each node"
    )


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
        "superseded_digest": item.superseded_digest,
    }


def _published(item: NewGeneration) -> GenerationRecord:
    return GenerationRecord(
        node=item.node,
        epoch=item.epoch,
        generation=item.generation,
        digest=item.digest,
        manifest=item.manifest,
        created_s=item.created_s,
        cause=item.cause,
        superseded_digest=item.superseded_digest,
    )


def generation_of(row: Row[Any], *, name: str, prefix: str = "") -> GenerationRecord:
    """Return the record of a row with all columns of `generation`, prefixed, for this node."""

    def value(column: str) -> Any:
        return getattr(row, prefix + column)

    superseded = value("superseded_digest")
    return GenerationRecord(
        node=NodeName(name),
        epoch=value("epoch"),
        generation=value("generation"),
        digest=Digest(value("digest")),
        manifest=bytes(value("manifest")),
        created_s=value("created_s"),
        cause=value("cause"),
        superseded_digest=None if superseded is None else Digest(superseded),
    )
