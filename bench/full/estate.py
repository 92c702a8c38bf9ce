"""The real manager as a daemon on a core of its own, over a store with many nodes, and the nodes' process on the other core; or several managers."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp

from bench.footprint import cpu_s, memory_bytes
from common.ids import NodeName
from common.runtime.ssh import generate_key, load_key, public_line
from demo.run import Api, ready, trusting
from demo.site import BIN, PASSWORD, Site
from manager.pki.read.upload import read_tls
from manager.store.address import ServerAddress
from manager.store.meta import HOST_KEY
from manager.store.opening import open_store
from manager.store.place import StorePlace
from manager.store.store import Store
from manager.usecases.kept import new_certificate
from tests import pki

MANAGERS_CORE: Final = 0
"""Of the first manager; a second has the next, which the nodes and the database's server share."""

OTHERS_CORE: Final = 1
ANSWER_MAX_BYTES: Final = 64 * 1024 * 1024
PATIENCE_S: Final = 600.0
"""For each step: a step that takes this long has failed."""

Which = Literal["all", "one"]
"""All nodes but the first, or the first alone."""


def pinned(core: int) -> Callable[[], object]:
    """Return what a child does before it starts, so that it stays on a core; on a machine with one core all share it."""
    cores = sorted(os.sched_getaffinity(0))
    return lambda: os.sched_setaffinity(0, {cores[core % len(cores)]})


class ManagersSite(Site):
    """A manager's own machine. `database` is the URL of its store, None for a file."""

    def __init__(self, database: str | None) -> None:
        super().__init__()
        self.database = database

    @property
    def environment(self) -> dict[str, str]:
        told = {} if self.database is None else {"CERTCAST_MANAGER_DATABASE": self.database}
        return {**super().environment, **told}


