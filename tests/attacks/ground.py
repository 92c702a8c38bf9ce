"""A manager in a process of its own with few descriptors, an honest node, honest questions, and attackers in another process.

Everything is seen from outside: memory and CPU from /proc, the log from its file, latency from here. Attackers have addresses of the
loopback network that no node has; the honest ones are at 127.0.0.1.
"""

import asyncio
import os
import resource
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import asyncssh
import pytest
import pytest_asyncio

from common.ids import NodeName
from common.runtime.ssh import fingerprint, generate_key, load_key
from common.wire.enrolment import EnrolRequest, decode_token
from demo.run import Api, ready, trusting
from demo.site import BIN, PASSWORD, Site
from nodeagent.channel.dial import connect
from nodeagent.channel.identity import Identity
from nodeagent.channel.join import ask
from tests.attacks.times import Times, is_bearable, print_times, timed
from tests.fakes.simulator import NodeSimulator
from tests.newcomers import newcomer
from tests.patience import PATIENCE_S, ended
from tests.sites import CopyingSite

ROOT = Path(__file__).parents[2]
MIB = 1024 * 1024
MEMORY_MAX_BYTES = 64 * MIB
LOG_MAX_BYTES = MIB // 8
"""Without a guard one of these attacks writes from 190 KiB to 48 MiB in the same time."""

CONNECTION_MAX_BYTES = 160 * 1024
WARM_BYTES = 8 * MIB
"""What a first attack leaves in use: code that was not loaded yet, tables of who came."""
GIVEN_BACK_S = 30.0


class LimitedSite(CopyingSite):
    """A manager that may have so many descriptors, however many this process has."""

    def __init__(self, descriptors: int) -> None:
        super().__init__()
        self.descriptors = descriptors

    async def serve(self) -> Process:
        with (self.directory / "manager.log").open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                *("prlimit", f"--nofile={self.descriptors}:{self.descriptors}"),
                *(BIN / "certcast-manager", "serve", "--data", str(self.data)),
                *("--https", f"127.0.0.1:{self.https}", "--ssh", f"127.0.0.1:{self.ssh}"),
                stdin=DEVNULL,
                stdout=out,
                stderr=out,
                env=self.environment,
            )
        self.processes["manager.log"] = process
        return process


STRANGERS = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.services("root", "prlimit")]
"""Marks of a module that has one ground: the manager is a private process, so that only root may count its descriptors."""


class Ground:
    """A manager that is attacked, and `beside` it another that is not: a loaded machine delays both."""

    def __init__(self, site: LimitedSite, node: Identity, beside: "Ground | None") -> None:
        self.site = site
        self.beside = beside
        self.node = node
        self._began_s = 0.0
        self._newcomers = 0

    @property
    def _pid(self) -> int:
        return self.site.processes["manager.log"].pid

    def rss_bytes(self) -> int:
        return int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self._pid}/fd").iterdir())

    def log_bytes(self) -> int:
        return (self.site.directory / "manager.log").stat().st_size

    def log_text(self) -> str:
        return (self.site.directory / "manager.log").read_text()

    def take_descriptors(self) -> None:
        """Leave the manager not one more descriptor than it holds now."""
        resource.prlimit(self._pid, resource.RLIMIT_NOFILE, (self.descriptors(), self.site.descriptors))

    def give_descriptors(self) -> None:
        """Give it back what was taken."""
        resource.prlimit(self._pid, resource.RLIMIT_NOFILE, (self.site.descriptors, self.site.descriptors))

    async def pages(self, count: int) -> Times:
        """Ask for the health page so often, each time on a new connection."""
        connector = aiohttp.TCPConnector(ssl=trusting(), force_close=True)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S / 2)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

            async def once() -> None:
                async with session.get(f"{self.site.url}/health/live") as answer:
                    assert answer.status == 200
                    await answer.read()

            return await timed(once, count)

    async def logins(self, count: int) -> Times:
        """Let the honest node dial, greet, be welcomed and hang up so often."""

        async def once() -> None:
            node = _Greeter(NodeName(self.node.node))
            transport = await connect(self.node, peer=node)
            node.greet(transport)
            async with asyncio.timeout(PATIENCE_S):
                await node.welcomed.wait()
            transport.close()

        return await timed(once, count)

    async def newcomers(self, count: int) -> Times:
        """Let so many log in to join, each from an address that was never seen before, and hang up; one that is cut tries again, as agents do."""
        numbers = iter(range(self._newcomers, self._newcomers + count))
        self._newcomers += count

        async def once() -> None:
            number = next(numbers)
            host = f"127.77.{number // 250}.{number % 250 + 1}"
            for _ in range(NEWCOMER_TRIES - 1):
                try:
                    connection = await newcomer(self.site.ssh, host, login_timeout=PATIENCE_S)
                except (OSError, asyncssh.Error):
                    await asyncio.sleep(AGENTS_WAIT_S)
                else:
                    break
            else:
                connection = await newcomer(self.site.ssh, host, login_timeout=PATIENCE_S)
            connection.abort()

        return await timed(once, count)

    @asynccontextmanager
    async def attacked(self, kind: str, count: int, **options: Any) -> AsyncIterator["Attackers"]:
        """Let so many attackers begin; yields once the first wave is through."""
        arguments = [f"{name}={value}" for name, value in options.items()]
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attacks.attackers", kind),
            *(str(self.site.https), str(self.site.ssh), str(count), *arguments),
            stdout=PIPE,
            stderr=DEVNULL,
            cwd=ROOT,
        )
        attackers = Attackers(process)
        try:
            print(f"{kind}: {await attackers.until('in place')} of {count} attackers have been in place")
            yield attackers
        finally:
            if process.returncode is None:
                process.kill()
            await ended(process)


