"""Attacks by requests of strangers: many at once on connections that stay, with heads that cost much, and bytes between chunks."""

import asyncio
import subprocess
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import hdrs
from argon2 import extract_parameters

from common.source import UNKNOWN
from manager.api.app import ROOT
from manager.domain.model import Role
from manager.http import bodies, heads
from manager.http.heads import COOKIES_MAX, COOKIES_MAX_BYTES
from manager.http.middleware import GUARD, REGULARS, STRANGERS
from manager.http.seats import TALKATIVE, UNASKED_MAX_BYTES
from manager.http.turnstile import Pace, Turnstile
from manager.usecases.passwords import new_hasher
from tests.attacks.flooding import flood
from tests.attacks.watchdog import watching
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.web import visitor
from tests.patience import PATIENCE_S, ended

CLOSED = Pace(burst=1.0, per_s=1e-6, each_burst=1.0, each_per_s=1e-6)
"""Under which strangers wait for ever once one of them has been."""

COOKIES = "; ".join(f"c{number:04}=x" for number in range(1200))
ADMIN = aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)
SOCKET_BYTES = 4 * 1024 * 1024
"""What the sockets' buffers on both sides take before who sends notices that nobody reads."""

OWN, OTHER = "127.0.0.1", "127.0.0.2"
"""Where the API's user comes from, and where nobody does."""

STRANGER = """
import http.client, ssl, sys, threading
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
def ask():
    connection = http.client.HTTPSConnection(
        "127.0.0.1", int(sys.argv[1]), context=tls, source_address=(sys.argv[4], 0)
    )
    while True:
        try:
            connection.request("GET", sys.argv[2])
            answer = connection.getresponse()
            answer.read()
        except OSError:
            connection.close()
        else:
            print(f"{answer.status}\\n", end="", flush=True)  # in one piece: there are others
for _ in range(int(sys.argv[3])):
    threading.Thread(target=ask).start()
"""


@pytest.fixture
async def api(tmp_path):
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        yield client


@asynccontextmanager
async def strangers(
    api: ApiClient, path: str, count: int, address: str = OWN
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Let so many connections ask for a page again and again; yields when the first was answered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STRANGER, str(api.server.port), path, str(count), address),
        stdout=PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            assert await process.stdout.readline() == b"200\n"
        yield process
    finally:
        process.kill()
        await ended(process)


@pytest.mark.parametrize("address", [OWN, OTHER])
@pytest.mark.parametrize("path", ["/sign-in", "/health/live", "/static/certcast.css"])
async def test_requests_of_strangers_are_answered_at_a_pace_and_users_do_not_notice(
    api: ApiClient, path: str, address: str
):
    pace = REGULARS if address == OWN else STRANGERS

    async def p95_ms() -> float:
        took = []
        for _ in range(60):
            started = time.perf_counter()
            assert (await api.call("GET", "nodes"))[0] == 200
            took.append(1000 * (time.perf_counter() - started))
        return sorted(took)[57]

    await p95_ms()
    quiet_ms = await p95_ms()
    served = 0

    async def read(process: asyncio.subprocess.Process) -> None:
        nonlocal served
        assert process.stdout is not None
        async for _ in process.stdout:
            served += 1

    async with strangers(api, path, 64, address) as process, asyncio.TaskGroup() as group:
        reading = group.create_task(read(process))
        started = time.monotonic()
        attacked_ms = await p95_ms()
        async with visitor(api) as honest:
            # where they come from the same address: on a new connection, while 64 that stay have asked before
            assert (await honest.get("/sign-in")).status == 200
        took_s = time.monotonic() - started
        answered = served
        reading.cancel()
    allowed = pace.each_burst + pace.each_per_s * took_s
    print(
        f"p95 {quiet_ms:.1f} ms quiet, {attacked_ms:.1f} ms while 64 connections ask for {path}; "
        f"{answered} answers in {took_s:.1f} s"
    )
    assert answered <= 1.2 * allowed


async def test_however_many_connections_ask_a_source_is_answered_at_its_pace(api: ApiClient):
    pace = Pace(burst=5.0, per_s=20.0, each_burst=5.0, each_per_s=10.0)
    answered, started = 0, time.monotonic()
    api.server.app[GUARD].strangers = Turnstile(pace)
    async with strangers(api, "/sign-in", 64) as process, asyncio.timeout(PATIENCE_S):
        assert process.stdout is not None
        while answered < 10:
            assert await process.stdout.readline() == b"200\n"
            answered += 1
        # a new connection does not stand behind those
        async with visitor(api) as honest:
            assert (await honest.get("/sign-in")).status == 200
        took_s = time.monotonic() - started
        waiting = api.server.app[GUARD].strangers.waiting
    print(f"{answered} answers in {took_s:.1f} s, {waiting} requests wait")
    assert answered <= pace.each_burst + 1 + pace.each_per_s * took_s


