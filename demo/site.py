"""The demo's machines, all on this one: a manager, and nodes with a TLS service each.

Owns the processes and their directory; everything is ended and removed by `close`.
"""

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from dataclasses import dataclass
from pathlib import Path

from demo.services import NGINX, SERVICES, TINY, Service

BIN = Path(sys.executable).parent
ROOT = Path(__file__).parent.parent
PASSWORD = "demo-password-of-this-run"  # noqa: S105 - of a manager that lives as long as the demo


PORTS = range(12_000, 32_768)
"""Below those that the system gives to connections going out (`ip_local_port_range`): one of these could take a port before who is to listen there does."""

_given: set[int] = set()


def free_port() -> int:
    """Return a port that nobody listens on just now, and another one each time."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoNode:
    """One node: its directories and ports."""

    name: str
    directory: Path
    data: Path
    port: int
    health: int


class Site:
    def __init__(self, *, advertise: str | None = None) -> None:
        self.advertise = (advertise,) if advertise else ()
        self.directory = Path(tempfile.mkdtemp(prefix="certcast-demo-"))
        self.data = self.directory / "manager"
        self.https, self.ssh = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.https}"
        self.nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        self.nodes: list[DemoNode] = []
        self.processes: dict[str, Process] = {}

    @property
    def environment(self) -> dict[str, str]:
        """What the `certcast` command needs to reach the demo's manager."""
        return {
            **os.environ,
            "CERTCAST_URL": self.url,
            "CERTCAST_USER": "admin",
            "CERTCAST_PASSWORD": PASSWORD,
            "CERTCAST_INSECURE": "1",
        }

    async def start_manager(self) -> None:
        """Initialise and start the manager."""
        await self.make_store()
        await self.serve()

    async def make_store(self) -> None:
        """Initialise the manager, with an administrator."""
        await self.run("certcast-manager", "init", "--data", str(self.data), "--address", "127.0.0.1")
        await self.run(
            *("certcast-manager", "user", "add", "admin", "--role", "administrator"),
            *("--password-stdin", "--data", str(self.data)),
            stdin=PASSWORD,
        )

    async def serve(self) -> Process:
        """Start the manager, or start it again."""
        return await self.spawn(
            "manager.log",
            *("certcast-manager", "serve", "--data", str(self.data)),
            *("--https", f"127.0.0.1:{self.https}", "--ssh", f"127.0.0.1:{self.ssh}"),
            *(word for each in self.advertise for word in ("--advertise", each)),
        )

    async def add_node(self, name: str, service: Service | None = None) -> DemoNode:
        """Add a node to the manager, let it join, and start its agent, which starts the service."""
        said = await self.run(
            *("certcast", "node", "add", name, "--name", f"{name}.demo.test"),
            *("--address", "127.0.0.1", "--json"),
        )
        return await self.join_node(name, json.loads(said)["join_token"], service)

    async def join_node(self, name: str, token: str, service: Service | None = None) -> DemoNode:
        """Let a machine join with a token, and start its agent, which starts the service."""
        directory = self.directory / name
        node = DemoNode(
            name=name, directory=directory, data=directory / "data", port=free_port(), health=free_port()
        )
        await asyncio.to_thread(self._lay_out, node, service or (NGINX if self.nginx else TINY))
        await self.run("certcast-nodeagent", "join", token, "--data", str(node.data))
        await self.start_agent(node)
        self.nodes.append(node)
        return node

    async def start_agent(self, node: DemoNode) -> Process:
        """Start a node's agent, or start it again."""
        return await self.spawn(
            f"{node.name}.log",
            *("certcast-nodeagent", "run", "--data", str(node.data)),
            *("--services", str(node.directory / "services.toml"), "--health", f"127.0.0.1:{node.health}"),
        )

    async def run(self, program: str, *arguments: str, stdin: str = "") -> str:
        """Run one of our commands to its end and return what it printed; raises RuntimeError with its error."""
        process = await asyncio.create_subprocess_exec(
            BIN / program, *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self.environment
        )
        out, err = await process.communicate(f"{stdin}\n".encode() if stdin else None)
        if process.returncode:
            raise RuntimeError(f"{program} {' '.join(arguments[:2])}: {err.decode().strip()}")
        return out.decode()

    async def spawn(self, log: str, program: str, *arguments: str) -> Process:
        """Start one of our daemons; its log is a file in the demo's directory."""
        with (self.directory / log).open("ab") as out:
            process = await asyncio.create_subprocess_exec(
                BIN / program, *arguments, stdin=DEVNULL, stdout=out, stderr=out, env=self.environment
            )
        self.processes[log] = process
        return process

    def dead(self) -> list[str]:
        """Return the logs' last lines of daemons that should run and do not."""
        if all(process.returncode is None for process in self.processes.values()):
            return []
        return [
            line for log in sorted(self.directory.glob("*.log")) for line in log.read_text().splitlines()[-3:]
        ]

    async def close(self) -> None:
        """End everything that was started, and remove the directory."""
        for process in self.processes.values():
            if process.returncode is None:
                process.terminate()
        for process in self.processes.values():
            try:
                async with asyncio.timeout(10):
                    await process.wait()
            except TimeoutError:
                process.kill()
        for node in self.nodes:
            for pidfile in node.directory.glob("*.pid"):
                end_service(pidfile)
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)

    def _lay_out(self, node: DemoNode, service: Service) -> None:
        node.directory.mkdir()
        facts = {
            "directory": node.directory,
            "data": node.data,
            "port": node.port,
            "name": node.name,
            "nginx": self.nginx,
            "python": sys.executable,
            "root": ROOT,
            "service": service.name,
            "protocol": service.protocol,
            "uses": service.uses,
        }
        for name, text in {"services.toml": SERVICES, "reload": service.reload, **service.files}.items():
            (node.directory / name).write_text(text.format(**facts))
        (node.directory / "reload").chmod(0o755)


def end_service(pidfile: Path) -> None:
    """End the service whose process number stands in a file, if it still runs."""
    try:
        os.kill(int(pidfile.read_text()), signal.SIGTERM)
    except (OSError, ValueError):
        return
