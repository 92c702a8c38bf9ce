"""HTTP-01 from end to end: a real manager's channel, agents as processes, and questions as a CA asks them."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.ids import NodeName
from common.wire.enrolment import EnrolRequest
from demo.site import free_port
from manager.domain.renewal.records import Proof
from manager.fleet.challenge_check import ChallengeChecker
from manager.store.inventory import Inventories
from manager.usecases.renewal.http01 import HttpShowing
from manager.usecases.renewal.ports import Missing
from nodeagent.channel.identity import Pin, ensure_key, save_pin
from tests.attacks.manager_parts import Manager, manager
from tests.integration.renewal.test_http01 import proof
from tests.patience import PATIENCE_S, ended

ADDRESSES = {"n1": "127.0.0.1", "n2": "127.0.0.2"}
SHARED = "conf.example.test"


class Site:
    """Two nodes that share a name, each with an agent of its own that answers on one port of the node's address."""

    def __init__(self, there: Manager, directory: Path) -> None:
        self.there = there
        self.directory = directory
        self.port = free_port()
        self.agents: dict[str, asyncio.subprocess.Process] = {}

        async def nobody() -> Mapping[NodeName, Sequence[str]]:
            return {}

        self.showing = HttpShowing(
            there.store.placed_challenges,
            Inventories(there.store),
            there.fleet,
            checker=ChallengeChecker(http_port=self.port),
            expecting=nobody,
            placed=there.fleet.challenges.wake,
        )

    async def add(self, name: str, section: str) -> None:
        """Add a node that has joined, with this in its services file."""
        address = ADDRESSES[name]
        record = await self.there.store.nodes.add(
            NodeName(name),
            "node",
            names=[SHARED, f"{name}.example.test"],
            addresses=[address],
            now_s=time.time(),
        )
        self.there.fleet.node_added(record)
        home = self.directory / name
        key = ensure_key(home / "data")
        request = EnrolRequest(node=name, agent_version="0", secret=await self.there.token(name))
        assert (await self.there.ask(key, request)).ok
        save_pin(
            home / "data", Pin(node=name, addresses=[self.there.address], host_keys=[self.there.host_line])
        )
        (home / "services.toml").write_text(section.format(address=address, port=self.port, home=home))
        await self.start(name)

    async def start(self, name: str) -> None:
        home = self.directory / name
        with (home / "log").open("ab") as log:
            self.agents[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nodeagent", "run", "--health", "127.0.0.1:0"),
                *("--data", str(home / "data"), "--services", str(home / "services.toml")),
                stderr=log,
            )

    async def kill(self, name: str) -> None:
        process = self.agents.pop(name)
        process.kill()
        await ended(process)

    async def until_missing(self, proofs: Sequence[Proof], *where: str) -> Sequence[Missing]:
        """Look until these nodes alone do not show the proofs; return what is said of them."""
        found: Sequence[Missing] = []

        async def are_these() -> bool:
            nonlocal found
            found = await self.showing.missing(proofs)
            return {each.where.split("'")[1] for each in found} == set(where)

        await until(are_these, lambda: str(found))
        return found

    async def until_said(self, proofs: Sequence[Proof], text: str) -> None:
        """Look until this is said of every one that is missing, and some are."""
        found: Sequence[Missing] = []

        async def is_said() -> bool:
            nonlocal found
            found = await self.showing.missing(proofs)
            return bool(found) and all(text in each.message for each in found)

        await until(is_said, lambda: str(found))


async def until(fact: Callable[[], Awaitable[bool]], tell: Callable[[], str]) -> None:
    """Look on until something is so; `tell` says what was seen last."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not await fact():  # noqa: ASYNC110 - looks on, as a CA would
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(tell()) from None


@asynccontextmanager
async def site(directory: Path) -> AsyncIterator[Site]:
    async with manager(directory / "manager") as there:
        made = Site(there, directory)
        try:
            yield made
        finally:
            for name in list(made.agents):
                await made.kill(name)


LISTEN = '[challenges]\nlisten = "{address}:{port}"\n'


async def test_every_node_of_a_shared_name_answers_and_one_that_is_killed_answers_again_when_it_is_back(
    tmp_path: Path,
):
    async with site(tmp_path) as there:
        for name in ADDRESSES:
            await there.add(name, LISTEN)
        proofs = [proof(SHARED), proof("n2.example.test")]
        await there.showing.place(proofs, until_s=time.time() + 3600)
        await there.until_missing(proofs)
        await there.kill("n2")
        found = await there.until_missing(proofs, "n2")
        assert "nobody answers at 127.0.0.2" in found[0].message
        await there.start("n2")
        await there.until_missing(proofs)
        await there.showing.remove(proofs)
        await there.until_said(proofs, "answers 404")


async def test_a_node_that_was_not_told_how_says_so_and_shows_them_once_its_file_is_read_again(
    tmp_path: Path,
):
    async with site(tmp_path) as there:
        await there.add("n1", "")
        proofs = [proof(SHARED)]
        await there.showing.place(proofs, until_s=time.time() + 3600)
        await there.until_said(proofs, "services file does not say")
        home = tmp_path / "n1"
        (home / "services.toml").write_text(LISTEN.format(address="127.0.0.1", port=there.port))
        there.agents["n1"].send_signal(1)
        await there.until_missing(proofs)
        assert proofs[0].response not in (home / "log").read_text()


@pytest.fixture
def shown() -> Iterator[Path]:
    """A directory for challenges that a web server of another account could enter."""
    directory = Path(tempfile.mkdtemp(prefix="certcast-shown-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


async def test_what_a_killed_agent_left_is_gone_once_it_is_back(tmp_path: Path, shown: Path):
    async with site(tmp_path) as there:
        await there.add("n1", f'[challenges]\ndirectory = "{shown}"\n')
        await there.showing.place([proof(SHARED)], until_s=time.time() + 3600)
        log = tmp_path / "n1/log"

        def names() -> list[str]:
            return sorted(each.name for each in shown.iterdir())

        async def is_shown() -> bool:
            return names() == [proof(SHARED).token]

        async def is_gone() -> bool:
            return names() == []

        await until(is_shown, log.read_text)
        await there.kill("n1")
        await there.showing.remove([proof(SHARED)])
        assert await is_shown()
        await there.start("n1")
        await until(is_gone, log.read_text)
