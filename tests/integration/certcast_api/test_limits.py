import asyncio
from pathlib import Path

import aiohttp
import pytest
import structlog
from structlog.testing import capture_logs

from common.api.codes import Role
from common.errors import Reason, StorageError
from demo.run import trusting
from manager.api import fleet as subject
from manager.api.app import ROOT
from manager.http import streams
from manager.usecases.throttle import FREE_FAILURES
from manager.usecases.workers import Workers
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.patience import PATIENCE_S

AUTH = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)}


@pytest.fixture
async def api(tmp_path: Path):
    # never used here, so no process is started
    async with Workers() as workers, real_api(tmp_path, workers) as client:
        yield client


def own(api: ApiClient) -> str:
    return api.url.removeprefix("https://")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "push"), ("DELETE", "users/readonly"), ("POST", "tokens")]
)
async def test_a_page_of_another_site_changes_nothing_with_remembered_credentials(
    api: ApiClient, method: str, path: str, headers: dict[str, str]
):
    status, answer = await api.call(method, path, {"label": "x"}, headers=headers)
    assert (status, answer["error"]["reason"]) == (403, "forbidden")
    assert len(await api.use_cases.users.list()) == len(Role)


async def test_our_own_pages_and_programs_may_change_things(api: ApiClient):
    for headers in ({}, {"Origin": f"https://{own(api)}", "Sec-Fetch-Site": "same-origin"}):
        assert (await api.call("POST", "push", {"nodes": []}, headers=headers))[0] == 200
    assert (await api.call("GET", "fleet", headers={"Sec-Fetch-Site": "cross-site"}))[0] == 200


async def test_a_method_that_is_not_offered_is_told_which_are(api: ApiClient):
    async with api.session.patch(f"{api.url}{ROOT}/trusted-cas", headers=AUTH) as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(",")) == {"GET", "HEAD", "POST"}
        assert (await answer.json())["error"]["reason"] == "invalid"
    assert (await api.call("GET", "nothing"))[0] == 404


async def test_who_failed_too_often_is_told_when_to_try_again(api: ApiClient):
    wrong = {"Authorization": aiohttp.encode_basic_auth("nobody", "wrong-password-000")}
    for _ in range(FREE_FAILURES):
        await api.call("GET", "whoami", role=None, headers=wrong)
    async with api.session.get(f"{api.url}{ROOT}/whoami", headers=wrong) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        assert "try again in 1 s" in (await answer.json())["error"]["message"]


async def test_a_client_that_leaves_in_the_middle_is_no_failure_of_ours(api: ApiClient):
    context = trusting()
    host, port = own(api).split(":")
    with structlog.testing.capture_logs() as lines:
        _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        head = f"POST {ROOT}/push HTTP/1.1\r\nHost: m\r\nAuthorization: {AUTH['Authorization']}\r\nContent-Length: 99\r\n\r\n"
        writer.write(head.encode() + b'{"nodes"')
        await writer.drain()
        # the server has seen the head, and waits for the rest
        await api.call("GET", "whoami")
        writer.transport.abort()
        await api.call("GET", "whoami")
    assert [line for line in lines if line["event"] == "http.request_failed"] == []


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StorageError("the disk is full", reason=Reason.NO_SPACE), 507),
        (StorageError("the store failed"), 503),
        (RuntimeError("words of a foreign library, which may quote a secret"), 500),
    ],
)
async def test_our_own_failures_say_so_and_no_more(
    api: ApiClient, monkeypatch, error: Exception, status: int
):
    async def fail(query):
        raise error

    monkeypatch.setattr(api.use_cases.certificates, "list", fail)
    with structlog.testing.capture_logs() as lines:
        seen, answer = await api.call("GET", "certificates")
    assert seen == status
    assert "foreign" not in answer["error"]["message"]
    assert [line["event"] for line in lines] == ["http.request_failed"]


async def test_watchers_are_few(api: ApiClient, monkeypatch):
    monkeypatch.setattr(streams, "STREAMS_MAX", 1)
    async with api.session.get(f"{api.url}{ROOT}/events", headers=AUTH) as first:
        assert await first.content.readline() == b": listening\n"
        assert (await api.call("GET", "events"))[0] == 503
    first.close()


