"""Clients that sign in with their own key, with hashes of their spent assertions and of their access tokens.

Invariant: spending an assertion and storing its token are one transaction, so each gives one token at most.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.codes import Role
from common.errors import AccessError, ConflictError, Hint, NotFoundError, ThrottledError
from manager.domain.likeness import check_name_free
from manager.domain.model import ClientRecord
from manager.domain.permissions import PROVISION
from manager.store.engine import Database
from manager.store.tables.content import (
    api_role,
    join_token,
    meta,
    oauth_assertion,
    oauth_client,
    oauth_token,
)

QUOTA_RETRY_S: Final = 60.0
"""When a client that asked for too many tokens may ask again; some of its assertions may have expired by
then."""

_FORGOTTEN: Final = "assertions-forgotten"


class Clients:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self,
        name: str,
        role: Role,
        *,
        client_id: str,
        public_key: str,
        created_by: str,
        now_s: float,
        most: int,
        api_role_id: int | None = None,
    ) -> ClientRecord:
        """Store a new client.

        Raises ConflictError if the name is taken, or if there are `most` clients already.
        """
        async with self._database.write() as connection:
            await _check_name(connection, name, None)
            count = (await connection.execute(select(func.count()).select_from(oauth_client))).scalar_one()
            if count >= most:
                raise ConflictError(
                    f"{count} programs are registered, and {most} at most; remove one that is not needed"
                )
            values = {"name": name, "role": role.value, "client_id": client_id, "public_key": public_key}
            new = {**values, "created_s": now_s, "created_by": created_by, "api_role_id": api_role_id}
            await connection.execute(insert(oauth_client).values(new))
            made = select(oauth_client).where(oauth_client.c.name == name)
            return _record((await connection.execute(made)).one())

    async def list(self) -> Sequence[ClientRecord]:
        """Return all clients by name."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(oauth_client).order_by(oauth_client.c.name))
            return [_record(row) for row in rows]

    async def find(self, client_id: str) -> ClientRecord | None:
        """Return the client with this id, None if there is none."""
        return await self._one(oauth_client.c.client_id == client_id)

    async def change(self, number: int, *, name: str, role: Role, api_role_id: int | None) -> ClientRecord:
        """Rename a client, or change its role; its unused join tokens end if the new role may not make any.

        Raises NotFoundError, ConflictError if the name is taken.
        """
        async with self._database.write(rights=True) as connection:
            await _check_name(connection, name, number)
            chosen = oauth_client.c.id == number
            values = {"name": name, "role": role.value, "api_role_id": api_role_id}
            if not (await connection.execute(update(oauth_client).where(chosen).values(values))).rowcount:
                raise NotFoundError(f"there is no client {number}")
            await remove_join_tokens_without_right(connection)
            return _record((await connection.execute(select(oauth_client).where(chosen))).one())

    async def remove(self, name: str) -> None:
        """Remove a client; its access tokens and unused join tokens go with it. Raises NotFoundError."""
        async with self._database.write(rights=True) as connection:
            result = await connection.execute(delete(oauth_client).where(oauth_client.c.name == name))
            if not result.rowcount:
                raise NotFoundError(f"there is no client '{name}'", hint=Hint.LIST_CLIENTS)

    async def spend(
        self,
        client: ClientRecord,
        *,
        jti_hash: str,
        jti_until_s: float,
        token_hash: str,
        expires_s: float,
        now_s: float,
        most: int,
    ) -> None:
        """Spend an assertion and store the access token that it gives.

        Raises AccessError if it is spent or may be; ThrottledError if the client has `most` unexpired ones.
        """
        async with self._database.write() as connection:
            await connection.execute(delete(oauth_token).where(oauth_token.c.expires_s <= now_s))
            if jti_until_s <= await _forgotten_s(connection):
                # it had expired by the clock, which was set back since
                raise AccessError(
                    "the assertion may have been used before; make a new one that expires later"
                )
            own = oauth_assertion.c.oauth_client_id == client.id
            spent = select(oauth_assertion.c.jti_hash).where(own, oauth_assertion.c.jti_hash == jti_hash)
            if (await connection.execute(spent)).first() is not None:
                raise AccessError("the assertion was used before; make a new one with another jti")
            count = (
                await connection.execute(
                    select(func.count())
                    .select_from(oauth_assertion)
                    .where(own, oauth_assertion.c.expires_s > now_s)
                )
            ).scalar_one()
            if count >= most:
                raise ThrottledError(
                    QUOTA_RETRY_S,
                    f"the client has asked for {most} tokens within an hour; use each token until it expires",
                )
            await connection.execute(
                insert(oauth_assertion).values(
                    oauth_client_id=client.id, jti_hash=jti_hash, expires_s=jti_until_s
                )
            )
            await connection.execute(
                insert(oauth_token).values(
                    oauth_client_id=client.id, token_hash=token_hash, expires_s=expires_s
                )
            )

    async def forget_assertions(self, *, before_s: float) -> None:
        """Forget spent assertions that expired before this.

        From then on none that old is accepted, even if the clock is set back.
        """
        async with self._database.write() as connection:
            over = oauth_assertion.c.expires_s <= before_s
            latest_s = (
                await connection.execute(select(func.max(oauth_assertion.c.expires_s)).where(over))
            ).scalar()
            if latest_s is None:
                return
            await connection.execute(delete(oauth_assertion).where(over))
            until_s = max(float(latest_s), await _forgotten_s(connection))
            row = {"name": _FORGOTTEN, "value": repr(until_s).encode()}
            await self._database.upsert(connection, meta, [row], key="name")

    async def remove_token(self, token_hash: str) -> None:
        """Remove an access token if it exists."""
        async with self._database.write(rights=True) as connection:
            await connection.execute(delete(oauth_token).where(oauth_token.c.token_hash == token_hash))

    async def remove_every_token(self) -> None:
        """Remove all access tokens of all clients."""
        async with self._database.write(rights=True) as connection:
            await connection.execute(delete(oauth_token))

    async def for_token(self, token_hash: str, *, now_s: float) -> ClientRecord | None:
        """Return the client with this access token; None if it is unknown or expired."""
        live = select(oauth_token.c.oauth_client_id).where(
            oauth_token.c.token_hash == token_hash, oauth_token.c.expires_s > now_s
        )
        return await self._one(oauth_client.c.id.in_(live))

    async def made_by(self, name: str) -> Sequence[ClientRecord]:
        """Return the clients that a user registered."""
        return [each for each in await self.list() if each.created_by == name]

    async def used(self, number: int, *, source: str, now_s: float) -> None:
        """Record when, and from where, a client was last used."""
        async with self._database.write() as connection:
            chosen = update(oauth_client).where(oauth_client.c.id == number)
            await connection.execute(chosen.values(last_used_s=now_s, last_source=source))

    async def _one(self, chosen: ColumnElement[bool]) -> ClientRecord | None:
        async with self._database.read() as connection:
            row = (await connection.execute(select(oauth_client).where(chosen))).first()
        return _record(row) if row is not None else None


