"""The part of an agent that shows challenges, on clocks that a test moves."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from common.challenge import PATH
from common.runtime.supervise import Supervisor
from common.wire.challenges import Challenge, Challenges, NotKept
from nodeagent.core.services import ChallengePlace
from nodeagent.install.challenges import ShownChallenges
from tests.patience import PATIENCE_S


class Clock:
    """Both clocks of an agent, which a test moves."""

    now_s = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now_s


class Agent:
    """The part of an agent that shows challenges, with what it says to its manager."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self.said: list[tuple[int, dict[str, str]]] = []
        self.news = asyncio.Event()
        self.shown = ShownChallenges(home / "data", say=self._say, clock=clock, monotonic=clock)

    def _say(self, challenges: Challenges, not_kept: Sequence[NotKept]) -> None:
        self.said.append((challenges.number, {each.token: each.message for each in not_kept}))
        self.news.set()

    async def show(self, number: int, tokens: Sequence[str], *, for_s: float = 3600.0) -> dict[str, str]:
        """Have this set shown; return the faults."""
        challenges = [Challenge(token=each, text=f"{each}.thumb", expires_in_s=for_s) for each in tokens]
        self.shown.show(Challenges(number=number, challenges=challenges))
        return await self.until(
            lambda: self.said[-1][1] if self.said and self.said[-1][0] == number else None
        )

    async def until(self, fact: Callable[[], dict[str, str] | None]) -> dict[str, str]:
        async with asyncio.timeout(PATIENCE_S):
            while (found := fact()) is None:
                self.news.clear()
                await self.news.wait()
            return found


@asynccontextmanager
async def running(home: Path, clock: Clock, place: ChallengePlace | None) -> AsyncIterator[Agent]:
    agent = Agent(home, clock)
    await agent.shown.begin()
    agent.shown.configure(place)
    async with Supervisor() as supervisor:
        supervisor.keep("challenges", agent.shown.run)
        yield agent


def files(home: Path) -> dict[str, str]:
    """Return what is there, without what the agent removes meanwhile."""
    found: dict[str, str] = {}
    directory = home / "challenges"
    for path in directory.iterdir() if directory.exists() else ():
        with suppress(FileNotFoundError):
            found[path.name] = path.read_text()
    return found


def in_files(home: Path) -> ChallengePlace:
    return ChallengePlace(directory=str(home / "challenges"))


ON_PORT = ChallengePlace(listen=("127.0.0.1", 0))


async def ask(address: tuple[str, int], request: bytes) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request)
        answer = await reader.read()
        writer.close()
        return answer


def get(token: str) -> bytes:
    return f"GET {PATH}{token} HTTP/1.1\r\nHost: conf.example.com\r\n\r\n".encode()


async def bound(agent: Agent) -> tuple[str, int]:
    """Wait for the port."""
    await so(lambda: agent.shown.bound is not None)
    assert agent.shown.bound is not None
    return agent.shown.bound


async def so(fact: Callable[[], object]) -> None:
    """Look on until something is so, as a web server or a CA would."""
    async with asyncio.timeout(PATIENCE_S):
        while not fact():  # noqa: ASYNC110 - neither a file nor a port has an event
            await asyncio.sleep(0.01)
