"""Nothing on the event loop takes longer than 50 ms, whatever is sent to whichever route."""

import asyncio
import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from urllib.parse import urlencode

import pytest
from aiohttp import web

from common.api.codes import Role
from demo.run import trusting
from manager.api.app import ROOT, ROUTES
from manager.api.routes import Route
from manager.http.streams import EVENT_STREAM
from manager.infinity_api.contract.description import Method, Resource
from manager.infinity_api.contract.index import RESOURCES, ROOTS
from manager.usecases.clients import ACCESS_PREFIX
from manager.usecases.users import TOKEN_PREFIX
from manager.usecases.workers import Workers
from tests.attacks import hostile_inputs as hostile
from tests.attacks.credentials import cookie_headers
from tests.attacks.filled import GRANTED, NAME, Filled, fill_everything, unstated
from tests.attacks.principals import basic, bearer
from tests.attacks.watchdog import Watchdog, watching
from tests.fakes.ca import ModelCas
from tests.fakes.ca_server import CaServer
from tests.fakes.showing import ModelShowing
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.patience import PATIENCE_S

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
TURNED_AWAY = {0, 400, 401, 403, 404, 405, 429}
"""Answers that may come from before a handler: all others are its own."""

BASIC = basic(USERS[Role.ADMINISTRATOR])
STRANGERS = {
    "no credentials": {},
    "a wrong password": basic(USERS[Role.OPERATOR], "a-wrong-password"),
    "an unknown user": basic("nobody"),
    "a wrong token": bearer(TOKEN_PREFIX + "x" * 43),
    "a wrong access token": bearer(ACCESS_PREFIX + "x" * 43),
    "a wrong session": cookie_headers("x" * 43),
}
TAKES_CERTIFICATES = {"certificates", "trusted-cas"}
Body = Callable[[], bytes]


