"""Every route and method of the composed application, for everybody who may ask, with every kind of credential.

Routes come from the routers themselves; what they should answer is stated in `authorisation`.
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web

from common.api.codes import Role
from manager.domain.callers import Maker
from manager.infinity_api.contract.index import RESOURCES
from tests.attacks.authorisation import (
    Principal,
    Row,
    expected,
    stated,
    stated_keys,
)
from tests.attacks.credentials import (
    ADMIN,
    AT_APIS,
    AT_PAGES,
    OPERATOR,
    READER,
    Make,
    by_session,
    cookie_headers,
)
from tests.attacks.principals import access_token_of, basic, bearer
from tests.attacks.principals import api_token as new_api_token
from tests.attacks.questions import answer_of, concrete, objects, unhurried_api, verdict
from tests.integration.api import USERS, ApiClient

API = "/api/certcast/v1/"


@pytest.fixture
async def api(tmp_path, monkeypatch):
    async with unhurried_api(tmp_path, monkeypatch) as client:
        yield client


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def routed(app: web.Application) -> Iterator[tuple[str, str]]:
    """Return all methods and paths, also those of applications that are mounted in others."""
    for resource in app.router.resources():
        below = getattr(resource, "_app", None)
        if below is not None:
            yield from routed(below)
        else:
            yield from ((route.method, resource.canonical) for route in resource)


async def sweep(api: ApiClient, who: Principal, rows: list[Row]) -> tuple[list[str], Counter[str]]:
    """Ask for every row; return what was answered otherwise than stated, and how often what was answered."""
    wrong, seen = [], Counter[str]()
    # signing out comes last
    for row in sorted(rows, key=lambda each: each.path == "/sign-out"):
        status, text = await answer_of(api, row.method, concrete(row.path), who.headers)
        got, wanted = verdict(status, text), expected(row, who)
        seen[got] += 1
        if row.role is None:
            got = "in" if status < 500 else got
        if got != wanted:
            wrong.append(f"{who.name}: {row.method} {row.path}: {got} ({status}) instead of {wanted}")
    return wrong, seen


def test_every_route_of_the_routers_is_stated_and_no_other(api: ApiClient):
    there = set(routed(api.server.app))
    assert len(there) > 150
    assert {(method, path) for method, path in there} == stated_keys()


@pytest.mark.parametrize("kind", AT_APIS)
async def test_the_api_answers_as_stated_whoever_asks(api: ApiClient, kind: str):
    await _as_stated(api, kind, AT_APIS[kind], [row for row in stated() if row.path.startswith(API)])


@pytest.mark.parametrize("kind", AT_PAGES)
async def test_pages_answer_as_stated_whoever_asks(api: ApiClient, kind: str):
    await _as_stated(api, kind, AT_PAGES[kind], [row for row in stated() if not row.path.startswith("/api/")])


async def _as_stated(api: ApiClient, kind: str, makes: list[Make], rows: list[Row]) -> None:
    wrong, seen = [], Counter[str]()
    for make in makes:
        more, counts = await sweep(api, await make(api), rows)
        wrong += more
        seen += counts
    print(f"{kind}: {seen.total()} requests over {len(rows)} routes: {dict(seen)}")
    assert wrong == []


async def test_no_other_method_does_anything_even_for_an_administrator(api: ApiClient):
    await api.add_node("n1")
    page = (await by_session(Role.ADMINISTRATOR)(api)).headers
    allowed: dict[str, set[str]] = {}
    for method, path in routed(api.server.app):
        allowed.setdefault(path, set()).add(method)
    before, tried, wrong = await objects(api), 0, []
    for path, methods in allowed.items():
        if "*" in methods:
            continue
        for method in METHODS:
            if method in methods:
                continue
            status, _ = await answer_of(api, method, concrete(path), {**basic(ADMIN), **page})
            tried += 1
            # TRACE and what nobody knows may be refused before any route is looked for
            if status not in {400, 404, 405, 501}:
                wrong.append(f"{method} {path}: {status}")
    print(f"{tried} requests by methods that no route has")
    assert wrong == []
    assert await objects(api) == before


async def test_saying_another_method_gives_nobody_more(api: ApiClient):
    await api.add_node("n1")
    before = await objects(api)
    ways: list[tuple[dict[str, str], str]] = [
        *(
            ({name: "DELETE"}, "")
            for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
        ),
        ({}, "?_method=DELETE"),
    ]
    nodes = await api.context.store.nodes.list()
    number = next(each.id for each in nodes if each.name == "n1")
    one = f"/api/admin/configuration/v1/worker_vm/{number}/"
    for role in (Role.READ_ONLY, Role.OPERATOR):
        headers = basic(USERS[role])
        for more, query in ways:
            for path in (one, f"{API}nodes/n1"):
                status, text = await answer_of(api, "GET", path + query, {**headers, **more})
                assert verdict(status, text) == "in"
                status, _ = await answer_of(
                    api, "POST", path + query, {**headers, **more}, body={"_method": "DELETE"}
                )
                assert status in {403, 405}
        for said in ("GET", "HEAD", "OPTIONS"):
            status, _ = await answer_of(api, "POST", one, {**headers, "X-HTTP-Method-Override": said})
            assert status == 403
    assert await objects(api) == before


async def test_a_role_that_was_lowered_holds_for_every_credential_at_the_next_request(api: ApiClient):
    await api.use_cases.users.set_role(OPERATOR, role=Role.ADMINISTRATOR, actor=ADMIN)
    use_cases = api.use_cases
    operator = await use_cases.users.get(OPERATOR)
    browser = cookie_headers(await use_cases.sessions.start(operator, address="192.0.2.1"))
    token = bearer(await new_api_token(api, Role.OPERATOR))
    assert (await api.call("GET", "users", role=None, headers=token))[0] == 200
    await use_cases.users.set_role(OPERATOR, role=Role.READ_ONLY, actor=ADMIN)
    rows = [row for row in stated() if row.role is Role.ADMINISTRATOR]
    at_api = [row for row in rows if row.path.startswith(API)]
    pages = [row for row in rows if not row.path.startswith("/api/")]
    wrong = []
    for who, those in (
        (Principal("password", basic(OPERATOR), Role.READ_ONLY, has_password=True), at_api),
        (Principal("API token", token), at_api),
        (Principal("session", browser, Role.READ_ONLY, has_password=True), pages),
    ):
        wrong += (await sweep(api, who, those))[0]
    assert wrong == []
    # a program's role, by the management API's roles
    program = await use_cases.clients.add_with_key("p", api_role_id=3, actor=ADMIN)
    given = bearer(await access_token_of(api, program.record))
    assert (await api.call("GET", "users", role=None, headers=given))[0] == 200
    await use_cases.clients.change(program.record.id, name="p", api_role_id=1, actor=ADMIN)
    assert (await api.call("GET", "users", role=None, headers=given))[0] == 403


async def secrets_in_store(api: ApiClient) -> AsyncIterator[str]:
    store = api.context.store
    for name in USERS.values():
        yield (await store.users.get(name))[1]
    async with store._database.read() as connection:
        for table, column in (
            ("api_token", "token_hash"),
            ("session", "token_hash"),
            ("join_token", "secret_hash"),
        ):
            for row in await connection.exec_driver_sql(f"SELECT {column} FROM {table}"):
                yield row[0]


async def test_readers_see_no_secret_and_nothing_of_other_users_credentials(api: ApiClient):
    """The labels of others' tokens, where others are signed in, and every hash of a secret."""
    await api.add_node("n1")
    await api.use_cases.nodes.new_token("n1", maker=Maker(), actor=ADMIN)
    await new_api_token(api, Role.ADMINISTRATOR, label="label-of-the-administrator")
    user = await api.use_cases.users.get(ADMIN)
    await api.use_cases.sessions.start(user, address="203.0.113.77")
    hidden = ["label-of-the-administrator", "203.0.113.77", *[each async for each in secrets_in_store(api)]]
    page = (await by_session(Role.READ_ONLY)(api)).headers
    looked = 0
    for row in stated():
        if row.method != "GET" or row.role is None or "live" in row.path or row.path.endswith("/events"):
            continue
        path = concrete(row.path.replace("{name}", "n1").replace("{id}", "1"))
        headers = basic(READER) if row.path.startswith("/api/") else page
        _, text = await answer_of(api, "GET", path, headers)
        looked += 1
        assert [each for each in hidden if each in text] == [], row
    for resource in RESOURCES:
        _, text = await answer_of(api, "GET", resource.path, basic(READER))
        looked += 1
        assert [each for each in hidden if each in text] == [], resource.name
    print(f"{looked} answers to a reader hold none of {len(hidden)} secrets")
