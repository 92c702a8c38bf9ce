"""What an agent takes: processor time until it is ready, and memory when it is connected, in sync and idle.

Measured on the real command in a process of its own, as a node has it: without the libraries that only the manager installs.
Beside it stands a process that only imports what the agent cannot do without (asyncssh, cryptography, msgspec, structlog).
An installation's processor time stands beside that of the disk's share of it alone: the same files, links and journals, written and synced.
"""

import asyncio
import os
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.site import BIN, DemoNode
from nodeagent.channel.identity import Pin, ensure_key, save_pin
from tests import pki
from tests.system.fleet import RealFleet, real_fleet

STARTS = 5
PUSHES = 10
SETTLE_S = 3.0
MIB = 1024 * 1024

# these come with the manager and the developer's tools; structlog takes them where they are found
AS_A_NODE = "import sys; sys.modules.update(rich=None, greenlet=None)\n"
AGENT = f"{AS_A_NODE}from nodeagent.cli import main\nsys.exit(main())"
FLOOR = f"{AS_A_NODE}import asyncio, asyncssh, msgspec, structlog, cryptography.x509, time\nprint(flush=True)\ntime.sleep(60)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds and bytes; medians of the starts. `private` is what is not shared with other processes."""

    start_s: float
    start_cpu_s: float
    idle_bytes: int
    idle_private_bytes: int
    connected_bytes: int
    pushed_bytes: int
    install_cpu_s: float
    children_cpu_s: float
    bare_cpu_s: float
    floor_cpu_s: float
    floor_bytes: int


async def measure() -> Figures:
    """Start an agent alone several times, then one with a manager that pushes to it."""
    starts = [await _start() for _ in range(STARTS)]
    floor_cpu_s, floor_bytes = await _floor()
    connected, pushed, install_cpu_s, children_cpu_s, bare_cpu_s = await _connected()
    return Figures(
        start_s=statistics.median(one[0] for one in starts),
        start_cpu_s=statistics.median(one[1] for one in starts),
        idle_bytes=round(statistics.median(one[2] for one in starts)),
        idle_private_bytes=round(statistics.median(one[3] for one in starts)),
        connected_bytes=connected,
        pushed_bytes=pushed,
        install_cpu_s=install_cpu_s,
        children_cpu_s=children_cpu_s,
        bare_cpu_s=bare_cpu_s,
        floor_cpu_s=floor_cpu_s,
        floor_bytes=floor_bytes,
    )


async def _start() -> tuple[float, float, int, int]:
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="certcast-bench-") as name:
        directory = Path(name)
        argv = await asyncio.to_thread(_lay_out, directory)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hub:
            hub.bind(str(directory / "notify"))
            hub.setblocking(False)
            started_s = loop.time()
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", AGENT, *argv),
                env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")},
                stderr=asyncio.subprocess.DEVNULL,
            )
            async with asyncio.timeout(60):
                while await loop.sock_recv(hub, 256) != b"READY=1":
                    pass
            start_s, start_cpu_s = loop.time() - started_s, cpu_s(process.pid)
        await asyncio.sleep(SETTLE_S)
        memory, private = memory_bytes(process.pid)
        process.kill()
        await process.wait()
    return start_s, start_cpu_s, memory, private


def _lay_out(directory: Path) -> list[str]:
    data = directory / "data"
    host_key = ensure_key(data).export_public_key().decode().strip()
    save_pin(data, Pin(node="n1", addresses=["127.0.0.1:1"], host_keys=[host_key]))
    (directory / "services.toml").touch()
    return [
        *("run", "--data", str(data), "--services", str(directory / "services.toml")),
        *("--health", "127.0.0.1:0"),
    ]


async def _floor() -> tuple[float, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FLOOR, stdout=asyncio.subprocess.PIPE
    )
    if process.stdout is not None:
        await process.stdout.readline()
    found = cpu_s(process.pid), memory_bytes(process.pid)[0]
    process.kill()
    await process.wait()
    return found


