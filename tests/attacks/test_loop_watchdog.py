"""Nothing on the event loop takes longer than 50 ms, whatever is sent to whichever route."""

import asyncio
import base64
import http.client
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web

from bench.catalogue import fill
from common.api.codes import Role
from common.ids import NodeName
from demo.run import trusting
from manager.api.app import ROOT, ROUTES
from manager.http.streams import EVENT_STREAM
from manager.infinity_api.contract.description import Resource
from manager.infinity_api.contract.index import RESOURCES, ROOTS
from manager.usecases.workers import Workers
from tests.attacks import hostile_inputs as hostile
from tests.attacks.watchdog import Watchdog, watching
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.patience import PATIENCE_S

CERTIFICATES = 120
NODES = [NodeName(f"n{number}") for number in range(12)]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json"}
BASIC = {
    "Authorization": "Basic " + base64.b64encode(f"{USERS[Role.ADMINISTRATOR]}:{PASSWORD}".encode()).decode()
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
        path = re.sub(r"\{name[^}]*\}", "n1", route.resource.canonical)
        yield route.method, re.sub(r"\{[^}]*\}", "1", path)


def typed_body(method: str, path: str) -> type[Any] | None:
    for route in ROUTES:
        pattern = re.sub(r"\{[^}]*\}", "[^/]+", f"{ROOT}/{route.path}")
        if route.method == method and re.fullmatch(pattern, path):
            return route.body
    return None


def requests_of(method: str, path: str, csrf: str) -> Iterator[tuple[str, str, Body | None]]:
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
    kind = typed_body(method, path)
    if kind is not None:
        takes_all = path.removeprefix(f"{ROOT}/") in TAKES_CERTIFICATES
        for what in hostile.texts() if takes_all else hostile.SOME:
            yield what, path, lambda what=what: hostile.body_of(kind, hostile.texts()[what])
        for what in hostile.SHAPES if takes_all else ():
            yield what, path, lambda what=what: hostile.SHAPES[what]


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
            for method, path in (("POST", resource.path), ("PATCH", f"{resource.path}1/")):
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


def _object_of(resource: Resource, what: str) -> bytes:
    return hostile.object_of(resource, hostile.texts()[what])


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_nothing_keeps_the_loop_for_50_ms_whatever_is_sent(tmp_path):
    async with Workers() as workers, real_api(tmp_path, workers, watched=False) as api:
        await fill(api, CERTIFICATES, NODES)
        with watching() as watchdog:
            attacker = Attacker(api, watchdog)
            await attacker.sign_in()
            routes = sorted(set(all_routes(api.server.app)), key=lambda each: (each[0] != "GET", each[1]))
            assert len(routes) > 100
            # who signs out does so last, and what is deleted is attacked before
            routes.sort(key=lambda each: (each[0] == "DELETE", "delete" in each[1], each[1] == "/sign-out"))
            for method, path in routes:
                if method == "*":
                    continue
                for what, address, body in requests_of(method, path, attacker.csrf):
                    credentials = BASIC if path.startswith("/api/") else {"Cookie": attacker.cookie}
                    kind = JSON if path.startswith("/api/") else FORM
                    await attacker.send(method, address, what, body=body, **credentials, **kind)
            await attack_management(attacker)
    print(watchdog.report())
    print(f"answers by status: {dict(sorted(attacker.statuses.items()))}")
    assert watchdog.too_slow() == []
    assert attacker.statuses.get(500, 0) == 0
