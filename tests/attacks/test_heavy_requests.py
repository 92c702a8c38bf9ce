"""Attacks by users: long queries, long lists, held bodies and answers that nobody reads."""

import asyncio
import contextlib
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import hdrs

from bench.catalogue import fill
from common.api.codes import Role
from common.ids import NodeName
from demo.run import trusting
from manager.api.app import ROOT
from manager.app import SWITCH_S
from manager.http import bodies, middleware
from manager.http.bodies import BODY_MAX_BYTES, POOLS
from manager.http.middleware import GUARD, HEAVY, REQUESTS
from manager.http.queueing import FairQueue, Limit
from manager.infinity_api.contract.filters import FILTERS_MAX
from manager.infinity_api.contract.query import ORDERS_MAX, PARAMETERS_MAX
from tests.attacks.flooding import flood, held_bytes
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.integration.infinity_api.platform import CERTIFICATES, Client
from tests.patience import PATIENCE_S

ADMIN = aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)


@pytest.fixture
async def api(tmp_path):
    async with real_api(tmp_path, InPlace()) as client:
        yield client


@pytest.mark.parametrize(
    "pairs",
    [
        [("order_by", "id")] * 700,
        [("order_by", "id")] * (ORDERS_MAX + 1),
        [(f"subject_name__{lookup}", "a") for lookup in ("contains", "icontains", "startswith")]
        + [(f"{name}__in", "1") for name in ("id", "serial_no", "issuer_name", "raw_issuer", "raw_subject")]
        + [(f"{name}__iexact", "1") for name in ("serial_no", "issuer_name", "raw_issuer", "raw_subject")]
        + [(f"{name}__endswith", "1") for name in ("serial_no", "issuer_name", "raw_issuer", "raw_subject")]
        + [(f"{name}__contains", "1") for name in ("serial_no", "issuer_name", "raw_issuer", "raw_subject")]
        + [(f"{name}__istartswith", "1") for name in ("serial_no", "issuer_name", "raw_issuer")],
        [("x", "")] * (PARAMETERS_MAX + 1),
    ],
    ids=["700 orders", "orders", "filters", "parameters"],
)
async def test_a_query_has_a_few_filters_and_orders_at_most(api: ApiClient, pairs):
    answer = await Client(api).call("GET", f"{CERTIFICATES}?{urlencode(pairs)}", role=Role.READ_ONLY)
    assert answer.status == 400
    assert "at most" in answer.error


async def test_what_a_query_may_have_is_answered(api: ApiClient):
    pairs = [("order_by", "id")] * ORDERS_MAX + [("subject_name__icontains", "a"), ("limit", "0")]
    assert len(pairs) < FILTERS_MAX
    answer = await Client(api).call("GET", f"{CERTIFICATES}?{urlencode(pairs)}", role=Role.READ_ONLY)
    assert answer.status == 200


async def test_one_user_with_much_to_do_waits_for_itself_and_keeps_nobody(api: ApiClient, monkeypatch):
    shared = api.server.app[GUARD]
    impatient = FairQueue(_hurried(REQUESTS))
    monkeypatch.setattr(shared, "requests", impatient)
    async with AsyncExitStack() as held:
        for _ in range(REQUESTS.each):
            await held.enter_async_context(impatient.take(USERS[Role.READ_ONLY]))
        for call in (
            api.session.get(f"{api.url}{ROOT}/nodes", headers=_as(Role.READ_ONLY)),
            api.session.get(f"{api.url}{CERTIFICATES}", headers=_as(Role.READ_ONLY)),
        ):
            async with call as answer:
                assert answer.status == 429
                assert int(answer.headers[hdrs.RETRY_AFTER]) >= 0
        assert (await api.call("GET", "nodes", role=Role.OPERATOR))[0] == 200
    assert (await api.call("GET", "nodes", role=Role.READ_ONLY))[0] == 200
    assert (impatient.taken, impatient.waiting) == (0, 0)


async def test_long_lists_and_uploads_take_turns_and_short_requests_do_not(api: ApiClient, monkeypatch):
    shared = api.server.app[GUARD]
    busy = FairQueue(_hurried(HEAVY))
    monkeypatch.setattr(shared, "heavy", busy)
    async with AsyncExitStack() as held:
        for owner in range(HEAVY.in_all):
            await held.enter_async_context(busy.take(f"other {owner}"))
        for method, path, body in (
            ("GET", "certificates?limit=10000", None),
            ("GET", "certificates/by-node", None),
            ("POST", "certificates", {"certificate": "x"}),
            ("POST", "trusted-cas", {"certificates": "x"}),
            ("POST", "certificates/download", {"ids": [1]}),
        ):
            status, answer = await api.call(method, path, body)
            assert (status, answer["error"]["reason"]) == (503, "busy"), path
        manager = Client(api)
        assert (await manager.call("GET", CERTIFICATES, params={"limit": "0"})).status == 503
        assert (await manager.call("GET", CERTIFICATES, params={"subject_name__regex": "a"})).status == 503
        assert (
            await manager.call("POST", CERTIFICATES, {"certificate": "x", "private_key": "x"})
        ).status == 503
        assert (await manager.call("GET", CERTIFICATES)).status == 200
        assert (await api.call("GET", "certificates"))[0] == 200
    assert (await api.call("GET", "certificates?limit=10000"))[0] == 200
    assert (busy.taken, busy.waiting) == (0, 0)


