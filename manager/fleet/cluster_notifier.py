"""Cluster notifier: writes for other managers the node events that no report contains.

These are long pushes, floods, and agents that were sent away. Decides when to write. Invariants: at most one
write in EACH_S per push, and per node for other events, whatever the node does; none while this manager is
alone, and none that the store already has.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

from common.errors import StorageError
from common.ids import NodeName
from manager.domain.members import MemberId, Sighting
from manager.fleet.registry import Registry
from manager.fleet.reports import ReportWriter
from manager.store.store import Store

log = structlog.get_logger(__name__)

SWEEP_S: Final = 0.5
"""How often due events are written, all in one transaction."""

PUSH_AFTER_S: Final = 2.0
"""How old a push must be before it is written ahead of its end: a shorter wave costs no writes but its
outcomes'.
"""

EACH_S: Final = 5.0

RETRY_S: Final = 1.0
"""How long to wait after the store failed."""


@dataclass(frozen=True, slots=True)
class _Pushed:
    """A running push: when its next step may be written, and the last push and phase written."""

    due_s: float
    written: tuple[str, str | None] | None = None


class ClusterNotifier:
    """Start it with `run`. `member` is this manager's membership."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        reports: ReportWriter,
        *,
        member: Callable[[], MemberId | None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._reports = reports
        self._member = member
        self._written_as: MemberId | None = None
        self._pushes: dict[NodeName, _Pushed] = {}
        self._sighted: set[NodeName] = set()
        self._written_s: dict[NodeName, float] = {}

    def note_push(self, name: NodeName) -> None:
        """Note that a push to a node began."""
        if self._store.is_shared:
            self._pushes[name] = _Pushed(time.monotonic() + PUSH_AFTER_S)

    def note_sighting(self, name: NodeName) -> None:
        """Tell watchers here and elsewhere that a node's flood began or ended, or its agent was sent away."""
        self._registry.note(name)
        if self._store.is_shared:
            self._sighted.add(name)

    async def run(self) -> None:
        """Write what is due until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            try:
                await self.sweep()
            except StorageError as error:
                log.error("store.failed", reason=error.reason, message=error.message, retry_after_s=RETRY_S)
                await asyncio.sleep(RETRY_S)

    async def sweep(self) -> None:
        """Write the due events now. Raises StorageError."""
        now_s = time.monotonic()
        self._write_pushes(now_s)
        await self._write_sightings(now_s)

    # -- inside

    def _write_pushes(self, now_s: float) -> None:
        for name in [name for name, each in self._pushes.items() if each.due_s <= now_s]:
            facts = self._registry.find(name)
            push = facts.push if facts is not None and facts.session and facts.is_pushing else None
            if facts is None or push is None:
                # the outcome is stored with the report that stated it
                del self._pushes[name]
                continue
            seen = push.push_id, push.phase
            if seen != self._pushes[name].written:
                self._reports.put(facts, self._store.clock())
            self._pushes[name] = _Pushed(now_s + EACH_S, seen)

    async def _write_sightings(self, now_s: float) -> None:
        member = self._member()
        if member is None:
            return
        if member != self._written_as:
            self._begin_anew(member)
        self._written_s = {name: at_s for name, at_s in self._written_s.items() if now_s < at_s + EACH_S}
        due = self._registry.remaining(self._sighted - self._written_s.keys())
        self._sighted &= self._written_s.keys()
        news = {
            facts.name: Sighting(member=member, flood=facts.flood, turned_away=facts.turned_away)
            for facts in due
            if facts.told != (facts.flood, facts.turned_away)
        }
        try:
            await self._store.sightings.tell(news)
        except StorageError:
            self._sighted |= news.keys()
            raise
        self._written_s |= dict.fromkeys(news, now_s)
        for name, sighting in news.items():
            if (facts := self._registry.find(name)) is not None:
                facts.told = sighting.flood, sighting.turned_away

    def _begin_anew(self, member: MemberId) -> None:
        """Write everything again: this manager's entries went with its former membership."""
        self._written_as = member
        for facts in self._registry:
            facts.told = "", ""
            if facts.flood or facts.turned_away:
                self._sighted.add(facts.name)
