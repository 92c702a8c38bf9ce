"""A site on which things happen: three managers, a database with its replica, simulated nodes in a process of their own, and real ones with nginx.

Owns all of its processes, and the history that they write: what clients were told is noted by `upload`, the rest is read at the end.
"""

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import aiohttp

from common.ids import NodeName, fingerprint_of
from common.runtime.ssh import generate_key, load_key, public_line
from demo.run import trusting
from demo.site import PASSWORD, DemoNode, end_service
from manager.store.meta import HOST_KEY
from manager.store.opening import open_store
from manager.store.place import StorePlace
from tests import pki
from tests.chaos.database import NAME, Servers, made_servers
from tests.chaos.history import Change, Ending, History, Installed, Seen, contradictions, of_the_end
from tests.chaos.machines import Machine, asked, has_begun
from tests.patience import PATIENCE_S
from tests.system.fleet import reloads

MANAGERS: Final = 3
CLIENT_PATIENCE_S: Final = 60.0
"""How long a client waits for an answer before nobody knows."""

LOOK_S: Final = 0.5
ANSWER_MAX_BYTES: Final = 64 * 1024 * 1024
CLOSED: Final = "the manager closed without an answer"
Contents = dict[tuple[str, int], tuple[str, str]]

OUTCOME_UNKNOWN: Final = "outcome_unknown"


