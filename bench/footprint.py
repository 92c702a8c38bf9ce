"""What an agent takes: processor time until it is ready, and memory when it is connected, in sync and idle.

Measured on the real command in a process of its own, as a node has it: without the libraries that only the manager installs.
Beside it stands a process that only imports what the agent cannot do without (asyncssh, cryptography, msgspec, structlog).
"""

import asyncio
import os
import socket
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nodeagent.channel.identity import Pin, ensure_key, save_pin
from tests import pki
from tests.system.fleet import real_fleet

STARTS = 5
PUSHES = 10
SETTLE_S = 3.0
MIB = 1024 * 1024

# rich comes with the manager and the developer's tools; structlog takes it where it is found
AS_A_NODE = "import sys; sys.modules['rich'] = None\n"
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
    floor_cpu_s: float
    floor_bytes: int


async def measure() -> Figures:
    """Start an agent alone several times, then one with a manager that pushes to it."""
    starts = [await _start() for _ in range(STARTS)]
    floor_cpu_s, floor_bytes = await _floor()
    connected, pushed = await _connected()
    return Figures(
        start_s=statistics.median(one[0] for one in starts),
        start_cpu_s=statistics.median(one[1] for one in starts),
        idle_bytes=round(statistics.median(one[2] for one in starts)),
        idle_private_bytes=round(statistics.median(one[3] for one in starts)),
        connected_bytes=connected,
        pushed_bytes=pushed,
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


async def _connected() -> tuple[int, int]:
    """Memory of an agent in sync, and after some pushes, each with a reload and a proof."""
    _, issuer = pki.current_ca("Bench")
    async with real_fleet() as fleet:
        node = await fleet.site.add_node("node1")
        await fleet.until(lambda nodes: nodes["node1"]["state"] == "in_sync")
        await asyncio.sleep(SETTLE_S)
        pid = fleet.site.processes[f"{node.name}.log"].pid
        connected = memory_bytes(pid)[0]
        for _ in range(PUSHES):
            leaf = await fleet.upload(
                pki.current_leaf(issuer, ["bench.example.test"]), issuer.certificate_pem, ["node1"]
            )
            await fleet.until_served(leaf, "node1")
        await asyncio.sleep(SETTLE_S)
        return connected, memory_bytes(pid)[0]


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> tuple[int, int]:
    """Return a process' resident memory, and the part of it that is its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    kib = {
        name: int(value.split()[0])
        for name, _, value in (line.partition(":") for line in lines)
        if "kB" in value
    }
    return kib["VmRSS"] * 1024, kib["RssAnon"] * 1024