class _Greeter(NodeSimulator):
    def __init__(self, name: NodeName) -> None:
        super().__init__(name)
        self.welcomed = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.receiver.welcomed:
            self.welcomed.set()


class Attackers:
    def __init__(self, process: Process) -> None:
        self._process = process

    async def until(self, word: str) -> str:
        """Wait for the line that begins so, and return the rest of it."""
        assert self._process.stdout is not None
        async with asyncio.timeout(2 * PATIENCE_S):
            while line := (await self._process.stdout.readline()).decode():
                if line.startswith(word):
                    return line.removeprefix(word).strip()
        raise AssertionError("the attackers ended early")


@asynccontextmanager
async def ground(*, descriptors: int) -> AsyncIterator[Ground]:
    """Start the manager, and one beside it, and let a node join each."""
    async with _one(descriptors, None) as beside, _one(descriptors, beside) as made:
        yield made


@asynccontextmanager
async def _one(descriptors: int, beside: Ground | None) -> AsyncIterator[Ground]:
    site = LimitedSite(descriptors)
    connector = aiohttp.TCPConnector(ssl=trusting())
    headers = {"Authorization": aiohttp.encode_basic_auth("admin", PASSWORD)}
    try:
        await site.start_manager()
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            await ready(site, session)
            node = await _join(site, Api(site.url, session))
        yield Ground(site, node, beside)
    finally:
        await site.close()


NEWCOMER_TRIES = 5
"""Who is kept from the processor for seconds by a loaded machine is silent for as long, and may have to come again."""

AGENTS_WAIT_S = 1.0
"""What an agent waits before it dials again, at first."""

NEIGHBOUR = "127.10.0.1"
"""An address that an operator gave to another node, which attackers may have, too."""


def ground_of_module(*, descriptors: int) -> Any:
    """Return a fixture: one ground for all tests of a module."""

    @pytest_asyncio.fixture(scope="module", loop_scope="module")
    async def there() -> AsyncIterator[Ground]:
        async with ground(descriptors=descriptors) as made:
            yield made

    return there


async def _join(site: Site, api: Api) -> Identity:
    await api.call("POST", "nodes", {"name": "neighbour", "addresses": [NEIGHBOUR]})
    body = {"name": "honest", "names": ["honest.test"], "addresses": ["127.0.0.1"]}
    token = decode_token((await api.call("POST", "nodes", body))["join_token"])
    key = load_key(generate_key())
    address = f"127.0.0.1:{site.ssh}"
    reply = await ask(
        [address],
        key=key,
        trusts=lambda line: fingerprint(line) == token.fingerprint,
        request=EnrolRequest(node="honest", secret=token.secret, agent_version="0"),
    )
    assert reply.ok, reply.message
    return Identity(node=NodeName("honest"), addresses=(address,), host_keys=tuple(reply.host_keys), key=key)


async def settles(read: Callable[[], float], below: float, within_s: float = PATIENCE_S) -> float:
    """Wait until a reading is below this, and return the last one, whether it is or not."""
    deadline = time.monotonic() + within_s
    while True:
        found = read()
        if found <= below or time.monotonic() >= deadline:
            return found
        await asyncio.sleep(0.25)


async def holds(there: Ground, kind: str, count: int, **options) -> None:
    """The bounds of the issue, during one attack and after it."""
    quiet_pages, quiet_logins = await there.pages(30), await there.logins(10)
    before, log_before, cpu_before = there.rss_bytes(), there.log_bytes(), there.cpu_s()
    assert there.beside is not None
    async with there.attacked(kind, count, **options):
        pages, beside_pages = await asyncio.gather(there.pages(30), there.beside.pages(30))
        logins, beside_logins = await asyncio.gather(there.logins(10), there.beside.logins(10))
        during, descriptors = there.rss_bytes(), there.descriptors()
    after = await settles(there.rss_bytes, before + WARM_BYTES, within_s=GIVEN_BACK_S)
    print_times("pages", quiet_pages, pages)
    print_times("nodes", quiet_logins, logins)
    print(
        f"memory {before / MIB:.0f} MiB before, {during / MIB:.0f} during, {after / MIB:.0f} after; {descriptors} descriptors; "
        f"log +{(there.log_bytes() - log_before) / 1024:.0f} KiB; CPU {there.cpu_s() - cpu_before:.1f} s"
    )
    assert pages.refused == []
    assert logins.refused == []
    assert descriptors < there.site.descriptors
    assert during <= before + MEMORY_MAX_BYTES
    assert during <= before + WARM_BYTES + descriptors * CONNECTION_MAX_BYTES
    assert after <= before + MEMORY_MAX_BYTES / 2
    assert there.log_bytes() - log_before < LOG_MAX_BYTES
    assert is_bearable(pages, quiet_pages, beside_pages)
    assert is_bearable(logins, quiet_logins, beside_logins)
