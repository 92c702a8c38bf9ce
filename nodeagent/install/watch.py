"""Port watch: cheap probes of ports with no or the wrong certificate, to notice soon when a service starts.

Decides how often to probe: a second after the last change, then less and less. Leaves to the upkeep what a change
means. Invariant: while every port shows the right certificate, none is probed.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from nodeagent.core.services import Consumer
from nodeagent.install.state import NodeState

FIRST_PAUSE_S: Final = 1.0
LAST_PAUSE_S: Final = 15.0
GROWTH: Final = 1.2
"""Half a minute after the last change a port is probed every seven seconds, after a minute and a half every fifteen."""

PROBE_TIMEOUT_S: Final = 2.0


class PortWatch:
    """Probes ports, and calls `changed` when a port's certificate changes."""

    def __init__(self, state: NodeState, changed: Callable[[], None]) -> None:
        self._state = state
        self._changed = changed

    async def run(self) -> None:
        pause_s, watched = FIRST_PAUSE_S, frozenset[str]()
        while True:
            await asyncio.sleep(pause_s)
            consumers = self.unsettled()
            names = frozenset(one.name for one in consumers)
            has_changed = names != watched or await self.probe(consumers)
            watched = names
            pause_s = FIRST_PAUSE_S if has_changed or not names else min(LAST_PAUSE_S, pause_s * GROWTH)

    async def probe(self, consumers: list[Consumer]) -> bool:
        """Probe once; return whether a port's certificate has changed."""
        state = self._state
        if state.lock.locked():
            return False  # an installation does its own probes
        seen = await state.prober.probe(consumers, {}, timeout_s=PROBE_TIMEOUT_S)
        before = {(one.consumer, one.endpoint): one.leaf for one in state.local.serving}
        if all(before.get((one.consumer, one.endpoint), "") == one.leaf for one in seen):
            return False
        self._changed()
        return True

    def unsettled(self) -> list[Consumer]:
        """Return the consumers whose ports need a probe."""
        state = self._state
        dark = {one.consumer for one in state.local.serving if not one.leaf}
        waiting = {one.consumer for one in state.local.report(0.0).waiting if one.reason == "service"}
        is_unproven = state.local.unproven() is not None
        return [
            one
            for one in state.services.consumers
            if one.endpoints and (is_unproven or one.name in dark or one.name in waiting)
        ]
