"""Stolen credentials: one that makes a longer one, outlives its user's password, or is made without end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from common.api.codes import Role, Scope
from manager.store.users import Users
from manager.usecases.last_use import NOTED_S
from manager.usecases.users import TOKEN_DAYS_MAX, TOKENS_PER_USER_MAX
from tests.attacks.principals import PUBLIC_KEY, access_token, api_token, basic, bearer
from tests.fakes.workers import InPlace
from tests.integration.api import USERS, ApiClient, real_api
from tests.integration.infinity_api.platform import CONFIGURATION
from tests.integration.web import visitor

ADMIN, OPERATOR, READER = (USERS[role] for role in (Role.ADMINISTRATOR, Role.OPERATOR, Role.READ_ONLY))
EVIL = "another-long-password"

MINTING: list[tuple[str, str, Any]] = [
    ("POST", "tokens", {"label": "evil", "days": 3}),
    ("POST", "users", {"name": "evil", "password": EVIL, "role": "administrator"}),
    ("PUT", f"users/{OPERATOR}/role", {"role": "administrator"}),
    ("DELETE", f"users/{OPERATOR}", None),
    ("POST", "oauth-clients", {"name": "evil", "role": "administrator", "public_key": PUBLIC_KEY}),
    (
        "POST",
        "certificates/download",
        {"ids": [1], "include_key": True, "passphrase": "a-long-enough-passphrase"},
    ),
]
MANAGEMENT_MINTING: list[tuple[str, str, Any]] = [
    ("POST", "oauth2_client/", {"client_name": "evil", "role": f"{CONFIGURATION}/role/3/"}),
    ("PATCH", "oauth2_client/1/", {"role": f"{CONFIGURATION}/role/3/"}),
    ("PUT", "oauth2_client/1/", {"client_name": "evil", "role": f"{CONFIGURATION}/role/3/"}),
    ("POST", "role/", {"name": "evil", "permissions": [f"{CONFIGURATION}/permission/3/"]}),
    ("PATCH", "role/4/", {"permissions": [f"{CONFIGURATION}/permission/3/"]}),
]


@pytest.fixture
async def api(tmp_path: Path):
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        yield client


async def status_of(api: ApiClient, method: str, url: str, body: Any, headers: dict[str, str]) -> int:
    async with api.session.request(method, f"{api.url}{url}", json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def credentials(api: ApiClient) -> list[str]:
    """Return all that lets anybody in."""
    use_cases = api.use_cases
    return [
        *(f"user {each.name} {each.role}" for each in await use_cases.users.list()),
        *(f"token {each.id}" for each in await use_cases.users.tokens(None)),
        *(f"program {each.name} {each.role}" for each in await use_cases.clients.list()),
        *(f"role {each.name} {each.permissions}" for each in await use_cases.roles.list()),
    ]


async def test_no_token_makes_or_changes_what_lets_anybody_in_or_takes_private_keys_away(
    api: ApiClient, record_property
):
    tokens = {
        "API token": await api_token(api, Role.ADMINISTRATOR),
        "access token": await access_token(api, Role.ADMINISTRATOR),
    }
    await api.use_cases.roles.add("mine", ["use_api"], actor=ADMIN)
    before = await credentials(api)
    tried = 0
    for kind, token in tokens.items():
        for method, path, body in MINTING:
            status, answer = await api.call(method, path, body, role=None, headers=bearer(token))
            assert (status, answer["error"]["reason"]) == (403, "password_required"), (kind, path)
            # a password of somebody is no part of the request: it proves nothing, or is an unknown field
            more = {**(body or {}), "password": EVIL, "current_password": EVIL}
            refused, _ = await api.call(method, path, more, role=None, headers=bearer(token))
            assert refused in {400, 403}, (kind, path, refused)
            tried += 2
        for method, path, body in MANAGEMENT_MINTING:
            for override in ({}, {"X-HTTP-Method-Override": method}):
                sent = "POST" if override else method
                headers = {**bearer(token), **override}
                assert await status_of(api, sent, f"{CONFIGURATION}/{path}", body, headers) == 403, path
                tried += 1
        assert (await api.call("GET", "users", role=None, headers=basic(ADMIN, token)))[0] == 401
    assert await credentials(api) == before
    record_property("attempts", tried)
    print(f"{tried} attempts with stolen tokens made 0 credentials")


def worker(number: int, slots: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "name": f"spare{number}",
        "hostname": f"spare{number}",
        "domain": "example.com",
        "address": f"192.0.2.{number}",
        "netmask": "255.255.255.0",
        "gateway": "192.0.2.254",
        "system_location": f"{CONFIGURATION}/system_location/1/",
        **(slots or {}),
    }


async def a_location(api: ApiClient) -> None:
    body = {"name": "Oslo"}
    assert await status_of(api, "POST", f"{CONFIGURATION}/system_location/", body, basic(ADMIN)) == 201


async def join_tokens(api: ApiClient) -> int:
    return len(await api.use_cases.nodes.join_tokens())


async def test_no_token_obtains_a_join_token_by_which_a_machine_of_its_own_is_sent_private_keys(
    api: ApiClient, record_property
):
    await api.add_node("known")
    await a_location(api)
    before, made = await join_tokens(api), 0
    for number, token in enumerate(
        (await api_token(api, Role.ADMINISTRATOR), await access_token(api, Role.ADMINISTRATOR)), start=10
    ):
        for path, body in (
            ("nodes", {"name": "mine"}),
            ("nodes/known/join-token", {}),
            ("nodes/absent/join-token", {}),
        ):
            status, answer = await api.call("POST", path, body, role=None, headers=bearer(token))
            assert (status, answer["error"]["reason"]) == (403, "password_required"), path
            made += 1
        # the existing clients' nodes are made all the same, alone and with others, removed and added again
        url = f"{CONFIGURATION}/worker_vm/"
        for attempt in ("first", "again"):
            async with api.session.post(
                f"{api.url}{url}", json=worker(number), headers=bearer(token)
            ) as answered:
                shown, where = await answered.json(), answered.headers["Location"]
            assert (answered.status, shown) == (201, {"join_token": "", "join_command": ""}), attempt
            assert await status_of(api, "DELETE", where, None, bearer(token)) == 204
        several = {"objects": [worker(number + 100)]}
        assert await status_of(api, "PATCH", url, several, bearer(token)) == 202
        made += 3
    assert await join_tokens(api) == before
    record_property("attempts", made)
    print(f"{made} attempts with administrators' tokens made 0 join tokens")


async def test_a_password_or_a_token_made_for_it_obtains_join_tokens(api: ApiClient):
    await a_location(api)
    for each in (Role.READ_ONLY, Role.OPERATOR):
        body = {"label": "x", "scope": "provisioning"}
        assert (await api.call("POST", "tokens", body, role=each))[0] == 403
    provisioning = await api_token(api, Role.ADMINISTRATOR, scope=Scope.PROVISIONING)
    role = await api.use_cases.roles.add("provisioners", ["is_admin", "provision"], actor=ADMIN)
    program = await access_token(api, Role.ADMINISTRATOR)
    (record,) = await api.use_cases.clients.list()
    for number, (headers, expected) in enumerate(
        (
            (basic(ADMIN), True),
            (bearer(provisioning), True),
            (bearer(program), False),
            (bearer(program), True),
        ),
        start=20,
    ):
        if number == 23:
            await api.use_cases.clients.change(record.id, name=record.name, api_role_id=role, actor=ADMIN)
        status, _ = await api.call("POST", "nodes", {"name": f"n{number}"}, role=None, headers=headers)
        assert status == (201 if expected else 403), number
        async with api.session.post(
            f"{api.url}{CONFIGURATION}/worker_vm/", json=worker(number), headers=headers
        ) as answered:
            assert bool((await answered.json())["join_token"]) == expected, number
    # what it may besides is what any administrator's token may
    for method, path, body in MINTING:
        assert (await api.call(method, path, body, role=None, headers=bearer(provisioning)))[0] == 403, path


async def test_who_sends_the_password_makes_them(api: ApiClient):
    for method, path, body in MINTING[:-1]:
        assert (await api.call(method, path, body))[0] < 300, path
    body = {"client_name": "wanted", "role": f"{CONFIGURATION}/role/3/"}
    assert await status_of(api, "POST", f"{CONFIGURATION}/oauth2_client/", body, basic(ADMIN)) == 201


async def test_a_token_lives_a_year_at_most_and_a_user_has_twenty(api: ApiClient):
    for days, expected in ((TOKEN_DAYS_MAX, 201), (TOKEN_DAYS_MAX + 1, 400), (3650, 400), (0, 400)):
        assert (await api.call("POST", "tokens", {"label": "x", "days": days}))[0] == expected
    made = await asyncio.gather(
        *(api.call("POST", "tokens", {"label": str(n)}, role=Role.READ_ONLY) for n in range(60))
    )
    statuses = [status for status, _ in made]
    assert (statuses.count(201), statuses.count(409)) == (TOKENS_PER_USER_MAX, 60 - TOKENS_PER_USER_MAX)
    print(f"60 tokens asked for at once, {statuses.count(201)} made")


async def test_a_scope_is_at_most_the_users_role_and_holds(api: ApiClient):
    for role, scope in (
        (Role.READ_ONLY, "operator"),
        (Role.READ_ONLY, "push-only"),
        (Role.OPERATOR, "administrator"),
    ):
        assert (await api.call("POST", "tokens", {"label": "x", "scope": scope}, role=role))[0] == 403
    reads = bearer(await api_token(api, Role.ADMINISTRATOR, scope=Scope.READ_ONLY))
    assert (await api.call("GET", "certificates", role=None, headers=reads))[0] == 200
    for method, path in (("POST", "push"), ("GET", "users"), ("POST", "nodes"), ("GET", "tokens?all=1")):
        assert (await api.call(method, path, {} if method == "POST" else None, role=None, headers=reads))[
            0
        ] == 403
    pushes = bearer(await api_token(api, Role.ADMINISTRATOR, scope=Scope.PUSH_ONLY))
    for method, path, expected in (
        ("POST", "push", 200),
        ("GET", "fleet", 200),
        ("GET", "certificates", 403),
        ("GET", "nodes", 403),
        ("GET", "tokens", 403),
        ("POST", "alarms/acknowledge", 403),
    ):
        body = {} if method == "POST" else None
        assert (await api.call(method, path, body, role=None, headers=pushes))[0] == expected, path
    assert await status_of(api, "GET", f"{CONFIGURATION}/tls_certificate/", None, pushes) == 403


@pytest.mark.parametrize("change", ["password", "page", "role", "removed"])
async def test_tokens_and_what_was_made_with_them_end_when_their_user_changes(api: ApiClient, change: str):
    await api.use_cases.users.set_role(OPERATOR, role=Role.ADMINISTRATOR, actor=ADMIN)
    token = bearer(await api_token(api, Role.OPERATOR, scope=Scope.PROVISIONING))
    program = {"name": "theirs", "role": "administrator", "public_key": PUBLIC_KEY}
    assert (await api.call("POST", "oauth-clients", program, role=None, headers=basic(OPERATOR)))[0] == 201
    assert (await api.call("POST", "nodes", {"name": "n1"}, role=None, headers=token))[0] == 201
    assert (await api.call("GET", "whoami", role=None, headers=token))[1]["role"] == "administrator"
    if change == "password":
        await api.use_cases.users.set_password(OPERATOR, password=EVIL, actor="console")
    elif change == "page":
        async with visitor(api, Role.OPERATOR) as browser:
            fields = {"current": "a-long-enough-password", "password": EVIL, "again": EVIL}
            assert (await browser.post("/users/me/password", fields)).status == 200
    elif change == "role":
        assert (await api.call("PUT", f"users/{OPERATOR}/role", {"role": "operator"}))[0] == 204
    else:
        assert (await api.call("DELETE", f"users/{OPERATOR}"))[0] == 204
    assert (await api.call("GET", "whoami", role=None, headers=token))[0] == 401
    programs = [each["name"] for each in (await api.call("GET", "oauth-clients"))[1]["clients"]]
    joins = (await api.call("GET", "join-tokens"))[1]["join_tokens"]
    assert (programs, joins) == (["theirs"] if change in {"password", "page"} else [], [])


async def test_an_administrator_sees_and_revokes_everybodys_and_nobody_else_does(api: ApiClient):
    token = bearer(await api_token(api, Role.READ_ONLY))
    own = bearer(await api_token(api, Role.OPERATOR))
    status, listed = await api.call("GET", "tokens?all=true")
    assert status == 200
    assert {each["user"] for each in listed["tokens"]} == {READER, OPERATOR}
    number = {each["user"]: each["id"] for each in listed["tokens"]}
    assert (await api.call("GET", "tokens?all=true", role=Role.OPERATOR))[0] == 403
    for headers in (own, basic(OPERATOR)):
        assert (await api.call("DELETE", f"tokens/{number[READER]}", role=None, headers=headers))[0] in {
            403,
            404,
        }
    assert (await api.call("GET", "whoami", role=None, headers=token))[0] == 200
    assert (await api.call("DELETE", f"tokens/{number[READER]}"))[0] == 204
    assert (await api.call("GET", "whoami", role=None, headers=token))[0] == 401
    # a token may end itself, and no other of its user
    second = await api_token(api, Role.OPERATOR, label="second")
    assert (await api.call("DELETE", f"tokens/{number[OPERATOR]}", role=None, headers=bearer(second)))[
        0
    ] == 403
    assert (await api.call("DELETE", f"tokens/{number[OPERATOR]}", role=None, headers=own))[0] == 204


async def test_the_last_use_is_shown_and_written_once_for_many_requests(api: ApiClient, monkeypatch):
    written: list[str] = []
    really = Users.token_used

    async def counted(self: Users, token_id: int, *, source: str, now_s: float) -> None:
        written.append(source)
        await really(self, token_id, source=source, now_s=now_s)

    monkeypatch.setattr(Users, "token_used", counted)
    token = bearer(await api_token(api, Role.READ_ONLY))
    assert (await api.use_cases.users.tokens(None))[0].last_used_s is None
    await asyncio.gather(*(api.call("GET", "whoami", role=None, headers=token) for _ in range(50)))
    (record,) = await api.use_cases.users.tokens(READER)
    assert (record.last_source, written) == ("127.0.0.1", ["127.0.0.1"])
    assert record.last_used_s is not None
    print(f"50 requests, {len(written)} write; the next after {NOTED_S:.0f} s")


async def was_not_confirmed(_token: str) -> bool:
    return False


async def test_a_stolen_session_mints_nothing_without_the_password(api: ApiClient, monkeypatch):
    async with visitor(api, Role.ADMINISTRATOR) as thief:
        monkeypatch.setattr(api.use_cases.sessions, "is_confirmed", was_not_confirmed)
        await api.add_node("known")
        before = [*(await credentials(api)), await join_tokens(api)]
        new = {"name": "evil", "password": EVIL, "again": EVIL, "role": "administrator"}
        for path, fields in (
            ("/users/me/tokens", {"label": "evil", "days": "3", "scope": "administrator"}),
            ("/users/new", new),
            (f"/users/named/{OPERATOR}/role", {"role": "administrator", "seen": "operator"}),
            (f"/users/named/{OPERATOR}/password", {"password": EVIL, "again": EVIL}),
            (f"/users/named/{OPERATOR}/remove", {}),
            ("/users/clients/new", {"name": "evil", "role": "administrator", "public_key": PUBLIC_KEY}),
            ("/nodes/new", {"name": "evil"}),
            ("/nodes/known/join-token", {}),
        ):
            answer = await thief.post(path, fields)
            assert (answer.status, "Confirm your password" in answer.text) == (403, True), path
            assert EVIL not in answer.html
        wrong = await thief.post("/confirm", {"password": "guess", "next": "/users/me"})
        assert (wrong.status, "the password is wrong" in wrong.text.lower()) == (401, True)
        assert [*(await credentials(api)), await join_tokens(api)] == before


async def test_the_password_opens_the_way_back_for_ten_minutes(api: ApiClient, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(api.use_cases.sessions._confirmed, "_clock", lambda: now[0])
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        assert (await browser.get("/users/new")).status == 200
        now[0] += 601
        asked = await browser.get("/users/new")
        assert (asked.status, asked.hidden["next"]) == (403, "/users/new")
        given = await browser.post("/confirm", {"password": "a-long-enough-password", "next": "/users/new"})
        assert (given.status, given.path) == (200, "/users/new")
        for elsewhere in ("https://evil.example", "//evil.example", "/\\evil.example"):
            sent = await browser.post(
                "/confirm", {"password": "a-long-enough-password", "next": elsewhere}, allow_redirects=False
            )
            assert sent.headers["Location"] == "/"


async def test_an_administrator_signs_a_user_out_and_everybody_their_other_browsers(api: ApiClient):
    async with visitor(api, Role.OPERATOR) as one, visitor(api, Role.OPERATOR) as two:
        assert (await one.post("/users/me/sessions/end")).status == 200
        assert (await two.get("/nodes", allow_redirects=False)).status == 303
        assert (await api.call("GET", f"users/{OPERATOR}/sessions", role=Role.OPERATOR))[0] == 403
        status, answer = await api.call("GET", f"users/{OPERATOR}/sessions")
        assert (status, [each["source"] for each in answer["sessions"]]) == (200, ["127.0.0.1"])
        assert (await api.call("DELETE", f"users/{OPERATOR}/sessions"))[0] == 204
        assert (await one.get("/nodes", allow_redirects=False)).status == 303
