"""Users and their tokens over HTTP."""

from typing import Annotated

import msgspec
from aiohttp import web

from manager.api.routes import Call, Route, empty, reply
from manager.domain.model import Role, UserRecord


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to add."""

    name: str
    password: str
    role: Role = Role.READ_ONLY

    def __repr__(self) -> str:
        return f"<new user {self.name}>"


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token for the caller."""

    label: Annotated[str, msgspec.Meta(max_length=150)]
    days: int = 90


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who is calling."""

    user: str
    role: Role


class UserAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A user."""

    name: str
    role: Role
    created_s: float


class UsersAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All users."""

    users: list[UserAnswer]


class NewRole(msgspec.Struct, frozen=True, kw_only=True):
    """What a user may do from now on."""

    role: Role


class ListedToken(msgspec.Struct, frozen=True, kw_only=True):
    """An API token of the caller's, without what it is worth."""

    id: int
    label: str
    created_s: float
    expires_s: float


class TokensAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The caller's API tokens that are still good, the latest first."""

    tokens: list[ListedToken]


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, shown once."""

    token: str
    expires_s: float


async def whoami(call: Call) -> web.StreamResponse:
    """Answer with the caller."""
    return reply(Caller(user=call.user.name, role=call.user.role))


async def list_all(call: Call) -> web.StreamResponse:
    """Answer with all users."""
    found = await call.api.operations.users.list()
    return reply(UsersAnswer(users=[_answer(each) for each in found]))


async def add(call: Call) -> web.StreamResponse:
    """Add a user."""
    body: NewUser = call.body
    made = await call.api.operations.users.add(
        body.name, role=body.role, password=body.password, actor=call.actor
    )
    return reply(_answer(made), status=201)


async def remove(call: Call) -> web.StreamResponse:
    """Remove a user and all tokens."""
    await call.api.operations.users.remove(call.name("name"), actor=call.actor)
    return empty()


async def set_role(call: Call) -> web.StreamResponse:
    """Change what a user may do."""
    body: NewRole = call.body
    await call.api.operations.users.set_role(call.name("name"), role=body.role, actor=call.actor)
    return empty()


async def list_tokens(call: Call) -> web.StreamResponse:
    """Answer with the caller's tokens."""
    found = await call.api.operations.users.tokens(call.user.name)
    listed = [
        ListedToken(id=each.id, label=each.label, created_s=each.created_s, expires_s=each.expires_s)
        for each in found
    ]
    return reply(TokensAnswer(tokens=listed))


async def remove_token(call: Call) -> web.StreamResponse:
    """Revoke one of the caller's tokens."""
    await call.api.operations.users.remove_token(call.user.name, call.number("id"), actor=call.actor)
    return empty()


async def new_token(call: Call) -> web.StreamResponse:
    """Make an API token for the caller; it is shown once."""
    body: NewToken = call.body
    token, expires_s = await call.api.operations.users.new_token(
        call.user.name, label=body.label, days=body.days, actor=call.actor
    )
    return reply(TokenAnswer(token=token, expires_s=expires_s), status=201)


def _answer(record: UserRecord) -> UserAnswer:
    return UserAnswer(name=record.name, role=record.role, created_s=record.created_s)


ROUTES = (
    Route(
        method="GET",
        path="whoami",
        role=Role.READ_ONLY,
        handler=whoami,
        summary="Say who is calling",
        answers={200: Caller},
    ),
    Route(
        method="GET",
        path="users",
        role=Role.ADMINISTRATOR,
        handler=list_all,
        summary="List users",
        answers={200: UsersAnswer},
    ),
    Route(
        method="POST",
        path="users",
        role=Role.ADMINISTRATOR,
        handler=add,
        body=NewUser,
        summary="Add a user",
        answers={201: UserAnswer},
    ),
    Route(
        method="DELETE",
        path="users/{name}",
        role=Role.ADMINISTRATOR,
        handler=remove,
        summary="Remove a user",
        answers={204: None},
    ),
    Route(
        method="PUT",
        path="users/{name}/role",
        role=Role.ADMINISTRATOR,
        handler=set_role,
        body=NewRole,
        summary="Change a user's role",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="tokens",
        role=Role.READ_ONLY,
        handler=list_tokens,
        summary="List your API tokens",
        answers={200: TokensAnswer},
    ),
    Route(
        method="DELETE",
        path="tokens/{id}",
        role=Role.READ_ONLY,
        handler=remove_token,
        summary="Revoke one of your API tokens",
        answers={204: None},
    ),
    Route(
        method="POST",
        path="tokens",
        role=Role.READ_ONLY,
        handler=new_token,
        body=NewToken,
        summary="Make an API token",
        answers={201: TokenAnswer},
    ),
)