async def _forgotten_s(connection: AsyncConnection) -> float:
    """Return the time before which expired assertions are forgotten."""
    kept = (await connection.execute(select(meta.c.value).where(meta.c.name == _FORGOTTEN))).scalar()
    return float(kept) if kept is not None else float("-inf")


async def remove_join_tokens_without_right(connection: AsyncConnection) -> None:
    """Remove the unused join tokens of clients whose role no longer allows making any."""
    roles = select(oauth_client.c.id, api_role.c.permissions).outerjoin(
        api_role, api_role.c.id == oauth_client.c.api_role_id
    )
    rows = await connection.execute(roles)
    without = [row.id for row in rows if PROVISION not in json.loads(row.permissions or "[]")]
    await connection.execute(delete(join_token).where(join_token.c.oauth_client_id.in_(without)))


async def _check_name(connection: AsyncConnection, name: str, own: int | None) -> None:
    rows = await connection.execute(select(oauth_client.c.id, oauth_client.c.name))
    check_name_free("client", name, {row.id: row.name for row in rows}, own=own)


def _record(row: Row[Any]) -> ClientRecord:
    return ClientRecord(
        id=row.id,
        client_id=row.client_id,
        name=row.name,
        role=Role(row.role),
        public_key=row.public_key,
        created_s=row.created_s,
        api_role_id=row.api_role_id,
        created_by=row.created_by,
        last_used_s=row.last_used_s,
        last_source=row.last_source,
    )
