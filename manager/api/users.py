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
        method="POST",
        path="tokens",
        role=Role.READ_ONLY,
        handler=new_token,
        body=NewToken,
        summary="Make an API token",
        answers={201: TokenAnswer},
    ),
)
