"""Challenges as the recipes have them: nginx serves the agent's directory, and HAProxy leads to the agent's own port."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from demo.site import free_port
from manager.fleet.challenge_check import ChallengeChecker, CheckResult
from nodeagent import recipes
from nodeagent.core.services import ChallengePlace
from tests.integration.nodeagent.challenge_parts import Clock, bound, running
from tests.patience import PATIENCE_S, ended
from tests.system.recipe_services import HAPROXY_HEAD, NGINX_HEAD, open_directory

NAME = "conf.example.com"

NGINX = (
    NGINX_HEAD
    + """\
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""
)

HAPROXY = (
    HAPROXY_HEAD
    + """\
frontend plain
    bind 127.0.0.1:{port}
    {use}
backend challenges
    {server}
"""
)


def line_of(recipe: str, begins: str) -> str:
    """A line of a recipe's advice, without its '#'."""
    lines = [line.removeprefix("#").strip() for line in recipes.read(recipe).splitlines()]
    return next(line for line in lines if line.startswith(begins))


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that services' own accounts can enter."""
    directory = open_directory()
    (directory / "data").mkdir(mode=0o700)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@asynccontextmanager
async def started(*argv: str) -> AsyncIterator[None]:
    process = await asyncio.create_subprocess_exec(*argv)
    try:
        yield
    finally:
        process.terminate()
        await ended(process)


async def asked_until_right(port: int, token: str) -> CheckResult:
    """Ask until the server has started and the answer is right; return the last answer."""
    async with asyncio.timeout(PATIENCE_S):
        while (asked := await asked_once(port, token)).kind != "right":  # noqa: ASYNC110 - a program has no event
            await asyncio.sleep(0.05)
    return asked


async def asked_once(port: int, token: str) -> CheckResult:
    async with ChallengeChecker(http_port=port).open() as check:
        return await check("127.0.0.1", NAME, token, f"{token}.thumb")


@pytest.mark.services("root", "nginx")
async def test_nginx_set_up_by_its_recipe_shows_what_the_manager_wants_to_be_shown(place: Path):
    port = free_port()
    challenges = place / "challenges"
    location = line_of("nginx", "location ").replace("/var/lib/certcast/challenges", str(challenges))
    configuration = place / "nginx.conf"
    configuration.write_text(NGINX.format(directory=place, port=port, location=location))
    async with (
        running(place, Clock(), ChallengePlace(directory=str(challenges))) as agent,
        started("nginx", "-e", "stderr", "-c", str(configuration)),
    ):
        assert await agent.show(1, ["a", "b"]) == {}
        assert (await asked_until_right(port, "a")).kind == "right"
        assert (await asked_once(port, "b")).kind == "right"
        await agent.show(2, ["b"])
        assert "answers 404" in (await asked_once(port, "a")).message
        assert (await asked_once(port, "b")).kind == "right"


@pytest.mark.services("root", "haproxy")
async def test_haproxy_set_up_by_its_recipe_shows_what_the_manager_wants_to_be_shown(place: Path):
    port = free_port()
    async with running(place, Clock(), ChallengePlace(listen=("127.0.0.1", 0))) as agent:
        own = "{}:{}".format(*await bound(agent))
        configuration = place / "haproxy.cfg"
        configuration.write_text(
            HAPROXY.format(
                port=port,
                use=line_of("haproxy", "use_backend "),
                server=line_of("haproxy", "server ").replace("127.0.0.1:9480", own),
            )
        )
        async with started("haproxy", "-db", "-f", str(configuration)):
            assert await agent.show(1, ["a"]) == {}
            assert (await asked_until_right(port, "a")).kind == "right"
            await agent.show(2, [])
            assert "answers 404" in (await asked_once(port, "a")).message