class Stage:
    """Made by `on_stage`."""

    def __init__(self, machines: list[Machine], servers: Servers, session: aiohttp.ClientSession) -> None:
        self.machines = machines
        self.servers = servers
        self.session = session
        self.history = History()
        self.refusals: list[str] = []
        self.real: list[DemoNode] = []
        self.simulated: list[str] = []
        self._root, self._issuer = pki.current_ca("Chaos")
        self._herd: Process | None = None
        self._asking = asyncio.Lock()
        self._host_line = ""

    @property
    def nodes(self) -> list[str]:
        return [*self.simulated, *(node.name for node in self.real)]

    async def set_up(self, simulated: int, real: int) -> None:
        """Make the store, let the managers join and serve, and all nodes connect."""
        first, *others = self.machines
        await first.make_store()
        await self._fill(first, simulated)
        await self.servers.watch()
        await first.serve()
        await first.until_ready(self.session)
        for each in others:
            await self._join(first, each)
            await each.serve()
            await each.until_ready(self.session)
        await self._bring_nodes(first)
        for number in range(real):
            self.real.append(await first.add_node(f"real{number + 1}"))
        names = [node.name for node in self.real]
        # their temporary certificates, which no client asked for, are no part of the history
        await self.until(lambda views: all(has_begun(each, self.simulated, names) for each in views))
        await self.servers.watch_content(names)

    async def _fill(self, first: Machine, simulated: int) -> None:
        self.simulated = [f"n{number}" for number in range(simulated)]
        keys = {name: generate_key() for name in self.simulated}
        address = self.servers.primary.address(NAME)
        async with open_store(StorePlace(first.data, address)) as store:
            async with store.transaction():
                for name, key in keys.items():
                    node = NodeName(name)
                    await store.nodes.add(node, "node", names=(), addresses=("127.0.0.1",), now_s=time.time())
                    await store.nodes.pin(node, public_line(load_key(key)), former_key="")
            host_key = await store.meta.secret_get(HOST_KEY)
        self._host_line = public_line(load_key(host_key or b""))
        text = json.dumps({name: key.decode() for name, key in keys.items()})
        await asyncio.to_thread((first.directory / "keys.json").write_text, text)

    async def _join(self, first: Machine, other: Machine) -> None:
        token = await first.run("certcast-manager", "cluster-token", "--data", str(first.data))
        async with asyncio.timeout(5 * PATIENCE_S):
            # a manager with a short lease on a machine that is busy loses it now and then; the same token goes on
            while not await self._try_to_join(other, token.strip()):  # noqa: ASYNC110 - tries, as an operator would
                await asyncio.sleep(LOOK_S)

    async def _try_to_join(self, other: Machine, token: str) -> bool:
        try:
            await other.run(
                *("certcast-manager", "join-cluster", "--token-stdin", "--data", str(other.data)),
                *("--address", "127.0.0.1"),
                stdin=token,
            )
        except RuntimeError as error:
            if CLOSED not in str(error):
                raise
            return False
        return True

    async def _bring_nodes(self, first: Machine) -> None:
        ports = ",".join(str(each.agents.port) for each in self.machines)
        self._herd = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.full.herd", ports, str(first.directory / "keys.json")),
            self._host_line,
            stdin=PIPE,
            stdout=PIPE,
            limit=ANSWER_MAX_BYTES,
        )
        first.processes["herd"] = self._herd

    async def ask_nodes(self, ask: str, **more: object) -> Any:
        """Ask the process of the simulated nodes."""
        herd = self._herd
        assert herd is not None
        assert herd.stdin is not None
        assert herd.stdout is not None
        async with self._asking, asyncio.timeout(PATIENCE_S):
            herd.stdin.write(json.dumps({"ask": ask, **more}).encode() + b"\n")
            return json.loads(await herd.stdout.readline())

    async def fail_over(self) -> None:
        """Kill the database's primary and promote the replica; then give that a replica of its own."""
        await self.servers.fail_over()
        await self.servers.make_replica()
        for each in self.machines:
            for wire, port in zip(each.stores, self.servers.ports, strict=True):
                wire.target = port

    # -- what clients do

    async def upload(self, machine: Machine, nodes: Collection[str]) -> Change:
        """Give these nodes a new certificate, and note what became of that."""
        made = pki.current_leaf(self._issuer, ["conf.example.test"])
        body = {
            "certificate": made.certificate_pem + self._issuer.certificate_pem,
            "private_key": made.key_pem,
            "nodes": sorted(nodes),
        }
        change = Change(
            leaf=fingerprint_of(made.certificate_der),
            nodes=frozenset(nodes),
            asked_s=time.monotonic(),
            told_s=0.0,
            answer="unknown",
            manager=machine.run_name,
        )
        answer = await self._told(machine, body)
        change = replace(change, answer=answer, told_s=time.monotonic())
        self.history.changes.append(change)
        return change

    async def _told(self, machine: Machine, body: object) -> Any:
        url = f"{machine.url}/api/certcast/v1/certificates"
        timeout = aiohttp.ClientTimeout(total=CLIENT_PATIENCE_S)
        try:
            async with self.session.post(url, json=body, timeout=timeout) as answer:
                said = await answer.json()
        except aiohttp.ClientConnectorError:
            return "refused"
        except (aiohttp.ClientError, TimeoutError):
            return "unknown"
        if answer.status < 400:
            return "acknowledged"
        if said["error"]["reason"] == OUTCOME_UNKNOWN:
            return "unknown"
        self.refusals.append(f"{machine.run_name}: {answer.status} {said['error']}")
        return "refused"

    async def push(self, machine: Machine) -> None:
        """Ask for a push of all, whatever is said."""
        with suppress(aiohttp.ClientError, TimeoutError):
            await asked(self.session, machine, "POST", "push", {})

    # -- what all say

    async def views(self, machines: Sequence[Machine] = ()) -> list[dict[str, Any]]:
        """Return what each manager says of the nodes. Raises aiohttp.ClientError."""
        found = [await asked(self.session, each, "GET", "fleet") for each in machines or self.machines]
        return [{node["name"]: node for node in each["nodes"]} for each in found]

    async def until(
        self,
        done: Callable[[list[dict[str, Any]]], bool],
        machines: Sequence[Machine] = (),
        *,
        within_s: float = 5 * PATIENCE_S,
    ) -> float:
        """Wait until what these managers say is so (without any: all); return how long that took."""
        started_s, views = time.monotonic(), []
        while time.monotonic() - started_s < within_s:
            with suppress(aiohttp.ClientError, TimeoutError):  # which is what some tests are about
                views = await self.views(machines)
                if done(views):
                    return time.monotonic() - started_s
            await asyncio.sleep(LOOK_S)
        states = [{name: (node["state"], node["slots"]) for name, node in view.items()} for view in views]
        raise AssertionError(f"not within {within_s:.0f} s: {states}"[:20_000] + self.logs())

    async def until_served(self, change: Change, machines: Sequence[Machine] = ()) -> float:
        """Wait until all of these managers say that every node of a change is in sync with it."""
        return await self.until(
            lambda views: all(has(view.get(node), change.leaf) for view in views for node in change.nodes),
            machines,
        )

    async def until_member(self, machine: Machine, *, is_there: bool) -> None:
        """Wait until a manager is a member, or was evicted."""
        query = f"SELECT count(*) > 0 FROM member WHERE node = '{machine.node}'"
        wanted = "t" if is_there else "f"
        async with asyncio.timeout(2 * PATIENCE_S):
            while await self.servers.sql(query) != wanted:  # noqa: ASYNC110 - looks on
                await asyncio.sleep(LOOK_S)

    def logs(self) -> str:
        return "".join(f"\n--- {each.name}\n{each.log_tail()}" for each in self.machines)

    # -- the history

    async def check(self, *, within_s: float = 5 * PATIENCE_S) -> list[str]:
        """Once all agree, or this has taken too long, read the whole history, and return its contradictions."""
        until_s = time.monotonic() + within_s
        while True:
            await self._read_nodes()
            self.history.ending = await self._ending()
            if not list(of_the_end(self.history)) or time.monotonic() > until_s:
                break
            await asyncio.sleep(1.0)
        runs = {address: name for each in self.machines for address, name in each.runs().items()}
        self.history.kept = await self.servers.kept(runs)
        return contradictions(self.history)

    async def _read_nodes(self) -> None:
        contents = await self.servers.contents()
        said: dict[str, list[Any]] = await self.ask_nodes("history")
        found = [
            Installed(node=node, at_s=at_s, epoch=epoch, generation=generation, digest=digest, leaf=leaf)
            for node, installed in said.items()
            for at_s, epoch, generation, digest, leaf in installed
        ]
        shift_s = time.monotonic() - time.time()
        for node in self.real:
            log = (self.machines[0].directory / f"{node.name}.log").read_text().splitlines()
            found += [
                _installed(node.name, line, contents, shift_s) for line in log if '"install.applied"' in line
            ]
            self.history.reloads[node.name] = reloads(node)
        self.history.installed = found

    async def _ending(self) -> Ending:
        try:
            views = await self.views()
        except (aiohttp.ClientError, TimeoutError):
            views = []
        sql = self.servers.sql
        uploads = await sql(
            "SELECT detail::jsonb->>'fingerprint' FROM audit WHERE action = 'certificate.uploaded'"
        )
        alarms = await sql("SELECT kind, subject FROM alarm WHERE lowered_s IS NULL")
        return Ending(
            views={
                machine.name: {name: seen(node) for name, node in view.items()}
                for machine, view in zip(self.machines, views or [{}] * MANAGERS, strict=True)
            },
            stored=frozenset((await sql("SELECT fingerprint FROM certificate WHERE NOT temporary")).split()),
            uploads=uploads.split(),
            alarms=[(kind, subject) for kind, subject in (line.split("|") for line in alarms.splitlines())],
        )


