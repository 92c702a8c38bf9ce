"""A thousand simulated nodes: the real manager's fleet, store and channel here, the nodes in a second process.

The nodes run the real receiver and frames over real SSH; they hash what they get instead of writing it.
"""

import asyncio
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from common.ids import MANAGEMENT_NODE, NodeName
from common.runtime.ssh import generate_key, load_key, public_line
from common.runtime.supervise import Supervisor
from common.wire.enrolment import EnrolReply, EnrolRequest
from manager.channel.keys import KeyRegistry
from manager.channel.limits import Limits
from manager.channel.listener import Listener
from manager.channel.sources import KnownSources
from manager.fleet.builtin import load_builtin
from manager.fleet.compiler import Compiler
from manager.fleet.fleet import Fleet
from manager.pki.read.upload import read_tls
from manager.store.inventory import Inventories
from manager.store.place import StorePlace
from manager.store.sealing import create_kek, load_keyring
from manager.store.store import Store
from manager.usecases.kept import new_certificate
from tests import pki


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured, in seconds."""

    nodes: int
    connect_s: float
    first_s: float
    push_s: float
    p50_s: float
    p99_s: float


def raise_file_limit() -> None:
    """Allow as many connections as the system lets us."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def measure(count: int) -> Figures:
    """Connect `count` nodes, give them a certificate, replace it; return how long each took."""
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as text:
        directory = Path(text)
        create_kek(directory)
        store = await Store.create(StorePlace(directory, None), load_keyring(directory))
        try:
            return await _measure(store, directory, count)
        finally:
            await store.close()


async def _measure(store: Store, directory: Path, count: int) -> Figures:
    names = [NodeName(f"n{number}") for number in range(count)]
    keys = {name: generate_key() for name in names}
    for name in names:
        await store.nodes.add(name, "node", names=(), addresses=(), now_s=time.time())
    _, issuer = pki.current_ca("Bench")
    host_key = load_key(generate_key())
    async with _serving(store, keys, host_key) as (fleet, listener):
        (directory / "keys.json").write_text(json.dumps({name: key.decode() for name, key in keys.items()}))
        await _give_new_certificate(store, issuer, names)
        started = time.monotonic()
        nodes = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bench.nodes", str(listener.port), str(directory / "keys.json")),
            public_line(host_key),
        )
        try:
            await _until(lambda: fleet.counts().get("in_sync", 0) + fleet.counts().get("pending", 0) >= count)
            connect_s = time.monotonic() - started
            before = time.monotonic()
            await fleet.push(None, forced=False)
            await _until(lambda: fleet.counts().get("in_sync", 0) == count)
            first_s = time.monotonic() - before
            await _give_new_certificate(store, issuer, names)
            return await _push(fleet, connect_s, first_s, count)
        finally:
            nodes.kill()
            await nodes.wait()


async def _push(fleet: Fleet, connect_s: float, first_s: float, count: int) -> Figures:
    times: list[float] = []
    before = time.monotonic()
    fleet.pushes.observers.append(lambda _name, _push: times.append(time.monotonic() - before))
    await fleet.push(None, forced=False)
    await _until(lambda: len(times) >= count)
    await fleet.reports.flush()
    total_s = time.monotonic() - before
    return Figures(
        nodes=count,
        connect_s=connect_s,
        first_s=first_s,
        push_s=total_s,
        p50_s=statistics.median(times),
        p99_s=statistics.quantiles(times, n=100)[98],
    )


@asynccontextmanager
async def _serving(
    store: Store, keys: dict[NodeName, bytes], host_key: asyncssh.SSHKey
) -> AsyncIterator[tuple[Fleet, Listener]]:
    directory = KeyRegistry({public_line(load_key(key)): name for name, key in keys.items()})
    fleet = Fleet(
        store,
        Compiler(store, Inventories(store, load_builtin())),
        directory,
        own_node=MANAGEMENT_NODE,
        epoch=1,
    )
    await fleet.load()

    async def enrol(_request: EnrolRequest, _address: str, _key: str) -> EnrolReply:
        return EnrolReply(ok=False)

    listener = Listener(
        host="127.0.0.1",
        port=0,
        host_keys=[host_key],
        keys=directory,
        admit=fleet.conversations.admit,
        accept=fleet.conversations.accept,
        enrol=enrol,
        enrol_manager=enrol,
        sources=KnownSources(["127.0.0.1"]),
        limits=Limits(),
    )
    await listener.start()
    async with Supervisor() as supervisor:
        for name, loop in (*fleet.loops().items(), ("listener", listener.run)):
            # what is measured is pushed here, and by nothing else
            if name not in {"changes", "reconcile"}:
                supervisor.keep(name, loop)
        try:
            yield fleet, listener
        finally:
            await fleet.close()
            await listener.close()


async def _give_new_certificate(store: Store, issuer: pki.Made, names: list[NodeName]) -> None:
    made = pki.current_leaf(issuer, ["bench.example.test"])
    material = read_tls(certificate=made.certificate_pem + issuer.certificate_pem, private_key=made.key_pem)
    record, _ = await store.certificates.add(new_certificate(material), now_s=time.time())
    await store.assignments.assign(record.id, names, "server")


async def _until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - a bench looks on and does not interfere
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    figures = asyncio.run(measure(int(sys.argv[1])))
    print(json.dumps({name: getattr(figures, name) for name in Figures.__slots__}))
