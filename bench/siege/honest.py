"""The honest clients' process: `python -m bench.siege.honest TARGET.json`; prints its measurements as JSON on SIGTERM.

An operator's program asks for the fleet on a kept connection; a monitor asks for health and a person for a page, each on a
new one. All come from the address that attackers guess from, as if behind one proxy. SIGUSR1 ends one phase and begins the next.
"""

import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import aiohttp

from bench.siege.stopping import run_until_stopped
from bench.siege.target import Target
from demo.run import trusting

EVERY_S: Final = 0.2
ANSWER_S: Final = 30.0
NICENESS: Final = -5
"""What is measured is the manager, not how long this process waits for a core that attackers use."""


class Watch:
    """Times of one phase, by kind of question."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self.refused: dict[str, int] = {}

    def figures(self) -> dict[str, object]:
        """Return the medians and p95s in milliseconds, the slowest, and what was refused."""
        return {
            "median_ms": {name: 1000 * statistics.median(found) for name, found in self.times.items()},
            "p95_ms": {
                name: 1000 * sorted(found)[int(len(found) * 0.95)] for name, found in self.times.items()
            },
            "slowest_ms": {name: 1000 * max(found) for name, found in self.times.items()},
            "asked": {name: len(found) for name, found in self.times.items()},
            "refused": self.refused,
        }


async def main(target: Target) -> None:
    """Ask until SIGTERM, printing a line for each phase."""
    phases = [Watch()]
    if os.geteuid() == 0:
        os.nice(NICENESS)

    def turn() -> None:
        print(json.dumps(phases[-1].figures()), flush=True)
        phases.append(Watch())

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, turn)
    basic = {"Authorization": aiohttp.encode_basic_auth(*target.administrator)}
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    kept = aiohttp.TCPConnector(ssl=trusting())
    fresh = aiohttp.TCPConnector(ssl=trusting(), force_close=True)
    async with (
        aiohttp.ClientSession(connector=kept, headers=basic, timeout=timeout) as operator,
        aiohttp.ClientSession(connector=fresh, timeout=timeout) as stranger,
    ):
        asks: dict[str, Callable[[], Awaitable[int]]] = {
            "a node by the API": lambda: _get(
                operator, f"{target.url}/api/certcast/v1/nodes/{target.nodes[0]}"
            ),
            "health, anew": lambda: _get(stranger, f"{target.url}/health/ready"),
            "sign-in page, anew": lambda: _get(stranger, f"{target.url}/sign-in"),
        }
        await run_until_stopped(*(_ask(name, each, phases) for name, each in asks.items()))
    turn()


async def _get(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as answer:
        await answer.read()
        return answer.status


async def _ask(name: str, ask: Callable[[], Awaitable[int]], phases: list[Watch]) -> None:
    while True:
        watch, started = phases[-1], time.monotonic()
        try:
            status = await ask()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            status = -1
            watch.refused[f"{name}: {type(error).__name__}"] = (
                watch.refused.get(f"{name}: {type(error).__name__}", 0) + 1
            )
        if status not in {200, -1}:
            watch.refused[f"{name}: {status}"] = watch.refused.get(f"{name}: {status}", 0) + 1
        watch.times.setdefault(name, []).append(time.monotonic() - started)
        await asyncio.sleep(EVERY_S)


if __name__ == "__main__":
    asyncio.run(main(Target.load(Path(sys.argv[1]))))
