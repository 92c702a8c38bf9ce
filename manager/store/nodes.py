"""Nodes, their pinned keys, and their join tokens.

Invariant: a token is used once; the key that used it is remembered, so that the same key may join again with
it. An unused token is removed together with whatever it was made with (`Maker`), however that is removed; a
used one is not.
"""

import hmac
import json
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import msgspec
from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.codes import NodeKind
from common.errors import ConflictError, EnrolmentError, Hint, NotFoundError, Reason
from common.ids import NodeName
from manager.domain.callers import Maker
from manager.domain.model import JoinTokenRecord, KeyChange, NodeRecord
from manager.store.engine import Database
from manager.store.numbers import REMOVED
from manager.store.parts import SQL_VARIABLES_MAX, chunks, made_of
from manager.store.tables.content import join_token, node
from manager.store.translate import decode_key_change, encode_key_change

LIVE_TOKENS_MAX: Final = 5
"""Unused tokens that a node may have at once: enough for a few attempts, too few to lose sight of."""


class Nodes:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        name: NodeName,
        kind: NodeKind,
        *,
        names: Sequence[str],
        addresses: Sequence[str],
        now_s: float,
        detail: Mapping[str, Any] = MappingProxyType({}),
    ) -> NodeRecord:
        """Store a new node. Raises ConflictError if the name is taken."""
        async with self._database.write() as connection:
            self._database.opened.touch(nodes=[name])
            if (await connection.execute(select(node.c.id).where(node.c.name == name))).first() is not None:
                raise ConflictError(f"a node '{name}' already exists")
            await connection.execute(
                insert(node).values(
                    name=name,
                    kind=kind,
                    names=json.dumps(list(names)),
                    addresses=json.dumps(list(addresses)),
                    created_s=now_s,
                    detail=json.dumps(dict(detail)),
                )
            )
            added = await get_node(connection, name)
            await self._database.changed(connection, [added.id])
            return added

    async def get(self, name: NodeName) -> NodeRecord:
        """Return a node. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await get_node(connection, name)

    async def require(self, names: Collection[NodeName]) -> None:
        """Check that these nodes exist. Raises NotFoundError for the first that does not."""
        async with self._database.read() as connection:
            await ids_of(connection, names)

    async def list(self) -> Sequence[NodeRecord]:
        """Return all nodes by name."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(node).order_by(node.c.name))).all()
        return await made_of(rows, node_of)

    async def some(self, names: Collection[NodeName]) -> Sequence[NodeRecord]:
        """Return those of these nodes that exist."""
        found: list[NodeRecord] = []
        async with self._database.read() as connection:
            for part in chunks(sorted(names)):
                rows = await connection.execute(select(node).where(node.c.name.in_(part)))
                found += map(node_of, rows)
        return found

    async def remove(self, *names: NodeName) -> None:
        """Remove all of these nodes with everything that belongs to them, or none. Raises NotFoundError."""
        async with self._database.write() as connection:
            self._database.opened.touch(nodes=names)
            for name in names:
                result = await connection.execute(delete(node).where(node.c.name == name))
                if not result.rowcount:
                    raise _missing(name)
            await self._database.note(connection, REMOVED)

    async def keys(self) -> Mapping[str, NodeName]:
        """Return the node of each pinned key."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                select(node.c.public_key, node.c.name).where(node.c.public_key.is_not(None))
            )
            return {row.public_key: NodeName(row.name) for row in rows}

    async def pin(self, name: NodeName, public_key: str, *, former_key: str, pinning: str = "") -> None:
        """Pin a key, only if the node still has `former_key` ("" for none).

        `pinning` is stored with it, "" for none.

        Raises NotFoundError, ConflictError (the key is another node's), EnrolmentError FORBIDDEN (the node
        has a third key).
        """
        async with self._database.write() as connection:
            pinned = await get_node(connection, name)
            if pinned.public_key == public_key:
                return
            if pinned.public_key != former_key:
                raise EnrolmentError(
                    f"the key of node '{name}' was replaced in the meantime", reason=Reason.FORBIDDEN
                )
            await _check_free(connection, public_key)
            await connection.execute(
                update(node).where(node.c.name == name).values(public_key=public_key, pinning=pinning or None)
            )
            await self._changed(connection, pinned)

    async def key_of(self, name: NodeName) -> str:
        """Return a node's pinned key; "" if it has none or does not exist."""
        async with self._database.read() as connection:
            return (
                await connection.execute(select(node.c.public_key).where(node.c.name == name))
            ).scalar() or ""

    async def pinning_of(self, name: NodeName, public_key: str) -> str:
        """Return the unique mark of this key's pinning; "" if there is none, or if another key is pinned."""
        chosen = (node.c.name == name) & (node.c.public_key == public_key)
        async with self._database.read() as connection:
            return (await connection.execute(select(node.c.pinning).where(chosen))).scalar() or ""

    async def keep_pinning(self, name: NodeName, public_key: str, pinning: str) -> None:
        """Store a mark for this key's pinning, unless it has one or another key is pinned."""
        chosen = (node.c.name == name) & (node.c.public_key == public_key) & node.c.pinning.is_(None)
        async with self._database.write() as connection:
            await connection.execute(update(node).where(chosen).values(pinning=pinning))

    async def keep_key_change(self, name: NodeName, change: KeyChange) -> None:
        """Record how a node got its pinned key. Raises NotFoundError."""
        async with self._database.write() as connection:
            owner = await get_node(connection, name)
            body = encode_key_change(change)
            await connection.execute(update(node).where(node.c.id == owner.id).values(key_change=body))
            await self._changed(connection, owner)

    async def add_join_token(
        self,
        name: NodeName,
        *,
        secret_hash: str,
        created_by: str,
        maker: Maker,
        expires_s: float,
        now_s: float,
    ) -> None:
        """Store a token's hash. Raises NotFoundError, ConflictError if the node has too many unused ones."""
        async with self._database.write() as connection:
            owner = (await get_node(connection, name)).id
            live = (join_token.c.node_id == owner) & join_token.c.used_key.is_(None)
            await connection.execute(delete(join_token).where(live & (join_token.c.expires_s <= now_s)))
            count = (await connection.execute(select(func.count()).where(live))).scalar_one()
            if count >= LIVE_TOKENS_MAX:
                raise ConflictError(
                    f"node '{name}' has {count} unused join tokens; use one, or wait until they expire"
                )
            await connection.execute(
                insert(join_token).values(
                    node_id=owner,
                    secret_hash=secret_hash,
                    created_s=now_s,
                    expires_s=expires_s,
                    created_by=created_by,
                    user_id=maker.user_id,
                    api_token_id=maker.api_token_id,
                    oauth_client_id=maker.oauth_client_id,
                )
            )

    async def join_tokens(self, name: NodeName | None, *, now_s: float) -> Sequence[JoinTokenRecord]:
        """Return the usable join tokens of a node (None: of all), the latest first."""
        query = (
            select(join_token, node.c.name.label("node_name"))
            .join(node)
            .where(join_token.c.used_key.is_(None), join_token.c.expires_s > now_s)
            .order_by(join_token.c.id.desc())
        )
        if name is not None:
            query = query.where(node.c.name == name)
        async with self._database.read() as connection:
            return [
                JoinTokenRecord(
                    id=row.id,
                    node=row.node_name,
                    created_s=row.created_s,
                    expires_s=row.expires_s,
                    created_by=row.created_by,
                )
                for row in await connection.execute(query)
            ]

    async def remove_join_token(self, name: NodeName, token_id: int) -> None:
        """Remove an unused join token of a node. Raises NotFoundError."""
        async with self._database.write() as connection:
            owner = (await get_node(connection, name)).id
            chosen = (join_token.c.id == token_id) & (join_token.c.node_id == owner)
            result = await connection.execute(
                delete(join_token).where(chosen & join_token.c.used_key.is_(None))
            )
            if not result.rowcount:
                raise NotFoundError(f"node '{name}' has no unused join token {token_id}")

    async def remove_every_join_token(self) -> None:
        """Remove all unused join tokens."""
        async with self._database.write() as connection:
            await connection.execute(delete(join_token).where(join_token.c.used_key.is_(None)))

    async def check_join_token(self, name: NodeName, *, secret_hash: str) -> None:
        """Check that this is a token of the node, usable or not. Raises EnrolmentError TOKEN_UNKNOWN."""
        async with self._database.read() as connection:
            await _token(connection, name, secret_hash)

    async def redeem_join_token(
        self, name: NodeName, *, secret_hash: str, public_key: str, now_s: float, pinning: str = ""
    ) -> NodeRecord:
        """Use a token: pin this key to the node. `pinning` is stored if the key is pinned again, "" for none.

        The key that used a token may use it again. Raises EnrolmentError TOKEN_UNKNOWN, TOKEN_USED,
        TOKEN_EXPIRED; ConflictError if the key is another node's.
        """
        async with self._database.write() as connection:
            token = await _token(connection, name, secret_hash)
            if token.used_key is not None and token.used_key != public_key:
                raise EnrolmentError(
                    f"this join token was used with another key; make a new one for node '{name}' at the manager",
                    reason=Reason.TOKEN_USED,
                )
            if token.used_key is None and token.expires_s <= now_s:
                raise EnrolmentError(
                    f"this join token has expired; make a new one for node '{name}' at the manager",
                    reason=Reason.TOKEN_EXPIRED,
                )
            await connection.execute(
                update(join_token)
                .where(join_token.c.id == token.id)
                .values(used_key=public_key, user_id=None, api_token_id=None, oauth_client_id=None)
            )
            record = await get_node(connection, name)
            if token.used_key is not None and record.public_key != public_key:
                raise EnrolmentError(
                    f"node '{name}' has joined with another key since; make a new join token for it at the manager",
                    reason=Reason.TOKEN_USED,
                )
            if record.public_key != public_key:
                await _check_free(connection, public_key)
                await connection.execute(
                    update(node)
                    .where(node.c.name == name)
                    .values(public_key=public_key, enrolled_s=now_s, pinning=pinning or None)
                )
                await self._changed(connection, record)
            return await get_node(connection, name)

    async def _changed(self, connection: AsyncConnection, record: NodeRecord) -> None:
        """Mark a node as changed in something other than content: what it must hold stays the same."""
        self._database.opened.touched.add(nodes=[record.name])
        await self._database.changed(connection, [record.id])


