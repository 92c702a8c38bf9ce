"""Attacks by strangers who ask for what is long and public, and read nothing of it."""

import asyncio
import tracemalloc
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from demo.run import trusting
from manager.api.app import ROOT
from manager.domain.model import Role
from manager.http.long_answers import AT_ONCE, LongAnswers
from manager.http.middleware import GUARD, WRITE_RATE_BYTES_S, WRITE_S
from manager.http.turnstile import Pace
from tests.attacks.test_strangers_requests import CLOSED
from tests.fakes.workers import InPlace
from tests.integration.api import ApiClient, real_api
from tests.integration.web import visitor
from tests.patience import PATIENCE_S

READERS = 20
LONG = f"{ROOT}/docs"
LONG_BYTES = 16 * 1024 * 1024
"""More than the sockets of both sides take."""

HELD_S = WRITE_S + LONG_BYTES / WRITE_RATE_BYTES_S
AT_ANY_PACE = Pace(burst=1e6, per_s=1e6, each_burst=1e6, each_per_s=1e6)
UNREAD_MAX_BYTES = 400 * 1024
"""For each answer: a piece in each buffer on its way, on both sides, as both are in this process."""


@pytest.fixture
async def api(tmp_path, monkeypatch):
    monkeypatch.setattr("manager.api.reference._render", lambda *_args, **_options: "x" * LONG_BYTES)
    async with real_api(tmp_path, InPlace(), watched=False) as client:
        yield client


async def asked(api: ApiClient) -> tuple[StreamReader, StreamWriter]:
    """Ask for a long answer, of which nothing is read."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", api.server.port, ssl=trusting(), server_hostname="", limit=1024
    )
    writer.write(f"GET {LONG} HTTP/1.1\r\nHost: m\r\n\r\n".encode())
    return reader, writer


@asynccontextmanager
async def unread(api: ApiClient, count: int) -> AsyncIterator[None]:
    """Have so many long answers on their way or waiting for their turn."""
    guard = api.server.app[GUARD]
    held = [await asked(api) for _ in range(count)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            while guard.long_answers.turns._at_work + guard.long_answers.turns.waiting < count:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(0.01)
        yield
    finally:
        for _, writer in held:
            writer.transport.abort()


async def test_answers_that_nobody_reads_are_not_copied_into_memory(api: ApiClient):
    api.server.app[GUARD].long_answers = LongAnswers(AT_ANY_PACE, at_once=READERS)
    async with api.session.get(f"{api.url}{LONG}") as made:
        await made.read()
    tracemalloc.start()
    try:
        async with unread(api, READERS):
            each = tracemalloc.get_traced_memory()[0] / READERS
    finally:
        tracemalloc.stop()
    print(f"{each / 1024:.0f} KiB for each answer that is not read")
    assert each < UNREAD_MAX_BYTES


async def test_an_answer_that_a_stranger_does_not_read_keeps_no_place(api: ApiClient):
    async with unread(api, 2):
        assert all(
            place.yields_at_s <= asyncio.get_running_loop().time()
            for place in api.server.seats._connections._held
        )


async def test_few_long_answers_to_strangers_are_on_their_way_at_once_and_pages_do_not_wait_for_them(
    api: ApiClient, monkeypatch
):
    monkeypatch.setattr("manager.http.long_answers.UNREAD_S", PATIENCE_S)
    assert api.server.app[GUARD].long_answers.turns._at_once == AT_ONCE
    shared = api.server.app[GUARD].long_answers = LongAnswers(AT_ANY_PACE, at_once=2)
    long_answers = shared.turns
    async with unread(api, 5), visitor(api) as anew:
        assert (long_answers._at_work, long_answers.waiting) == (2, 3)
        async with asyncio.timeout(PATIENCE_S):
            assert (await anew.get("/sign-in")).status == 200
    # who goes away, on its way or before its turn, gives it back
    async with asyncio.timeout(PATIENCE_S):
        while long_answers._at_work or long_answers.waiting:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def test_readers_that_take_nothing_give_way_to_one_that_reads(api: ApiClient, monkeypatch):
    monkeypatch.setattr("manager.http.long_answers.UNREAD_S", 0.2)
    monkeypatch.setattr("manager.http.long_answers.UNREAD_CHECK_S", 0.05)
    shared = api.server.app[GUARD].long_answers = LongAnswers(AT_ANY_PACE, at_once=4)
    async with unread(api, 4), visitor(api) as anew, asyncio.timeout(PATIENCE_S):
        assert (shared.turns._at_work, shared.turns.waiting) == (4, 0)
        for _ in range(3):
            answer = await anew.get(LONG)
            assert (answer.status, len(answer.body)) == (200, LONG_BYTES)
    # without it, each holds its place for as long as a reader at the slowest pace may take
    print(f"three long answers were read past 4 readers that take nothing; else after {HELD_S:.0f} s")


async def test_readers_that_take_nothing_stay_as_long_as_nobody_waits(api: ApiClient, monkeypatch):
    monkeypatch.setattr("manager.http.long_answers.UNREAD_S", 0.0)
    monkeypatch.setattr("manager.http.long_answers.UNREAD_CHECK_S", 0.01)
    shared = api.server.app[GUARD].long_answers = LongAnswers(AT_ANY_PACE, at_once=3)
    async with unread(api, 2), visitor(api) as anew, asyncio.timeout(PATIENCE_S):
        assert len((await anew.get(LONG)).body) == LONG_BYTES
        assert shared.turns._at_work == 2


async def test_a_user_does_not_wait_for_long_answers_to_strangers(api: ApiClient):
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        api.server.app[GUARD].long_answers = LongAnswers(CLOSED, at_once=0)
        async with asyncio.timeout(PATIENCE_S):
            assert (await browser.get(LONG)).status == 200
