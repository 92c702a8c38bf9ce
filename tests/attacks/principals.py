"""Those who ask, with each kind of credential that there is."""

import secrets
import time

import aiohttp

from common.api.codes import Role, Scope
from manager.domain.model import ClientRecord
from manager.domain.permissions import PROVISION
from manager.usecases.clients import ACCESS_PREFIX
from manager.usecases.users import hash_token
from tests import pki
from tests.integration.api import PASSWORD, USERS, ApiClient
from tests.oauth import public_pem

PUBLIC_KEY = public_pem(pki.make_key())


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(name, password)}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def api_token(
    api: ApiClient, role: Role, *, scope: Scope | None = None, label: str = "stolen", days: int = 1
) -> str:
    """Make an API token of the user that has this role."""
    made = await api.use_cases.users.new_token(
        USERS[role], label=label, days=days, scope=scope, actor=USERS[role]
    )
    return made[0]


async def access_token(api: ApiClient, role: Role, *, life_s: float = 900.0) -> str:
    """Register a program of this role, and give it an access token as if it had asked for one."""
    record = await api.use_cases.clients.add(
        f"program-{secrets.token_hex(4)}", role=role, public_key=PUBLIC_KEY, actor=USERS[Role.ADMINISTRATOR]
    )
    return await access_token_of(api, record, life_s=life_s)


async def provisioning_token(api: ApiClient) -> str:
    """Register a program that may obtain join tokens, and give it an access token."""
    actor, name = USERS[Role.ADMINISTRATOR], f"provisioning-{secrets.token_hex(4)}"
    role = await api.use_cases.roles.add(name, [PROVISION], actor=actor)
    made = await api.use_cases.clients.add_with_key(name, api_role_id=role, actor=actor)
    return await access_token_of(api, made.record)


async def access_token_of(api: ApiClient, record: ClientRecord, *, life_s: float = 900.0) -> str:
    """Give a program an access token as if it had asked for one."""
    token = ACCESS_PREFIX + secrets.token_urlsafe(32)
    now_s = time.time()
    await api.context.store.clients.spend(
        record,
        jti_hash=secrets.token_hex(32),
        jti_until_s=now_s + 3600,
        token_hash=hash_token(token),
        expires_s=now_s + life_s,
        now_s=min(now_s, now_s + life_s),
        most=1000,
    )
    return token
