"""Current status of the fleet, counted once for all who watch it.

Decides when what was counted is too old. Invariant: what is shown is never older than a pace, and nothing is counted while nobody asks.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from manager.usecases.ports import FleetView
from manager.web.fleetstatus import Tile, Wave, tiles, wave

PACE_S: Final = 0.5
"""How often it is counted at most: a wave over a thousand nodes is a few drawings, not thousands, whoever watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """What was counted, and when; `of` is how often nodes had changed by then."""

    tiles: Sequence[Tile]
    wave: Wave
    now_s: float
    of: int


class CurrentFleetStatus:
    """Owns what was counted last; `counted` is how often that was done."""

    def __init__(self) -> None:
        self._counting = asyncio.Lock()
        self._last: FleetStatus | None = None
        self.counted = 0

    async def current(self, fleet: FleetView, *, now_s: float) -> FleetStatus:
        """Return what the tiles and the pushes are drawn from."""
        async with self._counting:
            last, of = self._last, fleet.count_of_changes
            if last is None or last.of != of or not 0 <= now_s - last.now_s < PACE_S:
                self.counted += 1
                counts, briefs = fleet.counts(), fleet.briefs()
                found = await asyncio.to_thread(wave, briefs.values(), now_s=now_s)
                last = self._last = FleetStatus(tiles=tiles(counts), wave=found, now_s=now_s, of=of)
            return last
