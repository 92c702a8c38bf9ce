"""Users and their API tokens. Passwords and tokens arrive as hashes, which callers make."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.codes import Role
from common.errors import ConflictError, Hint, NotFoundError
from manager.domain.model import TokenRecord, UserRecord
from manager.store.engine import Database
from manager.store.tables.content import api_token, join_token, oauth_client, session, user

_TOKEN_COLUMNS = [column.label(f"token_{column.name}") for column in api_token.c]


class Users:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(
        self, name: str, role: Role, *, password_hash: str, now_s: float, only_first: bool = False
    ) -> UserRecord:
        """Store a new user.

        Raises ConflictError if the name is taken, or if this must be the first user and is not.
        """
        async with self._database.write() as connection:
            if only_first and (await connection.execute(select(user.c.id).limit(1))).first() is not None:
                raise ConflictError("a user already exists; sign in as that one")
            if (await connection.execute(select(user.c.id).where(user.c.name == name))).first() is not None:
                raise ConflictError(f"a user '{name}' already exists")
            values = {"name": name, "role": role.value, "password_hash": password_hash, "created_s": now_s}
            await connection.execute(insert(user).values(values))
            return user_record((await connection.execute(select(user).where(user.c.name == name))).one())

    async def get(self, name: str) -> tuple[UserRecord, str]:
        """Return a user and the password hash. Raises NotFoundError."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(user).where(user.c.name == name))).first()
        if row is None:
            raise _missing(name)
        return user_record(row), row.password_hash

    async def list(self) -> Sequence[UserRecord]:
        """Return all users by name."""
        async with self._database.read() as connection:
            return [user_record(row) for row in await connection.execute(select(user).order_by(user.c.name))]

    async def remove(self, name: str) -> None:
        """Remove a user with all sessions, tokens, programs, and unused join tokens made with any of these.

        Raises NotFoundError.
        """
        async with self._database.write(rights=True) as connection:
            result = await connection.execute(delete(user).where(user.c.name == name))
            if not result.rowcount:
                raise _missing(name)
            await _remove_clients_of(connection, name)

    async def set_password(self, name: str, password_hash: str) -> None:
        """Replace a password's hash; sessions, API tokens and unused join tokens end.

        Raises NotFoundError.
        """
        async with self._database.write(rights=True) as connection:
            owner = await _owner(connection, name)
            values = {"password_hash": password_hash}
            await connection.execute(update(user).where(user.c.id == owner).values(values))
            for table in (session, api_token, join_token):
                await connection.execute(delete(table).where(table.c.user_id == owner))

    async def set_role(self, name: str, role: Role) -> bool:
        """Replace a user's role; return whether it changed.

        If so, the user's API tokens and unused join tokens end. If the user was an administrator, so do the
        programs that the user registered. Raises NotFoundError.
        """
        async with self._database.write(rights=True) as connection:
            owner = await _owner(connection, name)
            chosen = user.c.id == owner
            if (await connection.execute(select(user.c.role).where(chosen))).scalar() == role.value:
                return False
            await connection.execute(update(user).where(chosen).values(role=role.value))
            for table in (api_token, join_token):
                await connection.execute(delete(table).where(table.c.user_id == owner))
            if role is not Role.ADMINISTRATOR:
                await _remove_clients_of(connection, name)
            return True

    async def tokens(self, name: str | None, *, now_s: float) -> Sequence[TokenRecord]:
        """Return the valid API tokens of a user (None: of all), the latest first."""
        query = (
            select(api_token, user.c.name)
            .join(user)
            .where(api_token.c.expires_s > now_s)
            .order_by(api_token.c.id.desc())
        )
        if name is not None:
            query = query.where(user.c.name == name)
        async with self._database.read() as connection:
            return [_token_record(row) for row in await connection.execute(query)]

    async def remove_token(self, token_id: int, *, name: str | None) -> TokenRecord:
        """Remove an API token, of this user if one is named; return its record. Raises NotFoundError."""
        query = select(api_token, user.c.name).join(user).where(api_token.c.id == token_id)
        if name is not None:
            query = query.where(user.c.name == name)
        async with self._database.write(rights=True) as connection:
            row = (await connection.execute(query)).first()
            if row is None:
                raise NotFoundError(
                    f"there is no token {token_id}"
                    if name is None
                    else f"user '{name}' has no token {token_id}"
                )
            await connection.execute(delete(api_token).where(api_token.c.id == token_id))
            return _token_record(row)

    async def add_token(
        self,
        name: str,
        *,
        token_hash: str,
        label: str,
        scope: str,
        expires_s: float,
        now_s: float,
        most: int,
    ) -> None:
        """Store an API token's hash; the user's expired ones are removed.

        Raises NotFoundError, ConflictError at `most`.
        """
        async with self._database.write() as connection:
            owner = await _owner(connection, name)
            own = api_token.c.user_id == owner
            await connection.execute(delete(api_token).where(own & (api_token.c.expires_s <= now_s)))
            count = (
                await connection.execute(select(func.count()).select_from(api_token).where(own))
            ).scalar_one()
            if count >= most:
                raise ConflictError(
                    f"user '{name}' has {count} API tokens, and {most} at most; revoke one that is not needed"
                )
            values = {"label": label, "scope": scope, "created_s": now_s, "expires_s": expires_s}
            await connection.execute(insert(api_token).values(user_id=owner, token_hash=token_hash, **values))

    async def forget_expired_tokens(self, *, before_s: float) -> None:
        """Remove API tokens that expired before this, so that setting the clock back revives none.

        It only reads if there are none.
        """
        expired = api_token.c.expires_s <= before_s
        async with self._database.read() as connection:
            if (await connection.execute(select(api_token.c.id).where(expired).limit(1))).first() is None:
                return
        async with self._database.write(rights=True) as connection:
            await connection.execute(delete(api_token).where(expired))

    async def owner_of_token(self, token_hash: str, *, now_s: float) -> tuple[UserRecord, TokenRecord] | None:
        """Return a token and its user; None if it is unknown or expired."""
        query = (
            select(user, *_TOKEN_COLUMNS)
            .join(api_token)
            .where(api_token.c.token_hash == token_hash, api_token.c.expires_s > now_s)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        if row is None:
            return None
        return user_record(row), _token_record(row, prefix="token_")

    async def token_used(self, token_id: int, *, source: str, now_s: float) -> None:
        """Record when, and from where, a token was last used."""
        async with self._database.write() as connection:
            chosen = update(api_token).where(api_token.c.id == token_id)
            await connection.execute(chosen.values(last_used_s=now_s, last_source=source))


async def _owner(connection: AsyncConnection, name: str) -> int:
    owner = (await connection.execute(select(user.c.id).where(user.c.name == name))).scalar()
    if owner is None:
        raise _missing(name)
    return int(owner)


async def _remove_clients_of(connection: AsyncConnection, name: str) -> None:
    """Remove the programs that an administrator registered, with what they made; nodes that joined stay."""
    await connection.execute(delete(oauth_client).where(oauth_client.c.created_by == name))


def user_record(row: Row[Any]) -> UserRecord:
    """Read a row of users."""
    return UserRecord(id=row.id, name=row.name, role=Role(row.role), created_s=row.created_s)


def _token_record(row: Row[Any], *, prefix: str = "") -> TokenRecord:
    def value(name: str) -> Any:
        return row._mapping[prefix + name]  # noqa: SLF001 - a row's public view of itself

    return TokenRecord(
        id=value("id"),
        user=row.name,
        label=value("label"),
        scope=value("scope"),
        created_s=value("created_s"),
        expires_s=value("expires_s"),
        last_used_s=value("last_used_s"),
        last_source=value("last_source"),
    )


def _missing(name: str) -> NotFoundError:
    return NotFoundError(f"there is no user '{name}'", hint=Hint.LIST_USERS)