async def node_ids(connection: AsyncConnection, names: Collection[NodeName]) -> dict[NodeName, int]:
    """Return the ids of those nodes that exist; for many nodes, it reads all."""
    query = select(node.c.id, node.c.name)
    if len(names) <= SQL_VARIABLES_MAX:
        query = query.where(node.c.name.in_(names))
    wanted = set(names)
    return {NodeName(row.name): int(row.id) for row in await connection.execute(query) if row.name in wanted}


async def ids_of(connection: AsyncConnection, names: Collection[NodeName]) -> dict[NodeName, int]:
    """Return the ids of these nodes. Raises NotFoundError for the first that does not exist."""
    found = await node_ids(connection, names)
    for name in names:
        if name not in found:
            raise _missing(name)
    return found


async def _check_free(connection: AsyncConnection, public_key: str) -> None:
    owner = (await connection.execute(select(node.c.name).where(node.c.public_key == public_key))).scalar()
    if owner is not None:
        raise ConflictError(f"this key is pinned to node '{owner}'; every node needs a key of its own")


async def _token(connection: AsyncConnection, name: NodeName, secret_hash: str) -> Row[Any]:
    rows = await connection.execute(select(join_token).join(node).where(node.c.name == name))
    for row in rows:
        if hmac.compare_digest(row.secret_hash, secret_hash):
            return row
    raise EnrolmentError(
        "this join token is unknown here; create a new one at the manager",
        reason=Reason.TOKEN_UNKNOWN,
    )


async def get_node(connection: AsyncConnection, name: NodeName) -> NodeRecord:
    """Return a node within a transaction. Raises NotFoundError."""
    row = (await connection.execute(select(node).where(node.c.name == name))).first()
    if row is None:
        raise _missing(name)
    return node_of(row)


def node_of(row: Row[Any]) -> NodeRecord:
    """Return the record of a row with all columns of `node`."""
    return NodeRecord(
        id=row.id,
        name=NodeName(row.name),
        kind=row.kind,
        names=tuple(msgspec.json.decode(row.names)),
        addresses=tuple(msgspec.json.decode(row.addresses)),
        public_key=row.public_key or "",
        created_s=row.created_s,
        enrolled_s=row.enrolled_s,
        detail=msgspec.json.decode(row.detail),
        key_change=decode_key_change(row.key_change) if row.key_change else None,
    )


def _missing(name: NodeName) -> NotFoundError:
    return NotFoundError(f"there is no node '{name}'", hint=Hint.LIST_NODES)