def seen(node: dict[str, Any]) -> Seen:
    """Return what a manager says of a node."""
    slot = node["slots"].get("server") or {}
    return Seen(state=node["state"], applied=slot.get("applied") or "")


def has(node: dict[str, Any] | None, leaf: str) -> bool:
    """Whether a manager says of a node that it is in sync with this leaf."""
    return node is not None and seen(node) == Seen(state="in_sync", applied=leaf)


def _installed(node: str, line: str, contents: Contents, shift_s: float) -> Installed:
    """Read a line of a real agent's log, which has no digest where content that is there got another number."""
    said = json.loads(line)
    digest, leaf = contents.get((node, said["generation"]), ("", ""))
    return Installed(
        node=node,
        at_s=datetime.fromisoformat(said["timestamp"]).timestamp() + shift_s,
        epoch=said["epoch"],
        generation=said["generation"],
        digest=said.get("digest", digest),
        leaf=leaf,
    )


@asynccontextmanager
async def on_stage(*, simulated: int, real: int, entry: Sequence[str] = ()) -> AsyncIterator[Stage]:
    """Lend a site where everything works, and nodes have nothing yet."""
    connector = aiohttp.TCPConnector(ssl=trusting(), force_close=True)
    headers = {"Authorization": aiohttp.encode_basic_auth("admin", PASSWORD)}
    async with AsyncExitStack() as stack:
        servers = stack.enter_context(made_servers())
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector, headers=headers))
        machines = [Machine(number + 1, entry=entry) for number in range(MANAGERS)]
        for each in machines:
            await each.wire(stack, servers.ports)
            stack.push_async_callback(each.close)
        stage = Stage(machines, servers, session)
        stack.callback(_end_services, stage)
        await stage.set_up(simulated, real)
        yield stage


def _end_services(stage: Stage) -> None:
    for machine in stage.machines:
        machine.mend()
        machine.go_on()
    for node in stage.real:
        for pidfile in node.directory.glob("*.pid"):
            end_service(pidfile)
