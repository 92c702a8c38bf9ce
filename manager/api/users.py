"""Users and their tokens over HTTP."""

from typing import Annotated

import msgspec
from aiohttp import web

from manager.domain.callers import Scope, check_allowed, check_password_given, includes
from manager.domain.model import Role, TokenRecord, UserRecord
from manager.http.routes import Call, Query, Route, empty, reply
from manager.usecases.users import TOKEN_DAYS


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user to add."""

    name: str
    password: str
    role: Role = Role.READ_ONLY

    def __repr__(self) -> str:
        return f"<new user {self.name}>"


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token for the caller: for as many days (365 at most), and for as much as its scope says, which is the caller's role by default."""

    label: Annotated[str, msgspec.Meta(max_length=150)]
    days: int = TOKEN_DAYS
    scope: Scope | None = None


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
    """An API token, without the token itself. The last use is known to five minutes, and null if there was none."""

    id: int
    user: str
    label: str
    scope: Scope
    created_s: float
    expires_s: float
    last_used_s: float | None
    last_source: str | None


class TokensAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """API tokens that are still good, the latest first."""

    tokens: list[ListedToken]


class TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An API token, shown once."""

    token: str
    expires_s: float


class ListedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that is signed in, by an id that cannot be used to sign in."""

    id: str
    created_s: float
    seen_s: float
    source: str


class SessionsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a user is signed in, the one that was seen last first."""

    sessions: list[ListedSession]


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


async def list_sessions(call: Call) -> web.StreamResponse:
    """Answer with where a user is signed in."""
    record = await call.api.operations.users.get(call.name("name"))
    found = await call.api.operations.sessions.list(record.name)
    sessions = [
        ListedSession(id=each.id, created_s=each.created_s, seen_s=each.seen_s, source=each.source)
        for each in found
    ]
    return reply(SessionsAnswer(sessions=sessions))


async def end_sessions(call: Call) -> web.StreamResponse:
    """Sign a user out everywhere."""
    record = await call.api.operations.users.get(call.name("name"))
    await call.api.operations.sessions.end_of(record.name, actor=call.actor)
    return empty()


async def list_tokens(call: Call) -> web.StreamResponse:
    """Answer with the caller's tokens; with everybody's for an administrator who asks for all."""
    everybody = call.flag("all")
    if everybody:
        check_allowed(call.caller, Role.ADMINISTRATOR)
    found = await call.api.operations.users.tokens(None if everybody else call.user.name)
    return reply(TokensAnswer(tokens=[_listed(each) for each in found]))


async def remove_token(call: Call) -> web.StreamResponse:
    """Revoke one of the caller's tokens, anybody's for an administrator. A lesser token can revoke itself only."""
    number, name = call.number("id"), None
    if not includes(call.user.role, Role.ADMINISTRATOR):
        if call.caller.token_id != number:
            check_password_given(call.caller)
        name = call.user.name
    await call.api.operations.users.remove_token(number, name=name, actor=call.actor)
    return empty()


async def new_token(call: Call) -> web.StreamResponse:
    """Make an API token for the caller; it is shown once."""
    body: NewToken = call.body
    token, expires_s = await call.api.operations.users.new_token(
        call.user.name, label=body.label, days=body.days, scope=body.scope, actor=call.actor
    )
    return reply(TokenAnswer(token=token, expires_s=expires_s), status=201)


def _listed(record: TokenRecord) -> ListedToken:
    return ListedToken(
        id=record.id,
        user=record.user,
        label=record.label,
        scope=Scope(record.scope),
        created_s=record.created_s,
        expires_s=record.expires_s,
        last_used_s=record.last_used_s,
        last_source=record.last_source,
    )


def _answer(record: UserRecord) -> UserAnswer:
    return UserAnswer(name=record.name, role=record.role, created_s=record.created_s)


ROUTES = (
    Route(
        method="GET",
        path="whoami",
        pushes=True,
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
        needs_password=True,
        body=NewUser,
        summary="Add a user",
        answers={201: UserAnswer},
    ),
    Route(
        method="DELETE",
        path="users/{name}",
        role=Role.ADMINISTRATOR,
        handler=remove,
        needs_password=True,
        summary="Remove a user",
        answers={204: None},
    ),
    Route(
        method="PUT",
        path="users/{name}/role",
        role=Role.ADMINISTRATOR,
        handler=set_role,
        needs_password=True,
        body=NewRole,
        summary="Change a user's role",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="users/{name}/sessions",
        role=Role.ADMINISTRATOR,
        handler=list_sessions,
        summary="List where a user is signed in",
        answers={200: SessionsAnswer},
    ),
    Route(
        method="DELETE",
        path="users/{name}/sessions",
        role=Role.ADMINISTRATOR,
        handler=end_sessions,
        summary="Sign a user out everywhere",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="tokens",
        role=Role.READ_ONLY,
        handler=list_tokens,
        query=(Query("all", bool, "everybody's, for administrators"),),
        summary="List your API tokens, or everybody's",
        answers={200: TokensAnswer},
    ),
    Route(
        method="DELETE",
        path="tokens/{id}",
        role=Role.READ_ONLY,
        handler=remove_token,
        summary="Revoke one of your API tokens, or as an administrator anybody's",
        answers={204: None},
    ),
    Route(
        method="POST",
        path="tokens",
        role=Role.READ_ONLY,
        handler=new_token,
        needs_password=True,
        body=NewToken,
        summary="Make an API token",
        answers={201: TokenAnswer},
    ),
)
