"""`make siege`: all attacks at once for some minutes, and what honest clients and nodes notice; non-zero if a bound broke."""

import argparse
import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.siege.attackers import ATTACKS
from bench.siege.ground import TRAITOR, ground, lines
from bench.siege.target import Target
from tests import pki
from tests.system.fleet import RealFleet

MIB: Final = 1024 * 1024
P95_RATIO: Final = 2.0
P95_MS: Final = 250.0
MEMORY_BYTES: Final = 64 * MIB
LOG_BYTES: Final = 10 * MIB
STORE_BYTES: Final = 64 * MIB
"""The honest pushes fill it, too, and SQLite's log of what it will write."""

GIVEN_BACK_S: Final = 30.0
QUIET_S: Final = 20.0
PUSH_EVERY_S: Final = 10.0
PUSHED_S: Final = 60.0
"""The promise: synchronised within a minute."""

ENDED_S: Final = 60.0
SAMPLE_S: Final = 0.5


@dataclass(slots=True, kw_only=True)
class Found:
    """What a siege showed. Sizes in bytes, times in milliseconds unless they say otherwise."""

    quiet: dict[str, Any] = field(default_factory=dict)
    attacked: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Any] = field(default_factory=dict)
    attacks: dict[str, int] = field(default_factory=dict)
    pushes_s: list[float] = field(default_factory=list)
    pushes_failed: int = 0
    memory_before: int = 0
    memory_worst: int = 0
    memory_after: int = 0
    log_bytes: int = 0
    store_bytes: int = 0
    descriptors: int = 0
    cpu_s: float = 0.0
    minutes: float = 0.0

    def broken(self) -> list[str]:
        """Return the bounds that did not hold."""
        told = []
        for name, p95 in self.attacked["p95_ms"].items():
            allowed = min(P95_MS, max(P95_RATIO * self.quiet["p95_ms"][name], 50.0))
            if p95 > allowed:
                told.append(f"p95 of '{name}': {p95:.0f} ms, allowed are {allowed:.0f} ms")
        if self.attacked["refused"]:
            told.append(f"honest questions were refused: {self.attacked['refused']}")
        if self.nodes["refused"] or self.nodes["cut_off"]:
            told.append(f"honest nodes were refused or cut off: {self.nodes}")
        if self.pushes_failed:
            told.append(f"{self.pushes_failed} pushes did not arrive within {PUSHED_S:.0f} s")
        for what, size in (("under attack", self.memory_worst), ("30 s after", self.memory_after)):
            if size > self.memory_before + MEMORY_BYTES:
                told.append(f"memory {what}: +{(size - self.memory_before) / MIB:.0f} MiB")
        if self.log_bytes > LOG_BYTES:
            told.append(f"the log has {self.log_bytes / MIB:.1f} MiB")
        if self.store_bytes > STORE_BYTES:
            told.append(f"the store has grown by {self.store_bytes / MIB:.1f} MiB")
        return told

    def show(self) -> str:
        """Return the figures as a table for people."""
        rows = [f"{self.minutes:.1f} minutes of all attacks at once", ""]
        rows += [
            f"{'what honest clients asked':26} {'quiet p95':>10} {'attacked p95':>13} {'slowest':>9} {'asked':>7}"
        ]
        for name, p95 in self.attacked["p95_ms"].items():
            rows.append(
                f"{name:26} {self.quiet['p95_ms'][name]:7.1f} ms {p95:10.1f} ms "
                f"{self.attacked['slowest_ms'][name]:6.0f} ms {self.attacked['asked'][name]:7}"
            )
        pushed = sorted(self.pushes_s) or [0.0]
        rows += [
            "",
            f"refused honest questions   {self.attacked['refused'] or 0}",
            (
                f"honest nodes               refused {self.nodes['refused']}, cut off {self.nodes['cut_off']}, came back "
                f"{self.nodes['returns']} times, the slowest in {self.nodes['slowest_return_s']:.1f} s"
            ),
            (
                f"pushes to all nodes        {len(self.pushes_s)}, median {pushed[len(pushed) // 2]:.2f} s, slowest "
                f"{pushed[-1]:.2f} s, failed {self.pushes_failed}"
            ),
            (
                f"memory                     {self.memory_before / MIB:.0f} MiB before, {self.memory_worst / MIB:.0f} at worst, "
                f"{self.memory_after / MIB:.0f} after {GIVEN_BACK_S:.0f} s"
            ),
            f"log and store have grown    {self.log_bytes / MIB:.2f} MiB and {self.store_bytes / MIB:.2f} MiB",
            f"descriptors at worst       {self.descriptors}",
            f"CPU                        {self.cpu_s:.0f} s",
            "",
            *(f"{name:48} {count:9}" for name, count in sorted(self.attacks.items())),
        ]
        return "\n".join(rows)


