"""Two real managers that serve one store in PostgreSQL, each as on a machine of its own."""

import asyncio
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import pytest

from demo.site import Site
from tests import pki
from tests.patience import PATIENCE_S, ended
from tests.postgres import Cluster
from tests.system.debian import REPOSITORY
from tests.system.fleet import RealFleet, real_fleet

COMMAND: Final = re.compile(r"^<!-- scaling: (\w+) -->\n\n    (.+)\n$", re.MULTILINE)
LOG: Final = "manager.log"
T = TypeVar("T")
ROOT, INTERMEDIATE = pki.current_ca("System")

HOLDER: Final = """
SELECT m.node FROM hold h JOIN member m ON m.id = h.member_id JOIN node n ON n.id = h.node_id WHERE n.name = '{}'
"""
MEMBERS: Final = "SELECT id || ' ' || node FROM member ORDER BY id"


def commands() -> dict[str, str]:
    """Return the commands of one line that docs/scaling.md marks, by their names."""
    return dict(COMMAND.findall((REPOSITORY / "docs/scaling.md").read_text()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both serve. `first` made the store, `second` has joined it."""

    first: RealFleet
    second: RealFleet
    cluster: Cluster
    database: str
    said: str
    """What `join-cluster` printed."""

    @property
    def addresses(self) -> list[str]:
        """Where nodes are told to dial."""
        return [f"127.0.0.1:{each.site.ssh}" for each in (self.first, self.second)]

    def other(self, than: RealFleet) -> RealFleet:
        return self.second if than is self.first else self.first

    def node_of(self, manager: RealFleet) -> str:
        return "management" if manager is self.first else "management-2"

    async def sql(self, query: str) -> str:
        return await asyncio.to_thread(self.cluster.sql, query, database=self.database)

    async def members(self) -> list[tuple[int, str]]:
        """Return the numbers and nodes of those that count as serving."""
        rows = (await self.sql(MEMBERS)).splitlines()
        return [(int(row.partition(" ")[0]), row.partition(" ")[2]) for row in rows]

    async def holder(self, node: str) -> RealFleet | None:
        """Return which of them has a node's session."""
        found = await self.sql(HOLDER.format(node))
        return {"management": self.first, "management-2": self.second, "": None}[found]

    async def upload(self, at: RealFleet, *nodes: str) -> str:
        made = pki.current_leaf(INTERMEDIATE, ["conf.example.test"])
        return await at.upload(made, INTERMEDIATE.certificate_pem, list(nodes))

    async def until_announced(self) -> None:
        """Wait until both tell nodes the same addresses, their own among them."""
        send(self.first.site, signal.SIGHUP)  # else it looks within a minute

        async def announced() -> list[list[str]]:
            return [
                (await each.api.call("GET", "fleet"))["manager_addresses"]
                for each in (self.first, self.second)
            ]

        await until(announced, lambda found: found[0] == found[1] and set(self.addresses) <= set(found[0]))

    async def until_both_ready(self) -> None:
        await self.first.until_ready()
        await self.second.until_ready()


@asynccontextmanager
async def two_managers(cluster: Cluster, database: str, patch: pytest.MonkeyPatch) -> AsyncIterator[Pair]:
    """Let a second manager join the first one's store by the words of the document, and serve beside it."""
    cluster.make_database(database)
    patch.setenv("CERTCAST_MANAGER_DATABASE", cluster.url(database))
    second = Site()
    second.advertise = (f"127.0.0.1:{second.ssh}",)
    try:
        async with real_fleet() as fleet:
            said = await join(fleet.site, second)
            await second.serve()
            beside = RealFleet(second, fleet.session)
            pair = Pair(first=fleet, second=beside, cluster=cluster, database=database, said=said)
            await pair.until_both_ready()
            await pair.until_announced()
            yield pair
    finally:
        await second.close()
        cluster.drop_database(database)


async def join(first: Site, second: Site) -> str:
    """Make a token where the first manager runs, and let the second join by it; return what it said."""
    typed = commands()
    token = (await first.run(*typed["token"].split(), "--data", str(first.data))).strip()
    said = await second.run(*typed["join"].split(), "--token-stdin", "--data", str(second.data), stdin=token)
    assert token not in said
    return said


async def until(find: Callable[[], Awaitable[T]], is_wanted: Callable[[T], bool]) -> T:
    """Wait until what is found is wanted, and return it."""
    until_s = time.monotonic() + PATIENCE_S
    while True:
        found = await find()
        if is_wanted(found):
            return found
        assert time.monotonic() < until_s, f"not within {PATIENCE_S:g} s: {found}"
        await asyncio.sleep(0.1)


def send(site: Site, what: signal.Signals) -> None:
    site.processes[LOG].send_signal(what)


async def stop(site: Site) -> None:
    """Stop a manager as `systemctl stop` does."""
    process = site.processes.pop(LOG)
    process.terminate()
    assert await ended(process) == 0


async def kill(site: Site) -> None:
    process = site.processes.pop(LOG)
    process.kill()
    assert await ended(process) == -signal.SIGKILL


def log_of(site: Site) -> str:
    return (site.directory / LOG).read_text()
