"""docs/scaling.md's haproxy before two managers: who asks is known, nobody meets a closed port when one stops, and agents get through."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp
import pytest

from demo.run import ready, trusting
from demo.site import PASSWORD, Site, free_port
from tests import pki
from tests.patience import PATIENCE_S, ended
from tests.programs import find_program
from tests.sites import CopyingSite
from tests.system.debian import REPOSITORY
from tests.system.fleet import RealFleet

MARKED: Final = re.compile(r"^<!-- scaling: haproxy -->\n\n((?:(?:    .*)?\n)+)", re.MULTILINE)
ROOT, INTERMEDIATE = pki.current_ca("Managers")
CLIENT: Final = "127.0.0.77"
"""Where the people of this test sit; the load balancer is at 127.0.0.1."""

DRAIN_S: Final = 8
"""Longer than the recipe's checks take to notice; the machine may be loaded."""


def recipe(directory: Path, first: Site, second: Site, *, https: int, agents: int) -> str:
    """Return the document's configuration with the addresses of this test."""
    (block,) = MARKED.findall((REPOSITORY / "docs/scaling.md").read_text())
    text = "".join(f"{line[4:]}\n" for line in block.splitlines())
    for before, after in (
        ("bind :443", f"bind 127.0.0.1:{https}"),
        ("bind :9422", f"bind 127.0.0.1:{agents}"),
        ("192.0.2.10:443", f"127.0.0.1:{first.https}"),
        ("192.0.2.11:443", f"127.0.0.1:{second.https}"),
        ("192.0.2.10:9422 port 443", f"127.0.0.1:{first.ssh} port {first.https}"),
        ("192.0.2.11:9422 port 443", f"127.0.0.1:{second.ssh} port {second.https}"),
        ("/etc/haproxy/managers-ca.pem", str(directory / "managers-ca.pem")),
        ("/var/lib/certcast/copies/haproxy/agent.pem", str(directory / "agent.pem")),
    ):
        assert before in text, before
        text = text.replace(before, after)
    return text


