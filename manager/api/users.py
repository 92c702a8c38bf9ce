"""Users and their tokens over HTTP."""

from aiohttp import web

from common.api.codes import Role, Scope
from common.api.users import (
    Caller,
    ListedSession,
    ListedToken,
    NewRole,
    NewToken,
    NewUser,
    SessionsAnswer,
    TokenAnswer,
    TokensAnswer,
    UserAnswer,
    UsersAnswer,
)
from manager.api.routes import Call, QueryParameter, Route, empty, reply
from manager.domain.callers import check_allowed, check_password_given, includes
from manager.domain.model import TokenRecord, UserRecord


async def whoami(call: Call) -> web.StreamResponse:
    """Return the caller."""
    return reply(Caller(user=call.user.name, role=call.user.role))


async def list_all(call: Call) -> web.StreamResponse:
    """Return all users."""
    found = await call.api.use_cases.users.list()
    return reply(UsersAnswer(users=[_answer(each) for each in found]))


async def add(call: Call) -> web.StreamResponse:
    """Create a user with a password and a role."""
    body: NewUser = call.body
    made = await call.api.use_cases.users.add(
        body.name, role=body.role, password=body.password, actor=call.actor
    )
    return reply(_answer(made), status=201)


async def remove(call: Call) -> web.StreamResponse:
    """Remove a user and all tokens."""
    await call.api.use_cases.users.remove(call.name("name"), actor=call.actor)
    return empty()


async def set_role(call: Call) -> web.StreamResponse:
    """Change a user's role."""
    body: NewRole = call.body
    await call.api.use_cases.users.set_role(call.name("name"), role=body.role, actor=call.actor)
    return empty()


async def list_sessions(call: Call) -> web.StreamResponse:
    """Return where a user is signed in."""
    record = await call.api.use_cases.users.get(call.name("name"))
    found = await call.api.use_cases.sessions.list(record.name)
    sessions = [
        ListedSession(id=each.id, created_at_s=each.created_s, seen_at_s=each.seen_s, source=each.source)
        for each in found
    ]
    return reply(SessionsAnswer(sessions=sessions))


async def end_sessions(call: Call) -> web.StreamResponse:
    """Sign a user out everywhere."""
    record = await call.api.use_cases.users.get(call.name("name"))
    await call.api.use_cases.sessions.end_of(record.name, actor=call.actor)
    return empty()


async def list_tokens(call: Call) -> web.StreamResponse:
    """Return the caller's tokens, or everybody's if an administrator asks for all."""
    everybody = call.flag("all")
    if everybody:
        check_allowed(call.caller, Role.ADMINISTRATOR)
    found = await call.api.use_cases.users.tokens(None if everybody else call.user.name)
    return reply(TokensAnswer(tokens=[_listed(each) for each in found]))


async def remove_token(call: Call) -> web.StreamResponse:
    """Revoke a token of the caller, or as an administrator any; a lesser token can only revoke itself."""
    number, name = call.number("id"), None
    if not includes(call.user.role, Role.ADMINISTRATOR):
        if call.caller.token_id != number:
            check_password_given(call.caller)
        name = call.user.name
    await call.api.use_cases.users.remove_token(number, name=name, actor=call.actor)
    return empty()


async def new_token(call: Call) -> web.StreamResponse:
    """Create an API token for the caller; it is shown once."""
    body: NewToken = call.body
    token, expires_s = await call.api.use_cases.users.new_token(
        call.user.name, label=body.label, days=body.days, scope=body.scope, actor=call.actor
    )
    return reply(TokenAnswer(token=token, expires_at_s=expires_s), status=201)


def _listed(record: TokenRecord) -> ListedToken:
    return ListedToken(
        id=record.id,
        user=record.user,
        label=record.label,
        scope=Scope(record.scope),
        created_at_s=record.created_s,
        expires_at_s=record.expires_s,
        last_used_at_s=record.last_used_s,
        last_source=record.last_source,
    )


def _answer(record: UserRecord) -> UserAnswer:
    return UserAnswer(name=record.name, role=record.role, created_at_s=record.created_s)


ROUTES = (
    Route(
        method="GET",
        path="whoami",
        pushes=True,
        role=Role.READ_ONLY,
        handler=whoami,
        summary="Show who is calling",
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
        query=(QueryParameter("all", bool, "everybody's, for administrators"),),
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
        summary="Create an API token",
        answers={201: TokenAnswer},
    ),
)