async def test_the_head_of_a_stream_is_answered_without_one(api: ApiClient, monkeypatch):
    monkeypatch.setattr(streams, "STREAMS_PER_USER", 0)
    async with api.session.head(f"{api.url}{ROOT}/events", headers=AUTH) as head:
        assert (head.status, head.content_type) == (200, "text/event-stream")
    async with api.session.get(f"{api.url}{ROOT}/events", headers=AUTH) as whole:
        assert whole.status == 503


async def test_one_user_leaves_streams_for_the_others(api: ApiClient, monkeypatch):
    monkeypatch.setattr("manager.http.streams.STREAMS_PER_USER", 1)
    async with api.session.get(f"{api.url}{ROOT}/events", headers=AUTH) as first:
        assert await first.content.readline() == b": listening\n"
        status, answer = await api.call("GET", "events")
        assert (status, "'administrator' has 1 streams" in answer["error"]["message"]) == (503, True)
        other = {"Authorization": aiohttp.encode_basic_auth(USERS[Role.READ_ONLY], PASSWORD)}
        async with api.session.get(f"{api.url}{ROOT}/events", headers=other) as second:
            assert second.status == 200
    first.close()


async def test_streams_whose_watchers_have_gone_keep_nobody_from_watching(api: ApiClient, monkeypatch):
    monkeypatch.setattr(streams, "STREAMS_PER_USER", 2)
    for _ in range(4):
        both = [await api.session.get(f"{api.url}{ROOT}/events", headers=AUTH) for _ in range(2)]
        assert [answer.status for answer in both] == [200, 200]
        with capture_logs() as lines:
            assert (await api.call("GET", "events"))[0] == 503
        assert lines == []
        open_before = len(api.server.seats)
        for answer in both:
            # as a browser leaves a page
            answer.close()
        async with asyncio.timeout(PATIENCE_S):
            while len(api.server.seats) > open_before - 2:  # noqa: ASYNC110 - the end of a connection has no event
                await asyncio.sleep(0.01)


async def test_a_stream_is_kept_alive_and_ends_after_its_time(api: ApiClient, monkeypatch):
    monkeypatch.setattr(subject, "HEARTBEAT_S", 0.01)
    monkeypatch.setattr(streams, "STREAM_S", 0.2)
    async with (
        asyncio.timeout(PATIENCE_S),
        api.session.get(f"{api.url}{ROOT}/events", headers=AUTH) as stream,
    ):
        said = await stream.content.read()
    assert said.startswith(b": listening\n\n: still here\n\n")


async def test_closing_the_endpoint_ends_streams_cleanly_and_at_once(api: ApiClient):
    async with api.session.get(f"{api.url}{ROOT}/events", headers=AUTH) as stream:
        await stream.content.readline()
        async with asyncio.timeout(PATIENCE_S):
            await api.server.close()
            # a clean end: a cut connection would raise ClientPayloadError
            assert await stream.content.read() == b"\n"


async def test_a_watcher_that_does_not_read_is_dropped(api: ApiClient, monkeypatch):
    monkeypatch.setattr(streams, "WRITE_S", 0.2)
    taken = []

    class Flood:
        mark, gone = "", ()

        async def take(self, timeout_s: float) -> list[str]:
            taken.append(1)
            return ["x" * 4_000_000]

    class Subscribed:
        def __enter__(self) -> Flood:
            return Flood()

        def __exit__(self, *_: object) -> None:
            ended.set()

    ended = asyncio.Event()
    monkeypatch.setattr("manager.fleet.fleet.Fleet.subscribe", lambda *_: Subscribed())
    context = trusting()
    host, port = own(api).split(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, limit=1024)
    head = f"GET {ROOT}/events HTTP/1.1\r\nHost: m\r\nAuthorization: {AUTH['Authorization']}\r\n\r\n"
    writer.write(head.encode())
    async with asyncio.timeout(PATIENCE_S):
        await ended.wait()
    assert len(taken) < 20
    writer.transport.abort()
