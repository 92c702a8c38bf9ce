"""The managers of a site, each as on a machine of its own: a process, and a network whose wires may be cut.

Owns what happens to a manager. Invariant: each process dials the database from an address of its own, so that what it wrote is told from what
the process before it wrote.
"""

import asyncio
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from demo.site import BIN, Site
from tests.chaos.database import NAME
from tests.chaos.shortlived import IGNORE
from tests.fakes.lossy_tcp import LossyTcp
from tests.patience import PATIENCE_S, ended
from tests.postgres import PASSWORD, ROLE

AGAIN_S: Final = 0.5
"""How soon a manager that could not start is started again, as systemd does."""

START_S: Final = 5 * PATIENCE_S
"""How long a manager may take to be ready: it reads the whole store, and the database may be away meanwhile."""

STOP_S: Final = 20.0
"""How long one that is to stop is left alone, as in its unit."""

LISTEN: Final = b"LISTEN "


class Machine(Site):
    """One manager. `number` is its own among those of the site; `entry` is what serves, if not `certcast-manager serve`."""

    def __init__(self, number: int, *, entry: Sequence[str] = ()) -> None:
        super().__init__()
        self.name = f"m{number}"
        self.node = "management" if number == 1 else f"management-{number}"
        self._number = number
        self.entry = entry
        self._run = 0
        self.agents = LossyTcp(self.ssh)
        self.stores: list[LossyTcp] = []
        self.process: Process | None = None
        self.is_faulty = False
        """Whether something is happening to it now."""

    async def wire(self, stack: AsyncExitStack, store_ports: Sequence[int]) -> None:
        """Make its network: one wire for agents, and one to each place at which the database can be."""
        await stack.enter_async_context(self.agents)
        self.advertise = (f"127.0.0.1:{self.agents.port}",)
        for port in store_ports:
            self.stores.append(await stack.enter_async_context(LossyTcp(port)))

    @property
    def environment(self) -> dict[str, str]:
        hosts = ",".join(f"127.0.0.1:{wire.port}" for wire in self.stores)
        url = f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@{hosts}/{NAME}?connect_timeout=5"
        return {**super().environment, "CERTCAST_MANAGER_DATABASE": url}

    @property
    def run_name(self) -> str:
        """Which of its processes runs, or ran last."""
        return f"{self.name}.{self._run}"

    def runs(self) -> dict[str, str]:
        """Return the names of all its processes by the addresses from which they dialled."""
        return {self._address(run): f"{self.name}.{run}" for run in range(1, self._run + 1)}

    def _address(self, run: int) -> str:
        return f"127.{self._number}.{run // 250}.{run % 250 + 1}"

    async def serve(self) -> Process:
        """Start a process, until one stays: what the one before had on the database's server ends a moment after it."""
        self._run += 1
        for wire in self.stores:
            wire.source = self._address(self._run)
        with (self.directory / "manager.log").open("ab") as out:
            self.process = self.processes["manager.log"] = await asyncio.create_subprocess_exec(
                *(self.entry or (BIN / "certcast-manager",)),
                *("serve", "--data", str(self.data)),
                *("--https", f"127.0.0.1:{self.https}", "--ssh", f"127.0.0.1:{self.ssh}"),
                *("--advertise", *self.advertise),
                stdin=DEVNULL,
                stdout=out,
                stderr=out,
                env=self.environment,
            )
        return self.process

    async def until_ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until it says that it is ready; start it again whenever it has ended meanwhile."""
        async with asyncio.timeout(START_S):
            while not await self.is_ready(session):
                if self.process is not None and self.process.returncode is not None:
                    await self.serve()
                await asyncio.sleep(AGAIN_S)

    async def is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(
                f"{self.url}/health/ready", timeout=aiohttp.ClientTimeout(total=5)
            ) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    # -- what may happen to it

    async def kill(self) -> None:
        """End the process at once, whatever it does."""
        assert self.process is not None
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGKILL)
        await ended(self.process)
        self.cut()

    async def stop(self) -> None:
        """End the process as systemd does."""
        assert self.process is not None
        self._signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await ended(self.process)
        except TimeoutError:
            await self.kill()

    def ignore_leases(self) -> None:
        """Let it have the fault that the history must show; only what `shortlived` serves can."""
        self._signal(IGNORE)

    def stand_still(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, what: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(what)

    @property
    def wires(self) -> list[LossyTcp]:
        return [self.agents, *self.stores]

    def cut(self) -> None:
        """Reset every connection."""
        for wire in self.wires:
            wire.cut()

    def part(self, wires: Sequence[LossyTcp]) -> None:
        """Let nothing pass there."""
        for wire in wires:
            wire.stand_still()

    def part_from_managers(self) -> None:
        """Let it hear of no other manager's change: what managers tell each other is what they listen to on the database's server."""
        for wire in self.stores:
            wire.loses_question = lambda sent: LISTEN in sent
            wire.cut()

    def mend(self) -> None:
        """Let everything pass again, and everybody hear each other."""
        for wire in self.wires:
            wire.loses_question = lambda _sent: False
            wire.go_on()

    def log_tail(self) -> str:
        return (self.directory / "manager.log").read_text()[-3000:]


def python_entry(module: str, *arguments: str) -> list[str]:
    """Return what starts a module of the tests in place of the manager's own entry."""
    return [sys.executable, "-m", module, *arguments]


def has_begun(view: Mapping[str, Any], simulated: Sequence[str], real: Sequence[str]) -> bool:
    """Whether a manager says that all of these nodes are connected, and the real ones serve what they were given first."""
    known = view.keys() >= {*simulated, *real}
    connected = known and all(view[name]["connected_at_s"] is not None for name in (*simulated, *real))
    return connected and all(view[name]["state"] == "in_sync" for name in real)


async def asked(
    session: aiohttp.ClientSession, machine: Machine, method: str, path: str, body: object = None
) -> Any:
    """Ask a manager's API; raises aiohttp.ClientError."""
    async with session.request(method, f"{machine.url}/api/certcast/v1/{path}", json=body) as answer:
        answer.raise_for_status()
        return await answer.json()
