"""Roles that clients of the management API define for programs, with their permissions.

Invariant: a program's level is its role's level, since both change in one transaction; built-in roles never
change.
"""

import json
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.codes import Role
from common.errors import ConflictError, NotFoundError
from manager.domain.likeness import check_name_free
from manager.domain.model import ApiRoleRecord
from manager.store.clients import remove_join_tokens_without_right
from manager.store.engine import Database
from manager.store.tables.content import api_role, oauth_client


class Roles:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[ApiRoleRecord]:
        """Return all by id."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(api_role).order_by(api_role.c.id))
            return [_record(row) for row in rows]

    async def add(self, name: str, permissions: Collection[str]) -> int:
        """Keep a new role; return its id. Raises ConflictError if the name is taken."""
        async with self._database.write() as connection:
            await _check_name(connection, name, None)
            values = {"name": name, "permissions": json.dumps(sorted(permissions)), "built_in": False}
            result = await connection.execute(insert(api_role).values(values))
            (added,) = result.inserted_primary_key or (0,)
            return int(added)

    async def change(
        self, role_id: int, name: str, permissions: Collection[str], *, level: Role | None
    ) -> None:
        """Replace a role, and the level of its programs.

        Unused join tokens end if they could no longer be made.

        Raises NotFoundError, ConflictError.
        """
        async with self._database.write(rights=True) as connection:
            known = await _require(connection, role_id)
            await _check_name(connection, name, role_id)
            if known.built_in:
                raise ConflictError(f"the role '{known.name}' is built in and cannot be changed")
            if level is None and await _users(connection, role_id):
                raise ConflictError("programs have this role; it must keep a permission that lets them in")
            values = {"name": name, "permissions": json.dumps(sorted(permissions))}
            await connection.execute(update(api_role).where(api_role.c.id == role_id).values(values))
            if level is not None:
                mine = oauth_client.c.api_role_id == role_id
                await connection.execute(update(oauth_client).where(mine).values(role=level.value))
                await remove_join_tokens_without_right(connection)

    async def remove(self, role_ids: Collection[int]) -> None:
        """Remove all of these or none. Raises NotFoundError, ConflictError if one is built in or in use."""
        async with self._database.write() as connection:
            for role_id in dict.fromkeys(role_ids):
                known = await _require(connection, role_id)
                if known.built_in:
                    raise ConflictError(f"the role '{known.name}' is built in and cannot be deleted")
                if users := await _users(connection, role_id):
                    raise ConflictError(
                        f"programs have the role '{known.name}': {', '.join(users[:5])}; give them another first"
                    )
                await connection.execute(delete(api_role).where(api_role.c.id == role_id))


async def _require(connection: AsyncConnection, role_id: int) -> ApiRoleRecord:
    row = (await connection.execute(select(api_role).where(api_role.c.id == role_id))).first()
    if row is None:
        raise NotFoundError(f"there is no role {role_id}")
    return _record(row)


async def _check_name(connection: AsyncConnection, name: str, own: int | None) -> None:
    rows = await connection.execute(select(api_role.c.id, api_role.c.name))
    check_name_free("role", name, {row.id: row.name for row in rows}, own=own)


async def _users(connection: AsyncConnection, role_id: int) -> list[str]:
    own = select(oauth_client.c.name).where(oauth_client.c.api_role_id == role_id)
    rows = await connection.execute(own.order_by(oauth_client.c.name))
    return [row.name for row in rows]


def _record(row: Row[Any]) -> ApiRoleRecord:
    return ApiRoleRecord(
        id=row.id, name=row.name, permissions=tuple(json.loads(row.permissions)), built_in=row.built_in
    )
