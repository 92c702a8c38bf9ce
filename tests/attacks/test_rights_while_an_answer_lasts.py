"""Rights that go while they are used: a stream that is open, a list that is being sent, a body that is still on its way.

The bound that is stated: with the next event where this process took the right away; `RECHECK_S` after another process did, or with
the next heartbeat where nothing happens.
"""

import asyncio
import hmac
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from common.api.codes import Role, Scope
from common.ids import NodeName
from manager.api import certificates as certificate_routes
from manager.api.app import ROOT
from manager.http import pieces
from manager.http.heads import SESSION_COOKIE as COOKIE
from manager.http.streams import HEARTBEAT_S
from manager.infinity_api import handlers
from manager.usecases.rights import RECHECK_S
from tests import pki
from tests.attacks.principals import access_token, api_token, basic, bearer, provisioning_token
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.infinity_api.platform import CERTIFICATES
from tests.integration.web import visitor
from tests.patience import PATIENCE_S

ADMIN, OPERATOR, READER = (USERS[role] for role in (Role.ADMINISTRATOR, Role.OPERATOR, Role.READ_ONLY))
NEW = "another-long-password"
Change = Callable[[ApiClient], Awaitable[Any]]


@pytest.fixture
async def api(tmp_path):
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        yield client


async def remove_program(api: ApiClient) -> None:
    for client in await api.use_cases.clients.list():
        await api.use_cases.clients.remove(client.name, actor=ADMIN)


async def revoke_token(api: ApiClient) -> None:
    for token in await api.use_cases.users.tokens(OPERATOR):
        await api.use_cases.users.remove_token(token.id, name=None, actor=ADMIN)


CHANGES: dict[str, Change] = {
    "deleted": lambda api: api.use_cases.users.remove(OPERATOR, actor=ADMIN),
    "password": lambda api: api.use_cases.users.set_password(OPERATOR, password=NEW, actor=ADMIN),
    "revoked": revoke_token,
    "program": remove_program,
    "lowered": lambda api: api.use_cases.users.set_role(OPERATOR, role=Role.READ_ONLY, actor=ADMIN),
    "signed out": lambda api: api.use_cases.sessions.end_of(OPERATOR, actor=ADMIN),
}


async def headers_of(api: ApiClient, kind: str) -> dict[str, str]:
    match kind:
        case "password":
            return basic(OPERATOR)
        case "API token":
            return bearer(await api_token(api, Role.OPERATOR))
        case "push-only token":
            return bearer(await api_token(api, Role.OPERATOR, scope=Scope.PUSH_ONLY))
        case "access token":
            return bearer(await access_token(api, Role.OPERATOR))
        case _:
            user = await api.use_cases.users.get(OPERATOR)
            token = await api.use_cases.sessions.start(user, address="192.0.2.1")
            return {"Cookie": f"{COOKIE}={token}"}


async def publishing_of(api: ApiClient, name: NodeName) -> None:
    """Wait for the last change of a new node that nobody asked for: watchers may well be told of it."""
    with api.fleet.subscribe("") as changes:
        while api.fleet.node(name).desired is None:
            async with asyncio.timeout(PATIENCE_S):
                await changes.take(PATIENCE_S)


async def rest_of(answer: aiohttp.ClientResponse) -> bytes:
    """Read a stream to its end."""
    found = b""
    async with asyncio.timeout(PATIENCE_S):
        while data := await answer.content.readany():
            found += data
    return found


@pytest.mark.parametrize(
    ("kind", "path", "change"),
    [
        ("password", f"{ROOT}/events", "deleted"),
        ("password", f"{ROOT}/events", "password"),
        ("API token", f"{ROOT}/events", "revoked"),
        ("API token", f"{ROOT}/events", "password"),
        ("API token", f"{ROOT}/events", "lowered"),
        ("push-only token", f"{ROOT}/events", "lowered"),
        ("access token", f"{ROOT}/events", "program"),
        ("session", "/live/nodes/n1", "signed out"),
        ("session", "/live/nodes/n1", "deleted"),
        ("session", "/live/fleet", "password"),
    ],
)
async def test_a_stream_tells_nothing_more_once_the_right_to_it_has_gone(
    api: ApiClient, kind: str, path: str, change: str
):
    await api.add_node("n1")
    await publishing_of(api, NodeName("n1"))
    headers = await headers_of(api, kind)
    async with api.session.get(api.url + path, headers=headers) as answer:
        assert answer.status == 200
        await answer.content.readany() if path != "/live/nodes/n1" else None
        await CHANGES[change](api)
        # what happens now is none of the watcher's business any more
        await api.add_node("secret-node")
        api.fleet.changed(None, cause="test")
        shown = await rest_of(answer)
    assert b"secret-node" not in shown
    assert b"data: {" not in shown
    print(f"{kind}, {change}: the stream ended with the next event, {len(shown)} bytes after the change")