class Balancer:
    """haproxy as the document has it. `https` and `agents` are its ports."""

    def __init__(self, directory: Path, first: Site, second: Site) -> None:
        self.directory = directory
        self.https, self.agents = free_port(), free_port()
        self.first, self.second = first, second
        self.url = f"https://127.0.0.1:{self.https}"

    def write(self) -> None:
        """Make its files: its own certificate, the CA of the managers', and the configuration."""
        directory = self.directory
        own = pki.current_leaf(INTERMEDIATE, ["certcast.example.com"])
        chain = own.certificate_pem + INTERMEDIATE.certificate_pem
        (directory / "agent.pem").write_text(chain + own.key_pem)
        (directory / "managers-ca.pem").write_text(ROOT.certificate_pem)
        (directory / "haproxy.cfg").write_text(
            recipe(directory, self.first, self.second, https=self.https, agents=self.agents)
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.write()
        program = find_program("haproxy")
        assert program is not None
        configuration = ("-f", str(self.directory / "haproxy.cfg"))
        check = await asyncio.create_subprocess_exec(
            program, *configuration, "-c", stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(PATIENCE_S):
            _, said = await check.communicate()
        assert check.returncode == 0, said.decode()
        assert b"WARNING" not in said, said.decode()
        with (self.directory / "haproxy.log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                program, "-db", *configuration, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            assert process.returncode is None, (self.directory / "haproxy.log").read_text()
            process.kill()
            await ended(process)


class People:
    """Somebody who asks all the time, each time on a new connection, and counts what went wrong."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answered = 0
        self.wrong: list[str] = []
        self.served_by: set[str] = set()

    async def ask_once(self) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.load_verify_locations(cadata=ROOT.certificate_pem)
        connector = aiohttp.TCPConnector(ssl=context, local_addr=(CLIENT, 0), force_close=True)
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        try:
            async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
                answer = await session.get(f"{self.url}/health/live")
                self.answered += 1
                cookie = answer.cookies.get("certcast-manager")
                self.served_by.add(cookie.value if cookie is not None else "")
                if answer.status != 200:
                    self.wrong.append(f"status {answer.status}: {(await answer.text())[:200]}")
        except (aiohttp.ClientError, OSError) as error:
            self.wrong.append(f"{type(error).__name__}: {error}")

    async def ask_until(self, done: asyncio.Event) -> None:
        while not done.is_set():
            await self.ask_once()


async def until_balanced(people: People) -> None:
    """Wait until both managers are asked."""
    async with asyncio.timeout(PATIENCE_S):
        while people.served_by != {"m1", "m2"}:
            await people.ask_once()
            await asyncio.sleep(0.05)
    people.answered, people.wrong, people.served_by = 0, [], set()


@asynccontextmanager
async def manager(name: str, site: Site, connections: aiohttp.ClientSession) -> AsyncIterator[RealFleet]:
    """A manager with a certificate that the load balancer can verify."""
    try:
        await site.start_manager()
        fleet = RealFleet(site, connections)
        await ready(site, connections)
        made = pki.current_leaf(INTERMEDIATE, [name])
        leaf = await fleet.upload(made, INTERMEDIATE.certificate_pem, ["management"])
        await fleet.until_served(leaf, "management")
        yield fleet
    finally:
        await site.close()


def session() -> aiohttp.ClientSession:
    headers = {"Authorization": aiohttp.encode_basic_auth("admin", PASSWORD)}
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting()), headers=headers)


@pytest.fixture(autouse=True)
def _settings(monkeypatch):
    monkeypatch.setenv("CERTCAST_MANAGER_DRAIN_SECONDS", str(DRAIN_S))
    monkeypatch.setenv("CERTCAST_MANAGER_TRUSTED_PROXIES", '["127.0.0.1"]')


@pytest.mark.timeout(600)
@pytest.mark.services("haproxy")
async def test_the_recipe_tells_clients_apart_and_nobody_meets_a_closed_port_when_a_manager_stops(
    tmp_path, record_property
):
    balancer = Balancer(tmp_path, CopyingSite(), CopyingSite())
    first, second = balancer.first, balancer.second
    async with (
        session() as connections,
        manager("manager1.example.com", first, connections),
        manager("manager2.example.com", second, connections),
        balancer.running(),
    ):
        people = People(balancer.url)
        await until_balanced(people)
        await who_asks_is_known(balancer, first, second)
        done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(people.ask_until(done))
            process = first.processes.pop("manager.log")
            process.terminate()
            status = await ended(process)
            for _ in range(20):
                await people.ask_once()
            done.set()
        print(f"{people.answered} answers while a manager stopped, {len(people.wrong)} wrong")  # noqa: T201
        record_property("answered, wrong", (people.answered, len(people.wrong)))
        assert status == 0
        assert people.wrong == []
        assert people.served_by == {"m1", "m2"}
        log = (first.directory / "manager.log").read_text()
        assert log.index("manager.draining") < log.index("manager.stopped")


@pytest.mark.timeout(600)
@pytest.mark.services("haproxy", "nginx")
async def test_an_agent_that_dials_the_load_balancer_gets_to_the_manager_that_is_ready(tmp_path):
    balancer = Balancer(tmp_path, CopyingSite(), CopyingSite())
    address = f"127.0.0.1:{balancer.agents}"
    balancer.second.advertise = (address,)
    async with (
        session() as connections,
        manager("manager2.example.com", balancer.second, connections) as fleet,
        balancer.running(),
    ):
        await until_ready_behind(balancer)
        await fleet.site.add_node("n1")
        made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
        leaf = await fleet.upload(made, INTERMEDIATE.certificate_pem, ["n1"])
        await fleet.until_served(leaf, "n1")
        assert (await fleet.node("n1"))["manager_addresses"] == [address]
    await balancer.first.close()


async def until_ready_behind(balancer: Balancer) -> None:
    """Wait until the load balancer has found out which manager is ready."""
    people = People(balancer.url)
    async with asyncio.timeout(PATIENCE_S):
        while people.served_by != {"m2"} or people.wrong:
            people.wrong, people.served_by = [], set()
            await people.ask_once()
            await asyncio.sleep(0.05)


async def who_asks_is_known(balancer: Balancer, *sites: Site) -> None:
    """A wrong password is counted for the client, whatever it says of itself, and not for the load balancer."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.load_verify_locations(cadata=ROOT.certificate_pem)
    lies = {
        "Authorization": aiohttp.encode_basic_auth("admin", "wrong"),
        "X-Forwarded-For": "198.51.100.6",
        "Forwarded": "for=198.51.100.6",
    }
    connector = aiohttp.TCPConnector(ssl=context, local_addr=(CLIENT, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        answer = await session.get(f"{balancer.url}/api/certcast/v1/whoami", headers=lies)
        assert answer.status == 401
    log = "".join((site.directory / "manager.log").read_text() for site in sites)
    refused = [line for line in log.splitlines() if "login.refused" in line]
    assert len(refused) == 1
    assert CLIENT in refused[0]
    assert "198.51.100.6" not in log
