"""What a manager pays for renewal while nothing is renewed: time and processor time until it is ready, and memory at rest.

Beside it stands the same manager with what speaks to CAs and to DNS servers loaded at its start, as it is once something is renewed; and which share of the
time of its own imports the modules of renewal have that every manager loads.
"""

import asyncio
import os
import re
import socket
import statistics
import sys
from dataclasses import dataclass
from typing import Final

from bench.footprint import SETTLE_S, cpu_s, memory_bytes
from demo.site import Site

STARTS: Final = 5
READY_WITHIN_S: Final = 120.0

AT_REST: Final = "from manager.entry import daemon\ndaemon()"
LOADED: Final = f"import manager.acme.ca, manager.dns.showing\n{AT_REST}"

OF_RENEWAL: Final = re.compile(
    r"(?:manager|common)\.(?:.*renew|acme|dns|.*challenge|.*\.accounts$|store\.orders)"
)
"""Modules that there are for renewal alone."""

_IMPORT: Final = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Seconds until a manager was ready, of them on a processor, and its own memory at rest in bytes; medians of all starts."""

    ready_s: float
    cpu_s: float
    private_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """`share` is what modules of renewal take of the time of all imports."""

    at_rest: Start
    loaded: Start
    share: float


async def measure() -> Figures:
    """Start managers in turn."""
    site, at_rest, loaded = Site(), list[Start](), list[Start]()
    try:
        await site.make_store()
        for _ in range(STARTS):
            at_rest.append(await _start(site, AT_REST))
            loaded.append(await _start(site, LOADED))
        return Figures(at_rest=_median(at_rest), loaded=_median(loaded), share=await _share(site))
    finally:
        await site.close()


async def _start(site: Site, program: str) -> Start:
    loop, place = asyncio.get_running_loop(), site.directory / "notify"
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hub:
        hub.bind(str(place))
        hub.setblocking(False)
        began_s = loop.time()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program, *_arguments(site)),
            env={**os.environ, "NOTIFY_SOCKET": str(place)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(READY_WITHIN_S):
            while b"READY=1" not in await loop.sock_recv(hub, 256):
                pass
        ready_s, taken_s = loop.time() - began_s, cpu_s(process.pid)
        await asyncio.sleep(SETTLE_S)
        private = memory_bytes(process.pid)[1]
        process.terminate()
        await process.wait()
    return Start(ready_s=ready_s, cpu_s=taken_s, private_bytes=private)


async def _share(site: Site) -> float:
    """Let the interpreter write down what each import of a manager takes, and add up those of renewal."""
    program = AT_REST.replace("daemon()", "import manager.app")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "importtime", "-c", program, *_arguments(site)),
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    took = [(int(found[1]), found[2]) for found in _IMPORT.finditer(said.decode())]
    return sum(us for us, name in took if OF_RENEWAL.match(name)) / sum(us for us, _ in took)


def _arguments(site: Site) -> list[str]:
    return [
        *("serve", "--data", str(site.data)),
        *("--https", f"127.0.0.1:{site.https}", "--ssh", f"127.0.0.1:{site.ssh}"),
    ]


def _median(starts: list[Start]) -> Start:
    return Start(
        ready_s=statistics.median(each.ready_s for each in starts),
        cpu_s=statistics.median(each.cpu_s for each in starts),
        private_bytes=round(statistics.median(each.private_bytes for each in starts)),
    )