class Estate:
    """A manager or several, their nodes, and what one asks of them. What is asked of a manager is asked of the first."""

    def __init__(self, sites: Sequence[ManagersSite], session: aiohttp.ClientSession, count: int) -> None:
        self.count = count
        self._sites = sites
        self._site = site = sites[0]
        self._api = Api(site.url, session)
        self._session = session
        self._issuer = pki.current_ca("Bench")[1]
        self._names = [NodeName(f"n{number}") for number in range(count)]
        self._managers: list[Process] = []
        self._herd: Process | None = None
        self._host_line = ""

    async def fill(self) -> None:
        """Make the store: the nodes with their keys, and a certificate that all of them have."""
        site = self._site
        await site.make_store()
        keys = {name: generate_key() for name in self._names}
        address = None if site.database is None else ServerAddress.parse(site.database)
        async with open_store(StorePlace(site.data, address)) as store:
            async with store.transaction():
                for name, key in keys.items():
                    await store.nodes.add(name, "node", names=(), addresses=("127.0.0.1",), now_s=time.time())
                    await store.nodes.pin(name, public_line(load_key(key)), former_key="")
            await self._keep(store)
            host_key = await store.meta.secret_get(HOST_KEY)
        self._host_line = public_line(load_key(host_key or b""))
        text = json.dumps({name: key.decode() for name, key in keys.items()})
        await asyncio.to_thread((site.directory / "keys.json").write_text, text)

    async def serve(self) -> None:
        """Start the managers, and return once they are ready."""
        self._managers = []
        for number, site in enumerate(self._sites):
            if not site.data.exists():
                await self._join(site)
            with (site.directory / "manager.log").open("ab") as out:
                manager = await asyncio.create_subprocess_exec(
                    *(BIN / "certcast-manager", "serve", "--data", str(site.data)),
                    *("--https", f"127.0.0.1:{site.https}", "--ssh", f"127.0.0.1:{site.ssh}"),
                    stdin=DEVNULL,
                    stdout=out,
                    stderr=out,
                    env=site.environment,
                    preexec_fn=pinned(MANAGERS_CORE + number),
                )
            site.processes["manager.log"] = manager
            self._managers.append(manager)
            await ready(site, self._session)

    async def _join(self, site: ManagersSite) -> None:
        """Let another manager join the first, which serves."""
        token = await self._site.run("certcast-manager", "cluster-token", "--data", str(self._site.data))
        await site.run(
            *("certcast-manager", "join-cluster", "--token-stdin", "--data", str(site.data)),
            *("--address", "127.0.0.1"),
            stdin=token.strip(),
        )

    async def stop(self) -> None:
        """Stop the managers as systemd would."""
        for manager in self._managers:
            manager.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            for manager in self._managers:
                await manager.wait()

    async def bring_nodes(self) -> None:
        """Start the nodes' process; it dials at once."""
        site, ports = self._site, ",".join(str(each.ssh) for each in self._sites)
        self._herd = site.processes["herd"] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.full.herd", ports, str(site.directory / "keys.json")),
            self._host_line,
            stdin=PIPE,
            stdout=PIPE,
            limit=ANSWER_MAX_BYTES,
            preexec_fn=pinned(OTHERS_CORE),
        )

    async def ask(self, ask: str, **more: object) -> Any:
        """Ask the nodes."""
        herd = self._herd
        if herd is None or herd.stdin is None or herd.stdout is None:
            raise RuntimeError("there are no nodes")
        herd.stdin.write(json.dumps({"ask": ask, **more}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE_S):
            return json.loads(await herd.stdout.readline())

    async def renew(self, which: Which) -> tuple[str, float]:
        """Upload a new certificate with a new key for these nodes, and push at once; return its leaf, and when that was asked for."""
        made = pki.current_leaf(self._issuer, ["bench.example.test"])
        nodes = self._names[:1] if which == "one" else self._names[1:]
        body = {
            "certificate": made.certificate_pem + self._issuer.certificate_pem,
            "private_key": made.key_pem,
            "nodes": nodes,
        }
        started_s = time.monotonic()
        answer = await self._api.call("POST", "certificates", body)
        await self._api.call("POST", "push", {"nodes": nodes} if which == "one" else {})
        return str(answer["fingerprint"]), started_s

    async def until_in_sync(self) -> None:
        """Wait until the manager has every node's outcome on its disk."""
        wanted = f'certcast_nodes{{state="in_sync"}} {float(self.count + len(self._sites))}'
        async with asyncio.timeout(PATIENCE_S):
            while wanted not in await self.metrics():  # noqa: ASYNC110 - looks on
                await asyncio.sleep(0.2)

    async def metrics(self) -> str:
        """Return the manager's metrics."""
        async with self._session.get(f"{self._site.url}/metrics") as answer:
            return await answer.text()

    def cpu_s(self) -> float:
        """Return the managers' processor time until now."""
        return sum(self.cpu_each_s())

    def cpu_each_s(self) -> list[float]:
        """Return each manager's processor time until now, that of the processes that read uploads for it included."""
        return [_cpu_s(each.pid) for each in self._managers]

    def memory_bytes(self) -> int:
        """Return the first manager's own resident memory."""
        return memory_bytes(self._managers[0].pid)[0]

    async def _keep(self, store: Store) -> None:
        """Keep the first certificate, of every node."""
        made = pki.current_leaf(self._issuer, ["bench.example.test"])
        material = read_tls(
            certificate=made.certificate_pem + self._issuer.certificate_pem, private_key=made.key_pem
        )
        record, _ = await store.certificates.add(new_certificate(material), now_s=time.time())
        await store.assignments.assign(record.id, self._names, "server")


def _cpu_s(pid: int) -> float:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_s(pid) + sum(cpu_s(int(child)) for child in children)


@asynccontextmanager
async def estate(count: int, *, managers: int = 1, database: str | None = None) -> AsyncIterator[Estate]:
    """Lend a store with so many nodes; the managers and the nodes are started by who measures. `database` is as for `ManagersSite`."""
    sites = [ManagersSite(database) for _ in range(managers)]
    headers = {"Authorization": aiohttp.encode_basic_auth("admin", PASSWORD)}
    try:
        connector = aiohttp.TCPConnector(ssl=trusting())
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            made = Estate(sites, session, count)
            await made.fill()
            yield made
    finally:
        for site in sites:
            await site.close()
