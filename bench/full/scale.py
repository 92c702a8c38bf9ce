"""What a number of nodes costs one manager: connections, pushes, an idle minute, a restart, and one node's change."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.full.estate import Estate, estate

PUSHES: Final = 3
SINGLE: Final = 10
"""Changes of one node's certificate, of which the processor time is the mean."""

IDLE_S: Final = 60.0
SETTLE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Seconds, from one moment on, over many nodes."""

    p50_s: float
    p99_s: float
    last_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Single:
    """One node's change, in seconds of processor time: all that the manager took meanwhile, and what of that it takes at rest."""

    cpu_s: float
    idle_cpu_s: float

    @property
    def own_cpu_s(self) -> float:
        """What the change itself took."""
        return self.cpu_s - self.idle_cpu_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds, bytes and shares of one core. `push` is the median of several by its last node; `meanwhile` is of nodes that were back."""

    nodes: int
    connect_s: float
    connection_bytes: float
    push: Spread
    push_recorded_s: float
    push_cpu_s: float
    push_bytes: float
    idle_share: float
    single: Single
    back: Spread
    back_in_sync_s: float
    meanwhile: Spread
    meanwhile_nodes: int


def spread(moments_s: Sequence[float], since_s: float) -> Spread:
    """Return how these moments lie after another."""
    waited = sorted(each - since_s for each in moments_s)
    cuts = statistics.quantiles(waited, n=100, method="inclusive") if len(waited) > 1 else waited * 99
    return Spread(p50_s=cuts[49], p99_s=cuts[98], last_s=waited[-1])


async def measure(count: int, *, idle_s: float = IDLE_S) -> Figures:
    """Run a manager with so many nodes."""
    async with estate(count) as ours:
        await ours.serve()
        await asyncio.sleep(SETTLE_S)
        empty_bytes = ours.memory_bytes()
        started_s = time.monotonic()
        await ours.bring_nodes()
        connected = await ours.ask("connected", since_s=0.0, count=count)
        connect_s = connected[-1] - started_s
        await ours.until_in_sync()
        await asyncio.sleep(SETTLE_S)
        connection_bytes = (ours.memory_bytes() - empty_bytes) / count
        pushes = [await measure_push(ours) for _ in range(PUSHES)]
        push, recorded_s, cpu_s, size = sorted(pushes, key=lambda each: each[0].last_s)[PUSHES // 2]
        idle_share = await _idle(ours, idle_s)
        single = await _single(ours, idle_share)
        back, in_sync_s, meanwhile, among = await _restart(ours)
        return Figures(
            nodes=count,
            connect_s=connect_s,
            connection_bytes=connection_bytes,
            push=push,
            push_recorded_s=recorded_s,
            push_cpu_s=cpu_s,
            push_bytes=size,
            idle_share=idle_share,
            single=single,
            back=back,
            back_in_sync_s=in_sync_s,
            meanwhile=meanwhile,
            meanwhile_nodes=among,
        )


async def measure_single(count: int, *, idle_s: float = IDLE_S) -> Single:
    """Return the manager's processor time for one node's change, with so many nodes."""
    async with estate(count) as ours:
        await ours.serve()
        await ours.bring_nodes()
        await ours.ask("connected", since_s=0.0, count=count)
        await ours.until_in_sync()
        return await _single(ours, await _idle(ours, idle_s))


async def measure_push(ours: Estate) -> tuple[Spread, float, float, float]:
    """Renew the certificate of all; return when nodes had it, when all was recorded, the managers' processor time, and the bytes to a node."""
    count = ours.count - 1
    received, cpu_s = await ours.ask("sizes"), ours.cpu_s()
    leaf, started_s = await ours.renew("all")
    moments = await ours.ask("installed", leaf=leaf, count=count)
    await ours.until_in_sync()
    recorded_s = time.monotonic() - started_s
    size = (await ours.ask("sizes") - received) / count
    return spread(moments, started_s), recorded_s, ours.cpu_s() - cpu_s, size


async def _single(ours: Estate, idle_share: float) -> Single:
    await _single_change(ours)
    before_s, started_s = ours.cpu_s(), time.monotonic()
    for _ in range(SINGLE):
        await _single_change(ours)
    spent_s, took_s = ours.cpu_s() - before_s, time.monotonic() - started_s
    return Single(cpu_s=spent_s / SINGLE, idle_cpu_s=idle_share * took_s / SINGLE)


async def _single_change(ours: Estate) -> None:
    leaf, _ = await ours.renew("one")
    await ours.ask("installed", leaf=leaf, count=1)
    # until the outcome is on the disk, and what the change set off is over
    await asyncio.sleep(1.0)


async def _idle(ours: Estate, idle_s: float) -> float:
    await asyncio.sleep(SETTLE_S)
    before_s, started_s = ours.cpu_s(), time.monotonic()
    await asyncio.sleep(idle_s)
    return (ours.cpu_s() - before_s) / (time.monotonic() - started_s)


async def _restart(ours: Estate) -> tuple[Spread, float, Spread, int]:
    """Stop and start the manager; once a third of the nodes are back, renew the certificate of all."""
    await ours.stop()
    since_s = time.monotonic()
    await ours.serve()
    first = await ours.ask("connected", since_s=since_s, count=max(1, ours.count // 3))
    leaf, started_s = await ours.renew("all")
    among = sum(moment < started_s for moment in first)
    pushed = await ours.ask("installed", leaf=leaf, count=max(1, among - 1), welcomed_before_s=started_s)
    moments = await ours.ask("connected", since_s=since_s, count=ours.count)
    await ours.until_in_sync()
    return spread(moments, since_s), time.monotonic() - since_s, spread(pushed, started_s), len(pushed)
