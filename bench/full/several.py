"""Two managers against one, over one PostgreSQL server: what a push to all nodes costs each of them."""

import asyncio
from dataclasses import dataclass
from typing import Final

from bench.full.estate import estate
from bench.full.scale import PUSHES, Spread, measure_push
from tests.postgres import made_cluster

MANAGERS: Final = 2
DATABASE: Final = "bench"
SETTLE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds of a push to all nodes, the median of several by its last node. `busiest_cpu_s` is of the manager that took most."""

    nodes: int
    managers: int
    push: Spread
    recorded_s: float
    cpu_s: float
    busiest_cpu_s: float


async def measure(count: int, *, managers: int) -> Figures:
    """Run so many managers with so many nodes, which spread over them as they draw."""
    # a server with its files on a disk that is synced, as it is where it is used
    with made_cluster({}) as cluster:
        cluster.make_database(DATABASE)
        async with estate(count, managers=managers, database=cluster.url(DATABASE)) as ours:
            await ours.serve()
            await ours.bring_nodes()
            await ours.ask("connected", since_s=0.0, count=count)
            await ours.until_in_sync()
            await asyncio.sleep(SETTLE_S)
            pushes = []
            for _ in range(PUSHES):
                before_s = ours.cpu_each_s()
                push, recorded_s, cpu_s, _ = await measure_push(ours)
                spent_s = [after - before for after, before in zip(ours.cpu_each_s(), before_s, strict=True)]
                pushes.append((push, recorded_s, cpu_s, max(spent_s)))
            push, recorded_s, cpu_s, busiest_s = sorted(pushes, key=lambda each: each[0].last_s)[PUSHES // 2]
            return Figures(
                nodes=count,
                managers=managers,
                push=push,
                recorded_s=recorded_s,
                cpu_s=cpu_s,
                busiest_cpu_s=busiest_s,
            )