class Siege:
    """One run. Owns the processes of attackers, nodes and clients."""

    def __init__(self, fleet: RealFleet, target: Target, attacks: Sequence[str], *, say: bool) -> None:
        self._fleet = fleet
        self._target = target
        self._attacks = attacks
        self._say = say
        self._file = fleet.site.directory / "target.json"
        self._manager = fleet.site.processes["manager.log"].pid
        self._log = fleet.site.directory / "manager.log"
        self._issuer = pki.current_ca("Siege pushes")[1]
        self.found = Found()

    def say(self, text: str) -> None:
        """Tell who waits what happens."""
        if self._say:
            print(text, file=sys.stderr, flush=True)

    async def run(self, seconds: float) -> Found:
        """Measure quiet, attack, measure, and look once more when it is over."""
        self._target.save(self._file)
        found = self.found
        nodes = await self._start("nodes")
        honest = await self._start("honest")
        attackers: Process | None = None
        try:
            await self._fleet.until(self._all_there)
            await self._push()
            self.say(f"Quiet for {QUIET_S:.0f} s ...")
            await self._pause(honest, QUIET_S)
            found.quiet = await self._turn(honest)
            found.pushes_s.clear()
            found.memory_before, before_cpu_s = self._memory(), self._cpu_s()
            logged, stored = self._log.stat().st_size, self._stored()
            attackers = await self._start("attackers", *self._attacks)
            self.say(f"All attacks at once for {seconds / 60:.1f} minutes ...")
            started = time.monotonic()
            await self._endure(started + seconds)
            found.attacked = await self._turn(honest)
            found.attacks = await self._end(attackers)
            found.minutes = (time.monotonic() - started) / 60
            found.cpu_s = self._cpu_s() - before_cpu_s
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

    async def _endure(self, until: float) -> None:
        async with asyncio.TaskGroup() as group:
            sampling = group.create_task(self._sample())
            while time.monotonic() < until:
                began = time.monotonic()
                try:
                    await self._push()
                except AssertionError:
                    self.found.pushes_failed += 1
                    self.say("  a push did not arrive in time")
                self.say(f"  {until - time.monotonic():5.0f} s left, memory {self._memory() / MIB:.0f} MiB")
                await asyncio.sleep(max(0.0, min(began + PUSH_EVERY_S, until) - time.monotonic()))
            sampling.cancel()

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

    async def _pause(self, honest: Process, seconds: float) -> None:
        await self._turn(honest)
        await asyncio.sleep(seconds)

    async def _turn(self, honest: Process) -> dict[str, Any]:
        honest.send_signal(signal.SIGUSR1)
        return await lines(honest, ENDED_S)

    async def _end(self, process: Process) -> dict[str, Any]:
        process.send_signal(signal.SIGTERM)
        told = await lines(process, ENDED_S)
        await process.wait()
        return told

    async def _start(self, module: str, *arguments: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"bench.siege.{module}", self._file, *arguments, stdout=PIPE
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

    def _cpu_s(self) -> float:
        fields = Path(f"/proc/{self._manager}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def besiege(
    *, minutes: float, simulated: int, real: int, attacks: Sequence[str] = tuple(ATTACKS), say: bool = True
) -> Found:
    """Run one siege; returns what it showed."""
    async with ground(simulated=simulated, real=real) as (fleet, target):
        return await Siege(fleet, target, attacks, say=say).run(minutes * 60)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it and print; returns the exit status."""
    parser = argparse.ArgumentParser(prog="make siege", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--nodes", type=int, default=100, help="simulated nodes (default 100)")
    parser.add_argument(
        "--real", type=int, default=3, help="real nodes, with nginx if there is one (default 3)"
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
            attacks=chosen.only or tuple(ATTACKS),
        )
    )
    print(found.show())
    broken = found.broken()
    print("\n" + ("\n".join(f"BROKEN  {each}" for each in broken) or "Every bound held."))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
