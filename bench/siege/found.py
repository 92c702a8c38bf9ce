"""What a siege showed: its figures as a table, and each bound with what was measured against it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

MIB: Final = 1024 * 1024
P95_RATIO: Final = 2.0
P95_MS: Final = 250.0
P95_FLOOR_MS: Final = 50.0
"""So much is allowed in any case: nobody notices it, and a few milliseconds of a quiet machine are mostly the client's own."""

MEMORY_BYTES: Final = 64 * MIB
LOG_BYTES: Final = 10 * MIB
STORE_BYTES: Final = 64 * MIB
"""The honest pushes fill it, too, and SQLite's log of what it will write."""

GIVEN_BACK_S: Final = 30.0
PUSHED_S: Final = 60.0
"""The promise: synchronised within a minute."""

STARVED: Final = 0.2
"""Where the manager's loop had no core for so much of the time, times tell more of the machine than of the manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One bound: what was found, in words, and whether that is allowed."""

    what: str
    found: str
    allowed: str
    is_held: bool

    def show(self) -> str:
        """Return it as a line for people."""
        return f"{'held    ' if self.is_held else 'NOT HELD'}  {self.what:38} {self.found:26} allowed: {self.allowed}"


@dataclass(slots=True, kw_only=True)
class Found:
    """What a siege showed. Sizes in bytes, times in milliseconds unless they say otherwise.

    `quiet_waited` and `attacked_waited`: the share of that time in which the manager's loop could have run and had no core.
    """

    quiet: dict[str, Any] = field(default_factory=dict)
    attacked: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Any] = field(default_factory=dict)
    attacks: dict[str, int] = field(default_factory=dict)
    quiet_pushes_s: list[float] = field(default_factory=list)
    pushes_s: list[float] = field(default_factory=list)
    pushes_failed: int = 0
    memory_before: int = 0
    memory_worst: int = 0
    memory_after: int = 0
    log_bytes: int = 0
    store_bytes: int = 0
    descriptors: int = 0
    cpu_s: float = 0.0
    attackers_cpu_s: float = 0.0
    quiet_waited: float = 0.0
    attacked_waited: float = 0.0
    minutes: float = 0.0

    def bounds(self) -> list[Bound]:
        """Return every bound, with what was measured against it."""
        return [*self._times(), *self._served(), *self._sizes()]

    def broken(self) -> list[Bound]:
        """Return the bounds that did not hold."""
        return [bound for bound in self.bounds() if not bound.is_held]

    def _times(self) -> Iterator[Bound]:
        for name, quiet_ms in self.quiet["p95_ms"].items():
            p95_ms = self.attacked["p95_ms"].get(name, math.inf)
            allowed_ms = min(P95_MS, max(P95_RATIO * quiet_ms, P95_FLOOR_MS))
            yield Bound(
                what=f"p95 of '{name}'",
                found=f"{p95_ms:.0f} ms (quiet {quiet_ms:.0f} ms)",
                allowed=f"{allowed_ms:.0f} ms",
                is_held=p95_ms <= allowed_ms,
            )

    def _served(self) -> Iterator[Bound]:
        for when, refused in (("before", self.quiet["refused"]), ("under attack", self.attacked["refused"])):
            count = sum(refused.values())
            yield _at_most(
                f"honest questions refused {when}", f"{count} {refused or ''}".strip(), count, "0", 0
            )
        for what, key in (("refused", "refused"), ("cut off", "cut_off")):
            count = self.nodes[key]
            yield _at_most(f"honest nodes {what}", f"{count}", count, "0", 0)
        yield Bound(
            what="pushes that arrived at all nodes",
            found=f"{len(self.pushes_s)} of {len(self.pushes_s) + self.pushes_failed}",
            allowed=f"all, each within {PUSHED_S:.0f} s, and one at least",
            is_held=bool(self.pushes_s) and not self.pushes_failed,
        )
        yield Bound(
            what="attacks", found=f"{len(self.attacks)} figures", allowed="some", is_held=bool(self.attacks)
        )

    def _sizes(self) -> Iterator[Bound]:
        for what, size, most in (
            ("memory at worst, grown by", self.memory_worst - self.memory_before, MEMORY_BYTES),
            (
                f"memory after {GIVEN_BACK_S:.0f} s, grown by",
                self.memory_after - self.memory_before,
                MEMORY_BYTES,
            ),
            ("log, grown by", self.log_bytes, LOG_BYTES),
            ("store, grown by", self.store_bytes, STORE_BYTES),
        ):
            yield _at_most(what, f"{size / MIB:.1f} MiB", size, f"{most / MIB:.0f} MiB", most)

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
        quiet, pushed = sorted(self.quiet_pushes_s) or [0.0], sorted(self.pushes_s) or [0.0]
        rows += [
            "",
            f"refused honest questions   {self.attacked['refused'] or 0}",
            (
                f"honest nodes               refused {self.nodes['refused']}, cut off {self.nodes['cut_off']}, came back "
                f"{self.nodes['returns']} times, the slowest in {self.nodes['slowest_return_s']:.1f} s"
            ),
            (
                f"pushes to all nodes        {len(self.pushes_s)}, median {pushed[len(pushed) // 2]:.2f} s, slowest "
                f"{pushed[-1]:.2f} s, failed {self.pushes_failed}; quiet {len(self.quiet_pushes_s)}, median "
                f"{quiet[len(quiet) // 2]:.2f} s, slowest {quiet[-1]:.2f} s"
            ),
            (
                f"memory                     {self.memory_before / MIB:.0f} MiB before, {self.memory_worst / MIB:.0f} at worst, "
                f"{self.memory_after / MIB:.0f} after {GIVEN_BACK_S:.0f} s"
            ),
            f"log and store have grown    {self.log_bytes / MIB:.2f} MiB and {self.store_bytes / MIB:.2f} MiB",
            f"descriptors at worst       {self.descriptors}",
            (
                f"CPU                        {self.cpu_s:.0f} s, attackers {self.attackers_cpu_s:.0f} s; the loop had no core in {self.quiet_waited:.1%} of the quiet time, "
                f"{self.attacked_waited:.1%} under attack"
            ),
            "",
            *(f"{name:48} {count:9}" for name, count in sorted(self.attacks.items())),
        ]
        rows += ["", *(bound.show() for bound in self.bounds())]
        return "\n".join(rows)


def _at_most(what: str, found: str, value: float, allowed: str, most: float) -> Bound:
    return Bound(what=what, found=found, allowed=f"{allowed} at most", is_held=value <= most)
