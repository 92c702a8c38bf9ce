"""Users and their API tokens. Passwords and tokens come in as hashes; making them is not the store's business."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from common.errors import ConflictError, NotFoundError
from manager.domain.model import Role, TokenRecord, UserRecord
from manager.store.engine import Database
from manager.store.tables import api_token, user


class Users:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, name: str, role: Role, *, password_hash: str, now_s: float, only_first: bool = False
    ) -> UserRecord:
        """Keep a new user. Raises ConflictError if the name is taken, or if there is any user and this is to be the first."""
        async with self._database.write() as connection:
            if only_first and (await connection.execute(select(user.c.id).limit(1))).first() is not None:
                raise ConflictError("there is a user already; sign in as that one")
            if (await connection.execute(select(user.c.id).where(user.c.name == name))).first() is not None:
                raise ConflictError(f"there is a user '{name}' already")
            values = {"name": name, "role": role.value, "password_hash": password_hash, "created_s": now_s}
            await connection.execute(insert(user).values(values))
            return user_record((await connection.execute(select(user).where(user.c.name == name))).one())

    async def get(self, name: str) -> tuple[UserRecord, str]:
        """Return a user and the password's hash. Raises NotFoundError."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(user).where(user.c.name == name))).first()
        if row is None:
            raise _missing(name)
        return user_record(row), row.password_hash

    async def list(self) -> Sequence[UserRecord]:
        """Return all by name."""
        async with self._database.read() as connection:
            return [user_record(row) for row in await connection.execute(select(user).order_by(user.c.name))]

    async def remove(self, name: str) -> None:
        """Remove a user and the tokens. Raises NotFoundError."""
        async with self._database.write() as connection:
            result = await connection.execute(delete(user).where(user.c.name == name))
            if not result.rowcount:
                raise _missing(name)

    async def set_password(self, name: str, password_hash: str) -> None:
        """Replace a password's hash. Raises NotFoundError."""
        async with self._database.write() as connection:
            result = await connection.execute(
                update(user).where(user.c.name == name).values(password_hash=password_hash)
            )
            if not result.rowcount:
                raise _missing(name)

    async def set_role(self, name: str, role: Role) -> None:
        """Replace a user's role. Raises NotFoundError."""
        async with self._database.write() as connection:
            result = await connection.execute(update(user).where(user.c.name == name).values(role=role.value))
            if not result.rowcount:
                raise _missing(name)

    async def tokens(self, name: str, *, now_s: float) -> Sequence[TokenRecord]:
        """Return a user's API tokens that are still good, the latest first."""
        query = (
            select(api_token.c.id, api_token.c.label, api_token.c.created_s, api_token.c.expires_s)
            .join(user)
            .where(user.c.name == name, api_token.c.expires_s > now_s)
            .order_by(api_token.c.id.desc())
        )
        async with self._database.read() as connection:
            return [
                TokenRecord(id=row.id, label=row.label, created_s=row.created_s, expires_s=row.expires_s)
                for row in await connection.execute(query)
            ]

    async def remove_token(self, name: str, token_id: int) -> str:
        """Remove one of a user's API tokens; return its label. Raises NotFoundError."""
        owner = select(user.c.id).where(user.c.name == name).scalar_subquery()
        chosen = (api_token.c.id == token_id) & (api_token.c.user_id == owner)
        async with self._database.write() as connection:
            label = (await connection.execute(select(api_token.c.label).where(chosen))).scalar()
            if label is None:
                raise NotFoundError(f"user '{name}' has no token {token_id}")
            await connection.execute(delete(api_token).where(chosen))
            return str(label)

    async def add_token(
        self, name: str, *, token_hash: str, label: str, expires_s: float, now_s: float
    ) -> None:
        """Keep an API token's hash; those of this user that have expired go. Raises NotFoundError."""
        async with self._database.write() as connection:
            owner = (await connection.execute(select(user.c.id).where(user.c.name == name))).scalar()
            if owner is None:
                raise _missing(name)
            spent = (api_token.c.user_id == owner) & (api_token.c.expires_s <= now_s)
            await connection.execute(delete(api_token).where(spent))
            await connection.execute(
                insert(api_token).values(
                    user_id=owner, token_hash=token_hash, label=label, created_s=now_s, expires_s=expires_s
                )
            )

    async def user_for_token(self, token_hash: str, *, now_s: float) -> UserRecord | None:
        """Return whose token this is, None if nobody's or expired."""
        query = (
            select(user)
            .join(api_token)
            .where(api_token.c.token_hash == token_hash, api_token.c.expires_s > now_s)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return user_record(row) if row is not None else None


def user_record(row: Row[Any]) -> UserRecord:
    """Read a row of users."""
    return UserRecord(id=row.id, name=row.name, role=Role(row.role), created_s=row.created_s)


def _missing(name: str) -> NotFoundError:
    return NotFoundError(f"there is no user '{name}'; 'certcast user list' shows those there are")