async def test_a_quiet_stream_asks_again_by_the_clock(api: ApiClient, monkeypatch):
    """A user that `certcast-manager` removes: another process, so nothing here knows of it."""
    assert (RECHECK_S, HEARTBEAT_S) == (5.0, 15.0)
    monkeypatch.setattr("manager.api.fleet.HEARTBEAT_S", 0.05)
    now = [1000.0]
    object.__setattr__(api.context, "monotonic", lambda: now[0])
    async with api.session.get(f"{api.url}{ROOT}/events", headers=basic(OPERATOR)) as answer:
        assert b"listening" in await answer.content.readany()
        await api.use_cases.users.remove(OPERATOR, actor=ADMIN)
        # as if it had been somebody else
        api.context.store._database.rights_revision = 0
        now[0] += RECHECK_S
        await rest_of(answer)


async def add_certificates(api: ApiClient, count: int) -> None:
    _, issuer = pki.current_ca("Listed")
    for number in range(count):
        made = pki.current_leaf(issuer, [f"n{number}.example.test"])
        body = {
            "certificate": made.certificate_pem + issuer.certificate_pem,
            "private_key": made.key_pem,
            "nodes": [],
        }
        assert (await api.call("POST", "certificates", body))[0] == 201


@pytest.mark.parametrize("path", [f"{ROOT}/certificates?limit=9", f"{CERTIFICATES}?limit=0"])
async def test_a_long_list_is_cut_off_where_the_right_to_it_went(api: ApiClient, monkeypatch, path: str):
    await add_certificates(api, 4)
    for module in (pieces, handlers, certificate_routes):
        monkeypatch.setattr(module, "AT_ONCE", 1)
    really, sent = pieces._write, []

    async def write(response: Any, piece: bytes) -> None:
        await really(response, piece)
        sent.append(piece)
        if len(sent) == 1:
            await api.use_cases.users.remove(OPERATOR, actor=ADMIN)

    monkeypatch.setattr(pieces, "_write", write)
    with pytest.raises(aiohttp.ClientError):
        async with api.session.get(api.url + path, headers=basic(OPERATOR)) as answer:
            await answer.read()
    assert len(sent) == 1
    print(f"{len(sent)} of 4 pieces were sent")


def _tell_when_asked(use_cases: Any, name: str, asked: asyncio.Event, monkeypatch: Any) -> None:
    """Say when somebody's credential was found good."""
    really = getattr(use_cases, name)

    async def asking(*values: Any, **more: Any) -> Any:
        found = await really(*values, **more)
        if found is not None:
            asked.set()
        return found

    monkeypatch.setattr(use_cases, name, asking)