async def waiting_stranger(api: ApiClient, group: asyncio.TaskGroup) -> asyncio.Task[int]:
    """Use up what strangers have, and return another one's request, which waits."""

    async def ask() -> int:
        # on a connection of its own: the API's knows its password
        async with visitor(api) as stranger:
            return (await stranger.get("/health/live")).status

    guard = api.server.app[GUARD]
    turnstile = guard.strangers = guard.regulars = Turnstile(CLOSED)
    async with asyncio.timeout(PATIENCE_S):
        while not turnstile.waiting:
            last = group.create_task(ask())
            while not (last.done() or turnstile.waiting):  # noqa: ASYNC110 - nothing tells that a request waits
                await asyncio.sleep(0.005)
    return last


async def test_who_has_proven_a_user_goes_first_on_every_route(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser, asyncio.TaskGroup() as group:
        assert (await api.call("GET", "nodes"))[0] == 200
        last = await waiting_stranger(api, group)
        async with asyncio.timeout(PATIENCE_S):
            for path in ("/", "/nodes", "/static/certcast.css", "/nowhere"):
                assert (await browser.get(path)).status in {200, 404}
            for path in ("nodes", "certificates"):
                assert (await api.call("GET", path))[0] == 200
        assert not last.done()
        last.cancel()


async def test_where_a_user_was_proven_lately_who_comes_anew_waits_for_no_stranger(
    api: ApiClient, monkeypatch
):
    guard = api.server.app[GUARD]
    known = guard.known
    waited: list[str] = []

    def noted(name: str, really: Callable[..., asyncio.Future[bool]]) -> Callable[..., asyncio.Future[bool]]:
        def ask(owner: str, **how: Any) -> asyncio.Future[bool]:
            waited.append(name)
            return really(owner, **how)

        return ask

    async def look() -> bool:
        waited.clear()
        async with visitor(api) as anew:
            assert (await anew.get("/sign-in")).status == 200
        assert len(set(waited)) == 1
        return waited[0] == "regulars"

    for name in ("strangers", "regulars"):
        turnstile = getattr(guard, name)
        monkeypatch.setattr(turnstile, "ask", noted(name, turnstile.ask))
    wrong = aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], "wrong")
    async with api.session.get(f"{api.url}{ROOT}/nodes", headers={hdrs.AUTHORIZATION: wrong}) as answer:
        assert answer.status == 401
    assert not await look()
    assert (await api.call("GET", "nodes"))[0] == 200
    assert await look()
    assert [known.has_proven(source) for source in ("127.0.0.1", "127.0.0.2", UNKNOWN)] == [
        True,
        False,
        False,
    ]
    monkeypatch.setattr(heads, "REGULAR_S", 0.0)
    assert not await look()


async def test_a_stranger_that_goes_away_waits_no_longer(api: ApiClient):
    async with asyncio.TaskGroup() as group:
        last = await waiting_stranger(api, group)
        turnstile = api.server.app[GUARD].strangers
        last.cancel()
        async with asyncio.timeout(PATIENCE_S):
            while turnstile.waiting:  # noqa: ASYNC110 - nothing tells that a connection has ended
                await asyncio.sleep(0.005)


async def test_a_browser_that_was_never_here_loads_a_page_and_all_its_files_at_once(api: ApiClient):
    turnstile = api.server.app[GUARD].strangers
    async with visitor(api) as browser:
        page = await browser.get("/sign-in")
        files = [text.partition('"')[0] for text in page.html.split('="/static/')[1:]]
        assert len(files) > 4
        found = await asyncio.gather(
            *(api.session.get(f"{api.url}/static/{file}") for file in [*files, *files])
        )
    assert {answer.status for answer in found} == {200}
    assert turnstile.waiting == 0


async def test_more_cookies_than_browsers_keep_are_refused_and_not_read(api: ApiClient):
    for cookies in (COOKIES, "c=" + "x" * COOKIES_MAX_BYTES):
        with watching() as watchdog:
            found = await flood(api.server.port, head(Cookie=cookies), b"", most=1)
        print(watchdog.report())
        assert (found.status, found.closed) == (431, True)
        assert b"cookies" in found.answer
    most = "; ".join(f"c{number}=x" for number in range(COOKIES_MAX))
    assert (await flood(api.server.port, head(Cookie=most, Connection="close"), b"", most=1)).status == 200


