"""A connection that ends in the middle of an answer or a body: what there was of it is free at once, without a collection of garbage."""

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from demo.run import trusting
from manager.api.app import ROOT
from manager.domain.model import Role
from manager.http import bodies
from manager.http.long_answers import InPieces
from manager.http.middleware import GUARD
from tests.attacks.flooding import held_bytes
from tests.fakes.workers import InPlace
from tests.integration.api import PASSWORD, USERS, ApiClient, real_api
from tests.patience import PATIENCE_S

ADMIN = aiohttp.encode_basic_auth(USERS[Role.ADMINISTRATOR], PASSWORD)
MIB = 1024 * 1024
LONG_BYTES = 16 * MIB
COUNT = 3


@pytest.fixture
async def api(tmp_path, monkeypatch) -> AsyncIterator[ApiClient]:
    monkeypatch.setattr("manager.api.reference._render", lambda *_args, **_options: "x" * LONG_BYTES)
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        yield client


@pytest.fixture(autouse=True)
def _without_garbage_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@asynccontextmanager
async def connections(api: ApiClient, begin: str, body: bytes = b"") -> AsyncIterator[None]:
    """Have so many requests under way that are ended in the middle; nothing of their answers is read."""
    opened = []
    for _ in range(COUNT):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", api.server.port, ssl=trusting(), server_hostname="", limit=1024
        )
        writer.write(begin.encode() + body)
        await writer.drain()
        opened.append(writer)
    try:
        yield
    finally:
        for writer in opened:
            writer.transport.abort()


async def until(holds) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


@pytest.fixture
def answers(monkeypatch) -> weakref.WeakSet[InPieces]:
    """The long answers that there are. (What the collector knows is not looked at: tuples may be in the making in threads.)"""
    made, begin = weakref.WeakSet[InPieces](), InPieces.__init__

    def noted(self: InPieces, value: bytes) -> None:
        begin(self, value)
        made.add(self)

    monkeypatch.setattr(InPieces, "__init__", noted)
    return made


@pytest.mark.parametrize("credentials", ["", f"Authorization: {ADMIN}\r\n"], ids=["stranger", "user"])
async def test_a_long_answer_is_free_once_its_reader_is_gone(
    api: ApiClient, answers: weakref.WeakSet[InPieces], credentials: str
):
    async with connections(api, f"GET {ROOT}/docs HTTP/1.1\r\nHost: m\r\n{credentials}\r\n"):
        await until(lambda: len(answers) == COUNT)
    await until(lambda: not answers)


async def test_half_a_body_is_free_once_its_sender_is_gone(api: ApiClient, monkeypatch):
    monkeypatch.setattr(bodies, "GRACE_S", 2 * PATIENCE_S)
    monkeypatch.setattr(bodies, "BODY_TIMEOUT_S", 2 * PATIENCE_S)
    shared = api.server.app[GUARD].bodies
    begin = (
        f"POST {ROOT}/import HTTP/1.1\r\nHost: m\r\nAuthorization: {ADMIN}\r\n"
        f"Content-Length: {4 * MIB}\r\n\r\n"
    )
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]

        def taken() -> int:
            return tracemalloc.get_traced_memory()[0] - before

        async with connections(api, begin, b" " * (3 * MIB)):
            await until(lambda: taken() > COUNT * 3 * MIB)
            assert held_bytes(shared)
        await until(lambda: not held_bytes(shared) and taken() < 3 * MIB)
    finally:
        tracemalloc.stop()