@pytest.mark.parametrize("change", ["deleted", "lowered", "revoked"])
@pytest.mark.parametrize("path", [f"{ROOT}/nodes", "/api/admin/configuration/v1/worker_vm/", "/nodes/new"])
async def test_a_body_that_was_begun_with_a_right_does_nothing_without_it(
    api: ApiClient, monkeypatch, path: str, change: str
):
    await api.use_cases.users.set_role(OPERATOR, role=Role.ADMINISTRATOR, actor=ADMIN)
    is_page = path == "/nodes/new"
    headers = await headers_of(api, "session" if is_page else "API token")
    begun, goes_on, let_in = asyncio.Event(), asyncio.Event(), asyncio.Event()
    _tell_when_asked(api.use_cases.sessions, "find", let_in, monkeypatch)
    _tell_when_asked(api.use_cases.users, "find_token", let_in, monkeypatch)
    name = f"n{secrets.token_hex(3)}"
    token = headers.get("Cookie", "").partition("=")[2]
    csrf = hmac.digest(token.encode(), b"csrf", "sha256").hex()
    fields = {
        "name": name,
        "hostname": name,
        "domain": "example.test",
        "address": "192.0.2.9",
        "netmask": "255.255.255.0",
        "gateway": "192.0.2.1",
        "system_location": "/api/admin/configuration/v1/system_location/1/",
    }
    text = (
        f"name={name}&csrf={csrf}" if is_page else json.dumps(fields if "admin" in path else {"name": name})
    )
    kind = "application/x-www-form-urlencoded" if is_page else "application/json"

    async def body() -> AsyncIterator[bytes]:
        yield text[:5].encode()
        begun.set()
        await goes_on.wait()
        yield text[5:].encode()

    async def send() -> int:
        async with api.session.post(
            api.url + path, data=body(), headers={**headers, "Content-Type": kind}, allow_redirects=False
        ) as answer:
            await answer.read()
            return answer.status

    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        sending = group.create_task(send())
        await begun.wait()
        # it was let in before the right goes
        await let_in.wait()
        if is_page and change == "revoked":
            await CHANGES["signed out"](api)
        else:
            await CHANGES[change](api)
        goes_on.set()
    assert sending.result() in {401, 403}
    assert name not in [each.name for each in await api.context.store.nodes.list()]


@pytest.mark.parametrize("kind", ["password", "API token", "access token", "session"])
async def test_an_act_that_takes_its_time_is_not_carried_out_once_the_right_has_gone(
    api: ApiClient, monkeypatch, kind: str
):
    """The right goes after the body was read, while a key is made: the transaction itself asks again."""
    await api.use_cases.users.set_role(OPERATOR, role=Role.ADMINISTRATOR, actor=ADMIN)
    match kind:
        case "access token":
            headers = bearer(await provisioning_token(api))
        case "API token":
            headers = bearer(await api_token(api, Role.OPERATOR, scope=Scope.PROVISIONING))
        case _:
            headers = await headers_of(api, kind)
    really = api.use_cases.nodes._prepared
    change = "program" if kind == "access token" else "deleted"

    async def prepared(*values: Any, **named: Any) -> Any:
        made = await really(*values, **named)
        await aside(CHANGES[change](api))
        return made

    monkeypatch.setattr(api.use_cases.nodes, "_prepared", prepared)
    if kind == "session":
        token = headers["Cookie"].partition("=")[2]
        fields = {
            "name": "n1",
            "names": "n1.example.test",
            "csrf": hmac.digest(token.encode(), b"csrf", "sha256").hex(),
        }
        sent = api.session.post(f"{api.url}/nodes/new", data=fields, headers=headers, allow_redirects=False)
    else:
        sent = api.session.post(f"{api.url}{ROOT}/nodes", json={"name": "n1"}, headers=headers)
    async with sent as answer:
        await answer.read()
        assert answer.status == 401
    assert [each.name for each in await api.context.store.nodes.list()] == []


async def aside(change: Awaitable[Any]) -> None:
    """Let somebody else make a change: in a task of its own, so not as a part of the request."""

    async def work() -> None:
        await change

    async with asyncio.TaskGroup() as group:
        group.create_task(work())


async def test_a_sign_in_that_is_overtaken_by_a_new_password_leaves_no_session(api: ApiClient, monkeypatch):
    really = api.use_cases.users.passwords.prove
    overtaken = False

    async def prove(*values: Any, **more: Any) -> Any:
        nonlocal overtaken
        proven = await really(*values, **more)
        if not overtaken:
            overtaken = True
            await aside(CHANGES["password"](api))
        return proven

    monkeypatch.setattr(api.use_cases.users.passwords, "prove", prove)
    async with visitor(api) as thief:
        await thief.post("/sign-in", {"name": OPERATOR, "password": PASSWORD})
        assert overtaken
        assert (await thief.get("/nodes", allow_redirects=False)).status == 303
    assert await api.use_cases.sessions.list(OPERATOR) == []