READER = """
import http.client, ssl, sys, threading
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
def read():
    connection = http.client.HTTPSConnection("127.0.0.1", int(sys.argv[1]), context=tls)
    while True:
        connection.request("GET", sys.argv[2], headers={"Authorization": sys.argv[3]})
        answer = connection.getresponse()
        while answer.read(65536):
            pass
        print(answer.status, flush=True)
for _ in range(6):
    threading.Thread(target=read).start()
"""


async def test_honest_users_are_served_while_a_reader_asks_for_all_there_is(tmp_path):
    async with real_api(tmp_path, InPlace(), watched=False) as api:
        await fill(api, 200, [NodeName("n1")])
        most = 0

        async def p95_ms() -> float:
            nonlocal most
            took = []
            for _ in range(60):
                begun = time.perf_counter()
                assert (await api.call("GET", "nodes", role=Role.OPERATOR))[0] == 200
                took.append(1000 * (time.perf_counter() - begun))
                most = max(most, api.server.app[GUARD].heavy.taken)
            return statistics.quantiles(took, n=20)[-1]

        await p95_ms()
        quiet_ms = await p95_ms()
        path = f"{CERTIFICATES}?limit=0&subject_name__iregex=n.*e&order_by=-subject_name"
        credentials = _as(Role.READ_ONLY)[hdrs.AUTHORIZATION]
        before_s = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        readers = await asyncio.create_subprocess_exec(
            sys.executable, "-c", READER, str(api.server.port), path, credentials, stdout=PIPE
        )
        try:
            assert readers.stdout is not None
            async with asyncio.timeout(PATIENCE_S):
                assert await readers.stdout.readline() == b"200\n"
                attacked_ms = await p95_ms()
        finally:
            readers.kill()
            await readers.wait()
            sys.setswitchinterval(before_s)
        # another program may have begun meanwhile
        quiet_ms = max(quiet_ms, await p95_ms())
        print(f"p95 {quiet_ms:.1f} ms quiet, {attacked_ms:.1f} ms beside six readers of long lists")
        assert most == HEAVY.each
        assert attacked_ms < 250 + 10 * quiet_ms


async def test_held_bodies_are_bounded_in_all_and_small_ones_pass(api: ApiClient, monkeypatch):
    # a body that is held must not end for having taken long, however loaded the machine is
    monkeypatch.setattr(bodies, "GRACE_S", 2 * PATIENCE_S)
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 2 * PATIENCE_S)
    shared = api.server.app[GUARD].bodies
    pools = tuple((size, FairQueue(_hurried(limit))) for size, limit in POOLS)
    monkeypatch.setattr(shared, "pools", pools)
    begin = (
        f"POST {ROOT}/import HTTP/1.1\r\nHost: m\r\nAuthorization: {ADMIN}\r\n"
        f"Content-Length: {BODY_MAX_BYTES}\r\n\r\n"
    ).encode()
    held = BODY_MAX_BYTES - 1024 * 1024
    async with asyncio.TaskGroup() as group:
        holding = group.create_task(flood(api.server.port, begin, b" " * 65536, most=held))
        async with asyncio.timeout(PATIENCE_S):
            while not held_bytes(shared):  # noqa: ASYNC110 - nothing tells that a body has begun
                await asyncio.sleep(0.01)
        refused = await flood(api.server.port, begin, b" " * 65536, most=BODY_MAX_BYTES)
        assert (refused.status, refused.closed) == (429, True)
        assert (await api.call("POST", "push", {"nodes": []}))[0] in {200, 400}
        print(f"{held_bytes(shared)} bytes are held, {sum(limit.in_all for _, limit in POOLS)} at most")
        assert held_bytes(shared) <= BODY_MAX_BYTES
        holding.cancel()
        # the client's thread ends when the manager does
        await api.server.close()


async def test_an_answer_that_nobody_reads_is_given_up(api: ApiClient, monkeypatch):
    monkeypatch.setattr(middleware, "WRITE_S", 0.1)
    monkeypatch.setattr(middleware, "WRITE_RATE_BYTES_S", 1e12)
    given_up, send = asyncio.Event(), middleware._send

    async def told(*args: object) -> None:
        await send(*args)
        given_up.set()

    monkeypatch.setattr(middleware, "_send", told)
    large = "x" * (32 * 1024 * 1024)
    monkeypatch.setattr("manager.api.reference._render", lambda *_args, **_options: large)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", api.server.port, ssl=trusting(), server_hostname="", limit=4096
    )
    try:
        writer.write(f"GET {ROOT}/docs HTTP/1.1\r\nHost: m\r\n\r\n".encode())
        await writer.drain()
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        taken = 0
        async with asyncio.timeout(PATIENCE_S):
            await given_up.wait()
            with contextlib.suppress(ConnectionError):
                while data := await reader.read(65536):
                    taken += len(data)
        print(f"{taken} of {len(large)} bytes were buffered")
        assert taken < len(large)
    finally:
        writer.transport.abort()


def _hurried(limit: Limit) -> Limit:
    """Return a limit under which nobody waits."""
    return replace(limit, wait_s=0)


def _as(role: Role) -> dict[str, str]:
    return {hdrs.AUTHORIZATION: aiohttp.encode_basic_auth(USERS[role], PASSWORD)}
