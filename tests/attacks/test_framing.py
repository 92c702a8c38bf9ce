"""Attacks by how a message is framed: what a proxy on the way may read otherwise than the manager does is refused, and ends the connection."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import hdrs

import manager
from demo.run import trusting
from manager.http.heads import ONCE
from manager.http.server import SECURITY_HEADERS
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.patience import PATIENCE_S

SMUGGLED = b"GET /health/live HTTP/1.1\r\nHost: m\r\n\r\n"
"""What a second request looks like to who takes the first one to be over."""


NAMED = {"_OVERRIDE": "X-HTTP-Method-Override"}
"""Names of fields that the code has in constants of its own."""


@pytest.fixture
async def api(tmp_path):
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        yield client


@dataclass(frozen=True)
class Said:
    answers: bytes

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", self.answers)]


async def said_to(api: ApiClient, sent: bytes) -> Said:
    """Send this and return all that is answered until the manager closes the connection."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", api.server.port, ssl=trusting(), server_hostname=""
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(sent)
            return Said(await reader.read())
    finally:
        writer.transport.abort()


def posted(*fields: str, version: str = "1.1", body: bytes = b"0\r\n\r\n") -> bytes:
    lines = [f"POST /sign-in HTTP/{version}", "Host: m", *fields, "", ""]
    return "\r\n".join(lines).encode() + body + SMUGGLED


CODINGS = [
    "gzip, chunked",
    "gzip,chunked",
    "deflate, gzip, chunked",
    "identity, chunked",
    "x-certcast, chunked",
    ", chunked",
    "chunked ;q=1",
    "chunked, chunked",
    "chunked, gzip",
    "chunked,",
    "identity",
    "gzip",
    "xchunked",
    "\x0bchunked",
]


@pytest.mark.parametrize("coding", CODINGS)
async def test_a_transfer_coding_other_than_chunked_is_refused_and_nothing_after_it_is_read(
    api: ApiClient, coding: str
):
    said = await said_to(api, posted(f"Transfer-Encoding: {coding}"))
    print(f"{coding!r}: {said.statuses}")
    assert len(said.statuses) == 1
    assert said.statuses[0] in {400, 501}


@pytest.mark.parametrize(
    "fields",
    [
        ("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 5"),
        ("Content-Length: 5", "Transfer-Encoding: gzip, chunked"),
        ("Content-Length: 5", "Content-Length: 5"),
        ("Content-Length: +5",),
    ],
)
async def test_a_length_that_is_said_in_two_ways_is_refused(api: ApiClient, fields: tuple[str, ...]):
    said = await said_to(api, posted(*fields))
    assert said.statuses in ([400], [501])


@pytest.mark.parametrize("version", ["0.9", "2.0"])
@pytest.mark.parametrize("field", ["Content-Length: 0", "Transfer-Encoding: chunked"])
async def test_versions_that_are_not_spoken_are_refused_in_one_that_is(
    api: ApiClient, version: str, field: str
):
    body = b"" if "Length" in field else b"0\r\n\r\n"
    said = await said_to(api, posted(field, version=version, body=body))
    print(f"HTTP/{version}, {field}: {said.statuses}")
    assert said.statuses in ([505], [400])


async def test_a_request_without_a_version_is_refused_in_one_that_is_spoken(api: ApiClient):
    said = await said_to(api, b"GET /health/live\r\n\r\n")
    assert said.statuses == [505]
    assert all(name.encode() in said.answers for name in SECURITY_HEADERS)


async def test_http_1_0_has_no_transfer_coding(api: ApiClient):
    assert (await said_to(api, posted("Transfer-Encoding: chunked", version="1.0"))).statuses == [400]
    plain = await said_to(api, b"GET /health/live HTTP/1.0\r\n\r\n")
    assert plain.statuses == [200]


async def test_chunked_is_understood_in_any_case(api: ApiClient):
    head = "PATCH /health/live HTTP/1.1\r\nHost: m\r\nConnection: close\r\nTransfer-Encoding: ChunKed\r\n\r\n"
    assert (await said_to(api, head.encode() + b"0\r\n\r\n")).statuses == [405]


def headers_read() -> set[str]:
    """Return the names of all fields of a head of which one value is read, from the code that reads them."""
    found = set()
    for path in Path(manager.__file__).parent.rglob("*.py"):
        for name in re.findall(r"request\.headers(?:\.get\(|\[)\s*([\w.]+|\"[^\"]+\")", path.read_text()):
            known = getattr(hdrs, name.removeprefix("hdrs."), None) if name.startswith("hdrs.") else None
            found.add(str(known or NAMED.get(name) or name.strip('"')))
    return found


def test_every_field_that_is_read_once_may_be_there_once():
    assert headers_read() == set(ONCE)


@pytest.mark.parametrize("name", ONCE)
async def test_a_field_that_has_one_value_is_refused_when_it_is_there_twice(api: ApiClient, name: str):
    fields = [
        f"{name}: {api.session.headers.get(name, 'x')}",
        f"{name.lower()}: y",
    ]
    for each in (fields, fields[::-1]):
        lines = ["GET /api/certcast/v1/nodes HTTP/1.1", "Host: m", *each, "", ""]
        said = await said_to(api, "\r\n".join(lines).encode() + SMUGGLED)
        assert said.statuses == [400]