async def _connected() -> tuple[int, int, float, float, float]:
    """Memory of an agent in sync, and after some pushes, each with a reload and a proof; and the processor time of each push.

    That is the agent's own, that of the commands that it ran, and that of the bare file operations in the same directory.
    """
    _, issuer = pki.current_ca("Bench")
    async with real_fleet() as fleet:
        node = await fleet.site.add_node("node1")
        await _as_a_node(fleet, node)
        await asyncio.sleep(SETTLE_S)
        pid = fleet.site.processes[f"{node.name}.log"].pid
        connected, leaves = memory_bytes(pid)[0], [_leaf(issuer) for _ in range(PUSHES)]
        own_s, children_s = cpu_s(pid), children_cpu_s(pid)
        for made in leaves:
            leaf = await fleet.upload(made, issuer.certificate_pem, ["node1"])
            await fleet.until_served(leaf, "node1")
        own_s, children_s = cpu_s(pid) - own_s, children_cpu_s(pid) - children_s
        await asyncio.sleep(SETTLE_S)
        bare_s = await asyncio.to_thread(_bare, node.data)
        return connected, memory_bytes(pid)[0], own_s / PUSHES, children_s / PUSHES, bare_s


def _leaf(issuer: pki.Made) -> pki.Made:
    return pki.current_leaf(issuer, ["bench.example.test"])


async def _as_a_node(fleet: RealFleet, node: DemoNode) -> None:
    """Start the agent again without the libraries that only the manager installs, and with byte code as `pip` leaves it."""
    agent = fleet.site.processes[f"{node.name}.log"]
    agent.terminate()
    await agent.wait()
    hidden = node.directory / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(AS_A_NODE)
    with (node.directory / "as-a-node.log").open("ab") as log:
        fleet.site.processes[f"{node.name}.log"] = await asyncio.create_subprocess_exec(
            *(BIN / "certcast-nodeagent", "run", "--data", str(node.data)),
            *("--services", str(node.directory / "services.toml"), "--health", f"127.0.0.1:{node.health}"),
            env={**fleet.site.environment, "PYTHONPATH": str(hidden), "PYTHONDONTWRITEBYTECODE": ""},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    await fleet.until(lambda nodes: nodes[node.name]["state"] == "in_sync")


def _bare(data: Path) -> float:
    """Return the processor time of one installation's file operations alone: no check, no journal's content, no proof."""
    live = data / "current"
    bodies = {str(path.relative_to(live)): path.read_bytes() for path in live.rglob("*") if path.is_file()}
    journal = (data / "journal.json").read_bytes()
    place = data.parent / "bare"
    place.mkdir()
    began_s = time.process_time()
    for number in range(PUSHES):
        _lay_out_bare(place, f"g{number}", bodies, journal)
    return (time.process_time() - began_s) / PUSHES


def _lay_out_bare(place: Path, name: str, bodies: Mapping[str, bytes], journal: bytes) -> None:
    """Write and sync a generation, show it with a link, and write a journal before and after."""
    staged = place / f"{name}.staged"
    directories = [
        staged,
        *(staged / part for part in sorted({path.rpartition("/")[0] for path in bodies} - {""})),
    ]
    for directory in directories:
        directory.mkdir()
    for path, body in bodies.items():
        _write(staged / path, body)
    for directory in reversed(directories):
        _sync(directory)
    _write(place / "journal", journal)
    staged.rename(place / name)
    _sync(place)
    (place / "link").symlink_to(name)
    (place / "link").rename(place / "live")
    _sync(place)
    _write(place / "journal", journal)
    _sync(place)


def _write(path: Path, body: bytes) -> None:
    with path.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken."""
    return _times_s(pid, 11)


def children_cpu_s(pid: int) -> float:
    """Return that of the processes which it started and which have ended."""
    return _times_s(pid, 13)


def _times_s(pid: int, first: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[first]) + int(fields[first + 1])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> tuple[int, int]:
    """Return a process' resident memory, and the part of it that is its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in lines)
        if "kB" in value
    }
    return kib["VmRSS"] * 1024, kib["RssAnon"] * 1024