class Attacker:
    """Sends one request after the other from a thread, and says to the watchdog which."""

    def __init__(self, api: ApiClient, watchdog: Watchdog) -> None:
        self._connection = http.client.HTTPSConnection(
            "127.0.0.1", api.server.port, context=trusting(), timeout=PATIENCE_S
        )
        self._watchdog = watchdog
        self.statuses: dict[int, int] = {}
        self.reached: set[tuple[str, str]] = set()
        self.cookie = self.csrf = ""

    async def send(
        self, method: str, path: str, what: str, *, body: Body | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        self._watchdog.doing = f"{method} {path.partition('?')[0]} with {what}"
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        answer = await asyncio.to_thread(self._send, method, path, body, sent)
        self.statuses[answer[0]] = self.statuses.get(answer[0], 0) + 1
        return answer

    def _send(
        self, method: str, path: str, body: Body | None, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        was_open = self._connection.sock is not None
        try:
            self._connection.request(method, path, body() if body is not None else None, headers)
            answer = self._connection.getresponse()
            streamed = answer.headers.get_content_type() == EVENT_STREAM
            content = b"" if streamed else answer.read()
        except OSError:
            self._connection.close()
            # the manager may have ended it after the request before; else this one was refused while it was sent
            return self._send(method, path, body, headers) if was_open else (0, {}, b"")
        if streamed:
            self._connection.close()
        return answer.status, dict(answer.headers), content

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    async def sign_in(self) -> None:
        """Begin a session; what is sent with `cookie` and `csrf` acts in it."""
        _, headers, page = await self.send("GET", "/sign-in", "nothing")
        form = {"csrf": _csrf(page), "name": USERS[Role.ADMINISTRATOR], "password": PASSWORD}
        cookie = headers["Set-Cookie"].partition(";")[0]
        _, headers, _ = await self.send(
            "POST", "/sign-in", "a password", body=lambda: urlencode(form).encode(), Cookie=cookie, **FORM
        )
        self.cookie = headers["Set-Cookie"].partition(";")[0]
        _, _, page = await self.send("GET", "/users/me", "nothing", Cookie=self.cookie)
        self.csrf = _csrf(page)


def _csrf(page: bytes) -> str:
    found = re.search(rb'name="csrf" value="([^"]+)"', page)
    assert found is not None
    return found[1].decode()


def all_routes(app: web.Application) -> Iterator[tuple[str, str]]:
    """Return every route as the routers know it: the method and the path, with its parts filled in."""
    for route in app.router.routes():
        assert route.resource is not None
        path = re.sub(r"\{name[^}]*\}", NAME, route.resource.canonical).replace("{slot}", "server")
        yield route.method, re.sub(r"\{[^}]*\}", "1", path)


def route_of(method: str, path: str) -> Route | None:
    """Return the entry of the API's table."""
    for route in ROUTES:
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", f"{ROOT}/{route.path}")
        if route.method == method and re.fullmatch(pattern, path):
            return route
    return None


def requests_of(method: str, path: str, csrf: str, there: Filled) -> Iterator[tuple[str, str, Body | None]]:
    """Return what is sent to a route: a word for it, the address, and the body."""
    if method in {"GET", "HEAD", "DELETE"}:
        for query in hostile.QUERIES:
            yield f"query {query[:20]}", f"{path}?{query}" if query else path, None
        return
    if not path.startswith("/api/"):
        for what in hostile.texts() if path == "/certificates/new" else hostile.SOME:
            yield what, path, lambda what=what: hostile.form_of(csrf, hostile.texts()[what])
        yield "all ticked", path, lambda: hostile.ticked(csrf)
        return
    route = route_of(method, path)
    if route is None or route.body is None:
        yield "nothing", path, None
        return
    takes_all = path.removeprefix(f"{ROOT}/") in TAKES_CERTIFICATES
    for what in hostile.texts() if takes_all else hostile.SOME:
        yield what, path, lambda what=what: hostile.body_of(route.body, hostile.texts()[what])
    for what in hostile.SHAPES if takes_all else ():
        yield what, path, lambda what=what: hostile.SHAPES[what]
    granted = GRANTED[route.method, route.path](there)
    yield "what is granted", path, lambda: json.dumps(granted).encode()


async def attack_management(attacker: Attacker) -> None:
    """Attack the management API, which has one route for all: its paths are those of its index."""
    for path in ROOTS:
        await attacker.send("GET", path, "nothing", **BASIC)
    for resource in RESOURCES:
        for query in hostile.queries_of(resource):
            await attacker.send("GET", f"{resource.path}?{query}", f"query {query[:30]}", **BASIC)
        for path in ("schema/", f"set/{';'.join(str(number) for number in range(2000))}/", "1/"):
            await attacker.send("GET", resource.path + path, "nothing", **BASIC)
        takes_all = hostile.takes_certificates(resource)
        for what in hostile.texts() if takes_all else hostile.SOME[2:]:
            for method, path in addresses_of(resource):
                await attacker.send(
                    method,
                    path,
                    what,
                    body=partial(_object_of, resource, what),
                    **BASIC,
                    **JSON,
                )
        for what in hostile.SHAPES if takes_all else ():
            body = partial(hostile.SHAPES.__getitem__, what)
            await attacker.send("PATCH", resource.path, what, body=body, **BASIC, **JSON)


async def delete_from_management(attacker: Attacker) -> None:
    """Delete what the other API will not, one and several, of each resource that lets itself be deleted."""
    for resource in RESOURCES:
        if Method.DELETE in resource.detail_methods:
            await attacker.send("DELETE", f"{resource.path}2/", "nothing", **BASIC)
        if Method.DELETE in resource.list_methods:
            await attacker.send("DELETE", f"{resource.path}set/2;3/", "nothing", **BASIC)


def addresses_of(resource: Resource) -> Iterator[tuple[str, str]]:
    """Return where a resource takes a body: by its own methods, and by those that every client may try."""
    for methods, path in (
        (resource.list_methods, resource.path),
        (resource.detail_methods, f"{resource.path}1/"),
    ):
        for method in sorted(methods & {Method.POST, Method.PUT, Method.PATCH}):
            yield method.upper(), path


async def attack_as_strangers(attacker: Attacker, routes: list[tuple[str, str]]) -> None:
    """Knock at every door with each credential that is worth nothing, and at every route with one of them."""
    doors = [("GET", f"{ROOT}/certificates"), ("GET", RESOURCES[0].path), ("GET", "/certificates")]
    for method, path in doors:
        for who, headers in STRANGERS.items():
            await attacker.send(method, path, who, **headers)
    for (method, path), (who, headers) in zip(routes, cycle(STRANGERS.items()), strict=False):
        await attacker.send(method, path, who, **headers)


def _object_of(resource: Resource, what: str) -> bytes:
    return hostile.object_of(resource, hostile.texts()[what])


async def attack_routes(attacker: Attacker, routes: list[tuple[str, str]], there: Filled) -> None:
    for method, path in routes:
        for what, address, body in requests_of(method, path, attacker.csrf, there):
            credentials = BASIC if path.startswith("/api/") else {"Cookie": attacker.cookie}
            kind = JSON if path.startswith("/api/") else FORM
            status, _, _ = await attacker.send(method, address, what, body=body, **credentials, **kind)
            if status not in TURNED_AWAY:
                attacker.reached.add((method, path))


NOWHERE = {("POST", f"{ROOT}/alarms/acknowledge")}
"""Routes of the API at which nothing is done: no alarm is evaluated here."""


def test_each_route_that_takes_a_body_is_sent_one_that_it_grants():
    assert list(unstated()) == []


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nothing_keeps_the_loop_for_50_ms_whatever_is_sent(tmp_path):
    showing = ModelShowing(time.time)
    cas = ModelCas(CaServer(time.time, showing), CaServer(time.time, showing))
    async with Workers() as workers, real_api(tmp_path, workers, watched=False, cas=cas) as api:
        there = await fill_everything(api)
        with watching() as watchdog:
            attacker = Attacker(api, watchdog)
            await attacker.sign_in()
            routes = sorted(
                (each for each in set(all_routes(api.server.app)) if each[0] != "*"),
                key=lambda each: (each[0] != "GET", each[1]),
            )
            assert len(routes) > 100
            await attack_as_strangers(attacker, routes)
            # who signs out does so last, and what is deleted is attacked before; what is below something goes first
            routes.sort(
                key=lambda each: (
                    each[0] == "DELETE",
                    "delete" in each[1],
                    each[1] == "/sign-out",
                    each[0] == "DELETE" and -each[1].count("/"),
                )
            )
            await attack_routes(attacker, [each for each in routes if each[0] != "DELETE"], there)
            await attack_management(attacker)
            await attack_routes(attacker, [each for each in routes if each[0] == "DELETE"], there)
            await delete_from_management(attacker)
            attacker.close()
    print(watchdog.report())
    print(f"answers by status: {dict(sorted(attacker.statuses.items()))}")
    assert watchdog.too_slow() == []
    assert attacker.statuses.get(500, 0) == 0
    of_api = {each for each in routes if each[1].startswith("/api/")}
    assert of_api - attacker.reached == NOWHERE