async def test_a_long_content_type_is_refused_and_not_read(api: ApiClient, monkeypatch):
    read: list[str] = []
    really = aiohttp.helpers.parse_content_type

    def parse(raw: str) -> Any:
        read.append(raw)
        return really(raw)

    monkeypatch.setattr("aiohttp.helpers.parse_content_type", parse)
    for path in ("/sign-in", "/set-up/x", "/oauth/token/", "/api/admin/configuration/v1/ca_certificate/"):
        for kind in ("x/y;" + '"' * 8_000, "x/y;" + ";" * 8_000, "x/y;" + 'a="";' * 2_000):
            sent = head(f"POST {path}", Content_Type=kind, Content_Length="0")
            found = await flood(api.server.port, sent, b"", most=1)
            assert (found.status, found.closed) == (431, True), path
            assert b"Content-Type" in found.answer
    assert read == []
    longest = f"multipart/form-data; boundary={'b' * 70}"
    sent = head("POST /sign-in", Content_Type=longest, Content_Length="0", Connection="close")
    assert (await flood(api.server.port, sent, b"", most=1)).status != 431


async def test_a_stranger_with_cookies_is_answered_as_cheaply_as_one_without(api: ApiClient, monkeypatch):
    monkeypatch.setattr("aiohttp.web_request.parse_cookie_header", _fail)
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        for path in ("/", "/sign-in", "/nowhere"):
            assert (await browser.get(path)).status in {200, 404}


def _fail(_header: str) -> None:
    raise AssertionError("all cookies were read")


def head(asks: str = "GET /sign-in", **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"{asks} HTTP/1.1", "Host: m", *lines, "", ""]).encode()


async def test_a_head_without_end_is_cut_off_after_a_few_fields(api: ApiClient):
    begin = b"GET /sign-in HTTP/1.1\r\nHost: m\r\n"
    field = b"X-Field: " + b"x" * 15_000 + b"\r\n"
    # as many fields as are allowed, each as long as is allowed, took 2 MiB for each connection
    found = await flood(api.server.port, begin, field, most=100 * len(field))
    print(f"{found.taken} bytes were taken by the sockets and the manager")
    assert found.closed
    assert api.server.seats.refused[TALKATIVE] == 1


@pytest.mark.parametrize(
    ("begin", "rest"),
    [
        (b"1\r\n \r\n1;", b"x" * 65536),
        (b"", b"1;" + b"x" * 1000 + b"\r\n \r\n"),
        (b"1\r\n \r\n0\r\n", b"x: y\r\n" * 8192),
    ],
    ids=["an endless extension", "long extensions", "trailers"],
)
async def test_what_stands_between_chunks_is_bounded_by_its_size(
    api: ApiClient, begin: bytes, rest: bytes, monkeypatch
):
    monkeypatch.setattr(bodies, "GRACE_S", 10 * PATIENCE_S)
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 10 * PATIENCE_S)
    lines = [
        f"POST {ROOT}/import HTTP/1.1",
        "Host: m",
        f"{hdrs.AUTHORIZATION}: {ADMIN}",
        "Transfer-Encoding: chunked",
        "",
        "",
    ]
    found = await flood(api.server.port, "\r\n".join(lines).encode() + begin, rest, most=2**50)
    print(f"{found.taken} bytes were taken by the sockets and the manager, {UNASKED_MAX_BYTES} are allowed")
    assert found.closed
    assert found.taken < UNASKED_MAX_BYTES + SOCKET_BYTES


async def test_a_request_that_waits_for_its_turn_gives_its_place_to_a_newcomer(api: ApiClient):
    seats = api.server.seats
    async with asyncio.TaskGroup() as group:
        last = await waiting_stranger(api, group)
        yielding = [place.yields_at_s for place in seats._connections._held]
        assert any(at_s <= asyncio.get_running_loop().time() for at_s in yielding)
        last.cancel()


def test_a_guess_at_a_password_takes_a_third_of_the_memory_that_all_attacks_may_take():
    made = extract_parameters(new_hasher().hash("x" * 20))
    print(f"{made.memory_cost} KiB, {made.time_cost} rounds, {made.parallelism} threads")
    assert 19 * 1024 <= made.memory_cost < 22 * 1024
    assert made.time_cost >= 2
    assert made.parallelism == 1
