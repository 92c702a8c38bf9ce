"""How long honest questions took while a manager was attacked, and whether that is bearable."""

import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import asyncssh

from common.errors import AccessError, UnreachableError

RATIO, FLOOR_MS, BOUND_MS = 2.0, 50.0, 250.0
"""The bounds: twice the quiet p95 and never over 250 ms. Tests hold the sum of both with room for a loaded machine."""

ROOM = 6.0


@dataclass(slots=True)
class Times:
    """How long honest questions took, and how many were not answered."""

    took_ms: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @property
    def p95_ms(self) -> float:
        return sorted(self.took_ms)[int(len(self.took_ms) * 0.95)] if self.took_ms else float("inf")

    @property
    def median_ms(self) -> float:
        return sorted(self.took_ms)[len(self.took_ms) // 2] if self.took_ms else float("inf")


async def timed(once: Callable[[], Awaitable[None]], count: int) -> Times:
    times = Times()
    for _ in range(count):
        started = time.monotonic()
        try:
            await once()
        except (
            aiohttp.ClientError,
            OSError,
            ssl.SSLError,
            TimeoutError,
            UnreachableError,
            AccessError,
            asyncssh.Error,
        ) as error:
            times.refused.append(str(error) or type(error).__name__)
        else:
            times.took_ms.append((time.monotonic() - started) * 1000)
    return times


def is_bearable(attacked: Times, *quiet: Times) -> bool:
    """Whether half of the honest questions under attack took less than the bounds say, with room for a loaded machine.

    Of ten the 95th percentile is the slowest one, which a machine that does other things delays by seconds. It may do them during the
    attack only, so `quiet` is what was measured before it, and at the same time of a manager that is not attacked.
    """
    return attacked.median_ms <= ROOM * max(FLOOR_MS, *(RATIO * each.p95_ms for each in quiet))


def print_times(what: str, quiet: Times, attacked: Times) -> None:
    print(
        f"{what}: quiet p95 {quiet.p95_ms:.0f} ms, under attack {attacked.p95_ms:.0f} ms, "
        f"refused {len(attacked.refused)} of {len(attacked.refused) + len(attacked.took_ms)} {sorted(set(attacked.refused))}"
    )
