"""Current fleet status, counted once for all viewers.

Decides when a count is too old. Invariant: the shown count is never older than one interval, and nothing is
counted without viewers.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from manager.usecases.ports import FleetView
from manager.web.fleetstatus import Tile, Wave, tiles, wave

PACE_S: Final = 0.5
"""The interval of counts: a wave over a thousand nodes redraws a few times, not thousands, whatever the
number of viewers.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetStatus:
    """A count and its time; `of` is the number of node changes until then."""

    tiles: Sequence[Tile]
    wave: Wave
    now_s: float
    of: int


class CurrentFleetStatus:
    """Owns the latest count; `counted` is the number of counts."""

    def __init__(self) -> None:
        self._counting = asyncio.Lock()
        self._last: FleetStatus | None = None
        self.counted = 0

    async def current(self, fleet: FleetView, *, now_s: float) -> FleetStatus:
        """Return the data for the tiles and the pushes."""
        async with self._counting:
            last, of = self._last, fleet.count_of_changes
            if last is None or last.of != of or not 0 <= now_s - last.now_s < PACE_S:
                self.counted += 1
                counts, briefs = fleet.counts(), fleet.briefs()
                found = await asyncio.to_thread(wave, briefs.values(), now_s=now_s)
                last = self._last = FleetStatus(tiles=tiles(counts), wave=found, now_s=now_s, of=of)
            return last
