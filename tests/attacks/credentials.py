"""Makers of those who ask, by the kind of credential."""

import secrets
import time
from collections.abc import Awaitable, Callable

from sqlalchemy import update

from common.api.codes import Role, Scope
from manager.http.heads import SESSION_COOKIE as COOKIE
from manager.store.tables.content import api_token, session
from manager.usecases.sessions import CONFIRMED_S
from manager.usecases.users import hash_token
from tests.attacks.authorisation import (
    Principal,
)
from tests.attacks.principals import access_token, basic, bearer
from tests.attacks.principals import api_token as new_api_token
from tests.integration.api import USERS, ApiClient

NEW = "another-long-password"


def cookie_headers(token: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={token}"}


Make = Callable[[ApiClient], Awaitable[Principal]]
ADMIN, OPERATOR, READER = (USERS[role] for role in (Role.ADMINISTRATOR, Role.OPERATOR, Role.READ_ONLY))


def by_password(role: Role) -> Make:
    async def make(_api: ApiClient) -> Principal:
        return Principal(f"password of {role}", basic(USERS[role]), role, has_password=True)

    return make


def by_token(role: Role, scope: Scope | None = None) -> Make:
    async def make(api: ApiClient) -> Principal:
        token = await new_api_token(api, role, scope=scope)
        push_only = scope is Scope.PUSH_ONLY
        provisions = scope is Scope.PROVISIONING
        given = Role.OPERATOR if push_only else Role(scope) if scope and not provisions else role
        return Principal(
            f"API token of {role} for {scope}",
            bearer(token),
            given,
            push_only=push_only,
            provisions=provisions,
        )

    return make


def by_access_token(role: Role) -> Make:
    async def make(api: ApiClient) -> Principal:
        return Principal(f"access token for {role}", bearer(await access_token(api, role)), role)

    return make


def by_session(role: Role, *, confirmed: bool = True) -> Make:
    async def make(api: ApiClient) -> Principal:
        user = await api.use_cases.users.get(USERS[role])
        token = await api.use_cases.sessions.start(user, address="192.0.2.1")
        if not confirmed:
            long_ago_s = api.context.clock() - CONFIRMED_S - 1
            await api.context.store.sessions.begin_again(hash_token(token), now_s=long_ago_s)
        name = f"session of {role}" if confirmed else f"session of {role} from before"
        return Principal(name, cookie_headers(token), role, has_password=confirmed)

    return make


def nobody(name: str, headers: dict[str, str]) -> Make:
    async def make(_api: ApiClient) -> Principal:
        return Principal(name, headers)

    return make


def worthless(kind: str) -> Make:
    """Return who had a credential of an administrator that is over."""

    async def make(api: ApiClient) -> Principal:
        use_cases, store = api.use_cases, api.context.store
        name = f"gone-{secrets.token_hex(4)}"
        user = await use_cases.users.add(name, role=Role.ADMINISTRATOR, password=NEW, actor="test")
        token, _ = await use_cases.users.new_token(name, label="x", days=1, scope=None, actor=name)
        browser = await use_cases.sessions.start(user, address="192.0.2.1")
        match kind.split(maxsplit=1)[0]:
            case "expired":
                async with store._database.write() as connection:
                    await connection.execute(update(api_token).values(expires_s=1.0))
                    await connection.execute(update(session).values(created_s=1.0))
            case "revoked":
                await use_cases.users.remove_token(
                    (await use_cases.users.tokens(name))[0].id, name=None, actor="t"
                )
                await use_cases.sessions.end(browser)
            case "deleted":
                await use_cases.users.remove(name, actor="test")
            case "changed":
                await use_cases.users.set_password(name, password="yet-another-password", actor="test")
        headers = {
            "token": bearer(token),
            "password": basic(name, NEW),
            "session": cookie_headers(browser),
        }[kind.split()[1]]
        return Principal(f"{kind} of an administrator", headers)

    return make


async def removed_client(api: ApiClient) -> Principal:
    token = await access_token(api, Role.ADMINISTRATOR)
    client = await api.context.store.clients.for_token(hash_token(token), now_s=time.time())
    assert client is not None
    await api.use_cases.clients.remove(client.name, actor="test")
    return Principal("access token of a removed program", bearer(token))


async def expired_access_token(api: ApiClient) -> Principal:
    return Principal("expired access token", bearer(await access_token(api, Role.ADMINISTRATOR, life_s=-1.0)))


async def cookie_only(api: ApiClient) -> Principal:
    """An administrator's session, which the APIs do not know: another site could use it."""
    made = await by_session(Role.ADMINISTRATOR)(api)
    return Principal("an administrator's cookie", made.headers)


async def token_as_password(api: ApiClient) -> Principal:
    return Principal("a token as password", basic(ADMIN, await new_api_token(api, Role.ADMINISTRATOR)))


AT_APIS: dict[str, list[Make]] = {
    "nobody": [
        nobody("nobody", {}),
        nobody("a wrong password", basic(ADMIN, "wrong")),
        nobody("a made-up token", bearer("cct_" + "x" * 43)),
        nobody("a made-up access token", bearer("cca_" + "x" * 43)),
        cookie_only,
        token_as_password,
    ],
    "password": [by_password(role) for role in Role],
    "API token": [by_token(role) for role in Role],
    "narrow API token": [by_token(Role.ADMINISTRATOR, scope) for scope in Scope],
    "access token": [by_access_token(role) for role in Role],
    "worthless": [
        *(worthless(kind) for kind in ("expired token", "revoked token", "deleted token", "changed token")),
        *(worthless(kind) for kind in ("deleted password", "changed password")),
        expired_access_token,
        removed_client,
    ],
}


AT_PAGES: dict[str, list[Make]] = {
    "nobody": [
        nobody("nobody", {}),
        nobody("a made-up cookie", cookie_headers("x" * 43)),
        nobody("an administrator's password", basic(ADMIN)),
    ],
    "session": [by_session(role) for role in Role],
    "session from before": [by_session(Role.ADMINISTRATOR, confirmed=False)],
    "worthless": [worthless(f"{how} session") for how in ("expired", "revoked", "deleted", "changed")],
}
