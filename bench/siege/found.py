"""What a siege showed: its figures as a table, and which of the bounds did not hold."""

import math
from dataclasses import dataclass, field
from typing import Any, Final

MIB: Final = 1024 * 1024
P95_RATIO: Final = 2.0
P95_MS: Final = 250.0
MEMORY_BYTES: Final = 64 * MIB
LOG_BYTES: Final = 10 * MIB
STORE_BYTES: Final = 64 * MIB
"""The honest pushes fill it, too, and SQLite's log of what it will write."""

GIVEN_BACK_S: Final = 30.0
PUSHED_S: Final = 60.0
"""The promise: synchronised within a minute."""

STARVED: Final = 0.2
"""Where the manager's loop had no core for so much of the time, times tell more of the machine than of the manager."""


@dataclass(slots=True, kw_only=True)
class Found:
    """What a siege showed. Sizes in bytes, times in milliseconds unless they say otherwise.

    `quiet_waited` and `attacked_waited`: the share of that time in which the manager's loop could have run and had no core.
    """

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
    quiet_waited: float = 0.0
    attacked_waited: float = 0.0
    minutes: float = 0.0

    def broken(self) -> list[str]:
        """Return the bounds that did not hold."""
        told = []
        for name in self.quiet["p95_ms"]:
            p95 = self.attacked["p95_ms"].get(name, math.inf)
            allowed = min(P95_MS, max(P95_RATIO * self.quiet["p95_ms"][name], 50.0))
            if p95 > allowed:
                told.append(f"p95 of '{name}': {p95:.0f} ms, allowed are {allowed:.0f} ms")
        told += [
            f"honest questions were refused {when}: {refused}"
            for when, refused in (
                ("before", self.quiet["refused"]),
                ("under attack", self.attacked["refused"]),
            )
            if refused
        ]
        if not self.pushes_s:
            told.append("nothing was pushed under attack")
        if not self.attacks:
            told.append("nobody attacked")
        if self.nodes["refused"] or self.nodes["cut_off"]:
            told.append(f"honest nodes were refused or cut off: {self.nodes}")
        if self.pushes_failed:
            told.append(f"{self.pushes_failed} pushes did not arrive within {PUSHED_S:.0f} s")
        return told + self._outgrown()

    def _outgrown(self) -> list[str]:
        told = []
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
            f"{'what honest clients asked':26} {'quiet median':>12} {'p95':>9} {'attacked median':>17} {'p95':>9} {'slowest':>9} {'asked':>7}"
        ]
        for name, quiet_ms in self.quiet["p95_ms"].items():
            attacked = {
                key: found.get(name, math.inf) for key, found in self.attacked.items() if key != "refused"
            }
            rows.append(
                f"{name:26} {self.quiet['median_ms'][name]:9.1f} ms {quiet_ms:6.1f} ms {attacked['median_ms']:14.1f} ms "
                f"{attacked['p95_ms']:6.1f} ms {attacked['slowest_ms']:6.0f} ms {attacked['asked']:7}"
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
            (
                f"CPU                        {self.cpu_s:.0f} s; the loop had no core in {self.quiet_waited:.1%} of the quiet time, "
                f"{self.attacked_waited:.1%} under attack"
            ),
            "",
            *(f"{name:48} {count:9}" for name, count in sorted(self.attacks.items())),
        ]
        return "\n".join(rows)
