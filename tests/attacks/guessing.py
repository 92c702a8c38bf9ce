"""Clients that sign in, rightly and by guesses, and how long they wait."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from demo.run import trusting
from tests.patience import PATIENCE_S

ROUNDS = 20


class Answers(list[Any]):
    """What guesses were answered, and a way to wait for some."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Event]] = []

    def add(self, answer: Any) -> None:
        self.append(answer)
        for is_so, event in self._waiting:
            if is_so():
                event.set()

    async def until(self, is_so: Callable[[], bool]) -> None:
        event = asyncio.Event()
        self._waiting.append((is_so, event))
        async with asyncio.timeout(PATIENCE_S):
            await event.wait()


@asynccontextmanager
async def guessing(guess: Callable[[int], Awaitable[Any]], *, guessers: int = 8) -> AsyncIterator[Answers]:
    """Guess without a pause within the block, and a few times before it begins."""
    answers = Answers()

    async def go_on(number: int) -> None:
        while True:
            # a connection that the manager ends is as good an answer as any
            with suppress(aiohttp.ClientError, OSError):
                answers.add(await guess(number))
            number += guessers

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(go_on(number)) for number in range(guessers)]
        await answers.until(lambda: len(answers) >= 2 * guessers)
        yield answers
        for task in tasks:
            task.cancel()


@asynccontextmanager
async def client(address: str = "127.0.0.1", **options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    tls = trusting()
    connector = aiohttp.TCPConnector(ssl=tls, local_addr=(address, 0), limit=0)
    async with aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.CookieJar(unsafe=True), **options
    ) as session:
        yield session


async def status(session: aiohttp.ClientSession, url: str, **headers: str) -> int:
    async with session.get(url, headers=headers) as answer:
        await answer.read()
        return answer.status


async def timed(call: Callable[[], Awaitable[int]], *, rounds: int = ROUNDS) -> tuple[Counter[int], float]:
    """Return the answers, and the time in milliseconds that 95 of 100 took at most."""
    times, answers = [], Counter[int]()
    for _ in range(rounds):
        started = time.monotonic()
        answers[await call()] += 1
        times.append((time.monotonic() - started) * 1000)
    return answers, sorted(times)[int(rounds * 0.95)]


def basic(name: str, password: str) -> str:
    return aiohttp.encode_basic_auth(name, password)
