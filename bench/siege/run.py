"""`make siege`: all attacks at once for some minutes, and what honest clients and nodes notice; non-zero if a bound broke."""

import argparse
import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.siege.attackers import ATTACKS
from bench.siege.cores import give_all, room_left
from bench.siege.found import GIVEN_BACK_S, MIB, PUSHED_S, STARVED, Found
from bench.siege.ground import TRAITOR, ground, lines
from bench.siege.target import Target
from tests import pki
from tests.system.fleet import RealFleet

QUIET_S: Final = 40.0
"""As quiet counts what honest clients and nodes do under attack, too: pushes at the same pace, nodes that come back."""

PUSH_EVERY_S: Final = 10.0
ENDED_S: Final = 60.0
SAMPLE_S: Final = 0.5


class Siege:
    """One run. Owns the processes of attackers, nodes and clients."""

    def __init__(self, fleet: RealFleet, target: Target, attacks: Sequence[str]) -> None:
        self._fleet = fleet
        self._target = target
        self._attacks = attacks
        self._file = fleet.site.directory / "target.json"
        self._manager = fleet.site.processes["manager.log"].pid
        self._log = fleet.site.directory / "manager.log"
        self._issuer = pki.current_ca("Siege pushes")[1]
        self.found = Found()

    def say(self, text: str) -> None:
        """Tell who waits what happens."""
        print(text, file=sys.stderr, flush=True)

    async def run(self, seconds: float) -> Found:
        """Measure quiet, attack, measure, and look once more when it is over."""
        self._target.save(self._file)
        give_all(self._manager)
        found = self.found
        nodes = await self._start("nodes")
        honest = await self._start("honest")
        attackers: Process | None = None
        try:
            await self._fleet.until(self._all_there)
            await self._push()
            found.pushes_s.clear()
            self.say(f"Quiet for {QUIET_S:.0f} s ...")
            await self._turn(honest)
            found.quiet_waited = await self._endure(QUIET_S)
            found.quiet = await self._turn(honest)
            found.quiet_pushes_s, found.pushes_s, found.memory_worst = found.pushes_s, [], 0
            found.memory_before, before_cpu_s = self._memory(), self._cpu_s(self._manager)
            logged, stored = self._log.stat().st_size, self._stored()
            attackers = await self._start("attackers", *self._attacks)
            self.say(f"All attacks at once for {seconds / 60:.1f} minutes ...")
            started = time.monotonic()
            found.attacked_waited = await self._endure(seconds)
            found.attacked = await self._turn(honest)
            found.attackers_cpu_s = self._cpu_s(attackers.pid)
            found.attacks = await self._end(attackers)
            found.minutes = (time.monotonic() - started) / 60
            found.cpu_s = self._cpu_s(self._manager) - before_cpu_s
            self.say(f"Over; {GIVEN_BACK_S:.0f} s until memory should be given back ...")
            await asyncio.sleep(GIVEN_BACK_S)
            found.memory_after = self._memory()
            found.log_bytes, found.store_bytes = self._log.stat().st_size - logged, self._stored() - stored
            found.nodes = await self._end(nodes)
        finally:
            for process in (nodes, honest, attackers):
                if process is not None and process.returncode is None:
                    process.kill()
                    await process.wait()
        return found

    async def _endure(self, seconds: float) -> float:
        """Push again and again for so long; return for what share of that time the manager's loop had no core."""
        started, waited_s = time.monotonic(), self._waited_s()
        until = started + seconds
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample())
            while time.monotonic() < until:
                began = time.monotonic()
                try:
                    await self._push()
                except (AssertionError, RuntimeError, aiohttp.ClientError) as error:
                    self.found.pushes_failed += 1
                    self.say(f"  a push did not arrive: {type(error).__name__}: {str(error)[:200]}")
                self.say(f"  {until - time.monotonic():5.0f} s left, memory {self._memory() / MIB:.0f} MiB")
                await asyncio.sleep(max(0.0, min(began + PUSH_EVERY_S, until) - time.monotonic()))
            sampling.cancel()
        return (self._waited_s() - waited_s) / (time.monotonic() - started)

    async def _push(self) -> None:
        made = pki.current_leaf(self._issuer, ["pushed.siege.test"])
        started = time.monotonic()
        leaf = await self._fleet.upload(made, self._issuer.certificate_pem, self._target.nodes)
        await self._fleet.until(
            lambda nodes: all(
                nodes[name]["state"] == "in_sync" and nodes[name]["slots"]["server"]["applied"] == leaf
                for name in self._target.nodes
            ),
            within_s=PUSHED_S,
        )
        self.found.pushes_s.append(time.monotonic() - started)

    def _all_there(self, nodes: dict[str, Any]) -> bool:
        return all(node["state"] == "in_sync" for name, node in nodes.items() if name != TRAITOR)

    async def _turn(self, honest: Process) -> dict[str, Any]:
        honest.send_signal(signal.SIGUSR1)
        return await lines(honest, ENDED_S)

    async def _end(self, process: Process) -> dict[str, Any]:
        process.send_signal(signal.SIGTERM)
        counts = await lines(process, ENDED_S)
        await process.wait()
        return counts

    async def _start(self, module: str, *arguments: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"bench.siege.{module}",
            self._file,
            *arguments,
            stdout=PIPE,
            # the attackers' rank among processes is that of their session, where the kernel groups by it
            start_new_session=True,
        )

    async def _sample(self) -> None:
        while True:
            self.found.memory_worst = max(self.found.memory_worst, self._memory())
            self.found.descriptors = max(self.found.descriptors, self._descriptors())
            await asyncio.sleep(SAMPLE_S)

    def _memory(self) -> int:
        pages = int(Path(f"/proc/{self._manager}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _stored(self) -> int:
        return sum(file.stat().st_size for file in self._fleet.site.data.rglob("*") if file.is_file())

    def _descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self._manager}/fd").iterdir())

    def _cpu_s(self, pid: int) -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _waited_s(self) -> float:
        return int(Path(f"/proc/{self._manager}/schedstat").read_text().split()[1]) / 1e9


async def besiege(
    *, minutes: float, simulated: int, real: int, temporary: bool, attacks: Sequence[str]
) -> Found:
    """Run one siege; returns what it showed."""
    with room_left():
        async with ground(simulated=simulated, real=real, temporary=temporary) as (fleet, target):
            return await Siege(fleet, target, attacks).run(minutes * 60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make siege", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--nodes", type=int, default=100, help="simulated nodes (default 100)")
    parser.add_argument(
        "--real", type=int, default=3, help="real nodes, with nginx if there is one (default 3)"
    )
    parser.add_argument(
        "--temporary",
        action="store_true",
        help="with the certificate that a manager makes for itself (RSA, 4096 bits) instead of an assigned one (P-256)",
    )
    parser.add_argument(
        "--only", action="append", choices=list(ATTACKS), help="only this attack; may be repeated"
    )
    chosen = parser.parse_args(arguments)
    print("Starting a manager and its nodes (a minute) ...", file=sys.stderr, flush=True)
    found = asyncio.run(
        besiege(
            minutes=chosen.minutes,
            simulated=chosen.nodes,
            real=chosen.real,
            temporary=chosen.temporary,
            attacks=chosen.only or tuple(ATTACKS),
        )
    )
    print(found.show())
    broken = found.broken()
    if broken and found.attacked_waited > STARVED:
        print("\nOther programs held the machine's cores: times say little, run it again when it is idle.")
    print(f"\n{len(broken)} bounds did not hold." if broken else "\nEvery bound held.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
