"""Follower of the store's change feed: other managers' changes, and store changes a node's session found.

Decides when to read the feed, and which parts a change concerns; `manager.domain.following` decides what is
news of a node. Invariant: the next pass sees every change made elsewhere, notified or not, and the minute's
reconcile makes a pass too.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from typing import Final

import structlog

from common.errors import StorageError
from common.ids import NodeName
from common.runtime.long_loops import by_turns
from manager.domain.facts import NodeFacts
from manager.domain.following import (
    follow_generation,
    follow_past,
    follow_report,
    follow_sightings,
    forget_lost,
    hold_elsewhere,
    release_elsewhere,
)
from manager.domain.members import Hold, MemberId, NodeState, StoreChanges
from manager.fleet.changes import ChangeQueue
from manager.fleet.connections import Connections
from manager.fleet.hold_queue import HoldQueue
from manager.fleet.pushes import Pushes
from manager.fleet.registry import Registry
from manager.fleet.roster import Roster
from manager.store.store import Store

log = structlog.get_logger(__name__)

PAUSE_S: Final = 0.05
"""The pause after a pass, or three times its duration if that is longer, so that a wave of changes shares
passes.
"""

RETRY_S: Final = 1.0
"""How long to wait after the store failed."""


class Follower:
    """Reads the feed when notified. `member` is this manager's membership.

    Called on a change elsewhere: `observers` for content, `alarm_observers` for alarms, `challenge_observers`
    for the challenges of nodes.
    """

    def __init__(
        self,
        store: Store,
        registry: Registry,
        connections: Connections,
        *,
        roster: Roster,
        hold_queue: HoldQueue,
        pushes: Pushes,
        changes: ChangeQueue,
        member: Callable[[], MemberId | None],
    ) -> None:
        self._store = store
        self._registry = registry
        self._connections = connections
        self._roster = roster
        self._hold_queue = hold_queue
        self._pushes = pushes
        self._changes = changes
        self._member = member
        self._listener = store.change_listener
        self._catching_up = asyncio.Lock()
        self._number = 0
        self._content: int | None = None
        self._alarms: int | None = None
        self._challenges: int | None = None
        self.observers: list[Callable[[], None]] = []
        self.alarm_observers: list[Callable[[], None]] = []
        self.challenge_observers: list[Callable[[], None]] = []

    async def run_listener(self) -> None:
        """Listen until cancelled."""
        await self._listener.run()

    async def run(self) -> None:
        """Catch up after each possible change elsewhere, until cancelled."""
        while True:
            await self._listener.wait()
            # what was notified is notified once: a pass that failed is repeated
            while not await self._has_caught_up():
                pass

    async def _has_caught_up(self) -> bool:
        """Catch up, and rest for three times as long as that took, or after a failure; return whether it succeeded."""
        started_s = time.monotonic()
        try:
            await self.catch_up()
        except StorageError as error:
            log.error("store.failed", reason=error.reason, message=error.message, retry_after_s=RETRY_S)
            await asyncio.sleep(RETRY_S)
            return False
        await asyncio.sleep(max(PAUSE_S, 3 * (time.monotonic() - started_s)))
        return True

    async def catch_up(self) -> None:
        """Take the changes since the last pass. Raises StorageError."""
        async with self._catching_up:
            with self._roster.changes_meanwhile() as meanwhile:
                began_s = time.monotonic()
                changes = await self._store.feed.since(self._number)
                if changes.is_anew:
                    log.warning("store.taken_over", count=len(changes.nodes))
                wanted = await self._take(changes, meanwhile, began_s)
                if not any(state.record.id in meanwhile for state in changes.nodes):
                    # otherwise the nodes' state from before this manager's own changes would be read again
                    self._number = changes.number
            self._take_content(changes.content)
            self._take_alarms(changes.alarms)
            self._take_challenges(changes.challenges)
        if wanted:
            await self._take_pushes()

    async def catch_up_with_others(self) -> None:
        """Take others' changes for a waiting caller; this manager's own are left to the next pass.

        Raises StorageError.
        """
        if not await self._store.feed.is_all_own(self._number):
            await self.catch_up()

    def take(self, state: NodeState, meanwhile: Collection[int]) -> NodeFacts | None:
        """Take one node's state from the store; return its facts, None if this manager removed it meanwhile."""
        is_new = self._registry.find(state.record.name) is None
        facts = self._roster.follow(state.record, meanwhile)
        if facts is None:
            return None
        if is_new and state.record.public_key and state.report is None:
            # it has joined: ignore the state of its earlier life
            facts.awaiting_first_report = True
        facts.seats = state.seats
        news = [
            follow_generation(facts, state.generation),
            follow_sightings(facts, state.sightings, self._member()),
        ]
        if not facts.session:
            news.append(follow_report(facts, state.report))
            if state.hold is None:
                news.append(follow_past(facts, state))
        if any(news):
            self._registry.note(facts.name)
        return facts

    def note_reports_elsewhere(self, now_s: float) -> None:
        """Note that other managers get reports from the nodes they hold, so that these do not appear silent."""
        for facts in self._registry:
            if facts.elsewhere:
                facts.last_report_s = now_s
                self._registry.note(facts.name)

    # -- inside

    async def _take(self, changes: StoreChanges, meanwhile: Collection[int], began_s: float) -> bool:
        """Take these changes; return whether others ask to push to nodes held here."""
        is_asked = False
        async for state in by_turns(changes.nodes):
            if changes.is_anew:
                self._forget_lost(state, meanwhile, began_s)
            facts = self.take(state, meanwhile)
            if facts is None:
                continue
            self._take_hold(facts, state.hold, began_s)
            if facts.session:
                is_asked = is_asked or state.is_push_asked
                self._pushes.pursue(facts)
        if changes.present is not None:
            self._roster.keep(changes.present, meanwhile)
        return is_asked

    def _forget_lost(self, state: NodeState, meanwhile: Collection[int], began_s: float) -> None:
        self._roster.follow_back(state.record, meanwhile)
        facts = self._registry.find(state.record.name)
        # the store's state is newer than a session taken since the pass began
        if facts is None or state.record.id in meanwhile or facts.session_s >= began_s:
            return
        if forget_lost(facts, state):
            self._registry.note(facts.name)
            if facts.session:
                facts.session = 0
                self._connections.reconnect(facts.name)

    def _take_hold(self, facts: NodeFacts, hold: Hold | None, began_s: float) -> None:
        has_changed = False
        if hold is None and facts.session:
            # the pass need not have found one taken since it began
            if facts.session_s < began_s:
                facts.session = 0
                self._connections.reconnect(facts.name)
        elif hold is None:
            has_changed = release_elsewhere(facts, self._store.clock())
            if has_changed:
                # its former manager may not have published the last change
                self._changes.note([facts.name], cause="left by another manager")
        elif hold.member == self._member():
            # there is none here if the store's answer was lost or its connection ended meanwhile
            if not facts.session and not self._hold_queue.is_requested(facts.name):
                self._hold_queue.release(
                    facts.name, hold.number, last_report_s=facts.last_report_s or hold.since_s
                )
        elif hold.number > facts.session:
            facts.session = 0
            self._connections.end(facts.name)
            has_changed = hold_elsewhere(facts, hold)
        if has_changed:
            self._registry.note(facts.name)

    def _take_content(self, revision: int) -> None:
        former, self._content = self._content, revision
        if former is None or self._store.journal.has_all(former, revision):
            return
        self._changes.note(None, cause="changed at another manager")
        for observe in self.observers:
            observe()

    def _take_alarms(self, number: int) -> None:
        former, self._alarms = self._alarms, number
        if former is not None and former != number:
            for observe in self.alarm_observers:
                observe()

    def _take_challenges(self, number: int) -> None:
        former, self._challenges = self._challenges, number
        if former is not None and former != number:
            for observe in self.challenge_observers:
                observe()

    async def _take_pushes(self) -> None:
        for asked in await self._store.asked_pushes.take():
            facts = self._registry.find(NodeName(asked.node))
            if facts is not None and facts.session:
                log.info("push.asked", node=facts.name, manager=asked.asked_by)
                if asked.is_forced:
                    # the asked manager may not have known of a conflict, and published nothing over it
                    self._changes.force(facts.name, cause="manual push")
                else:
                    self._pushes.pursue(facts)
