"""Node sessions: the state that begins and ends with a node's session at this manager.

`manager.fleet.hold_queue` decides whose a session is. Invariant: a node's current connection is the one its
session began with, and nothing is pushed to the node before.
"""

from collections.abc import Callable
from typing import Protocol

import structlog

from common.errors import Reason
from common.ids import NodeName
from manager.channel.connection import Connection
from manager.domain.facts import NodeFacts
from manager.domain.report import Greeting
from manager.fleet.announcements import ContactAnnouncer
from manager.fleet.cluster_notifier import ClusterNotifier
from manager.fleet.connections import Connections
from manager.fleet.hold_queue import HoldQueue
from manager.fleet.registry import Registry
from manager.fleet.reports import ReportWriter

log = structlog.get_logger(__name__)


class OnSessionStart(Protocol):
    """Called after a node was welcomed; `was_elsewhere`: another manager had the session until now."""

    def __call__(self, connection: Connection, facts: NodeFacts, *, was_elsewhere: bool) -> None: ...


class NodeSessions:
    """The sessions. `started` brings a welcomed node up to date."""

    def __init__(
        self,
        registry: Registry,
        connections: Connections,
        *,
        hold_queue: HoldQueue,
        reports: ReportWriter,
        notifier: ClusterNotifier,
        announcer: ContactAnnouncer,
        started: OnSessionStart,
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._connections = connections
        self._hold_queue = hold_queue
        self._reports = reports
        self._notifier = notifier
        self._announcer = announcer
        self._started = started
        self._clock = clock

    def begin(
        self,
        connection: Connection,
        greeting: Greeting,
        facts: NodeFacts,
        *,
        since_s: float,
        was_elsewhere: bool,
    ) -> None:
        """Welcome a node whose session this manager has had since `since_s`."""
        self._connections.make_current(connection)
        now_s = self._clock()
        facts.joined = True
        has_moved = (facts.address, facts.agent_version) != (connection.address, greeting.agent_version)
        facts.connect(
            address=connection.address,
            agent_version=greeting.agent_version,
            since_s=since_s,
            now_s=now_s,
        )
        # an agent downgraded to an earlier release no longer keeps contacts
        if forgets := facts.contact is not None and greeting.report.contact is None:
            facts.contact = None
        if facts.apply_report(greeting.report, now_s) or has_moved or forgets:
            self._reports.put(facts, now_s)
        log.info(
            "node.connected", node=facts.name, address=connection.address, version=greeting.agent_version
        )
        self._announcer.welcome(connection, facts)
        self._started(connection, facts, was_elsewhere=was_elsewhere)
        self._registry.note(facts.name)

    def end(self, connection: Connection, reason: Reason) -> None:
        """Note that a connection ended, and release the node's session if it was the current one."""
        facts = self._registry.find(connection.node)
        if facts is not None and reason == Reason.UNSUPPORTED and facts.connected_s is None:
            facts.turned_away = (
                "its agent speaks a protocol that the manager does not; upgrade the older side"
            )
            self._notifier.note_sighting(facts.name)
        if not self._connections.discard(connection):
            return
        log.info("node.disconnected", node=connection.node, address=connection.address, reason=reason)
        if facts is not None:
            self._give_up(facts, self._clock())
            self._registry.note(facts.name)

    def _give_up(self, facts: NodeFacts, now_s: float) -> None:
        """Release a node's session if this manager still has it."""
        number = facts.session
        if number and facts.is_pushing:
            facts.lose_push(now_s)
            self._reports.put(facts, now_s)
        facts.disconnect(now_s)
        if number:
            self._hold_queue.release(facts.name, number, last_report_s=facts.last_report_s or now_s)


def end_lost_session(
    registry: Registry, connections: Connections, node: NodeName, session: int, *, is_nobodys: bool
) -> None:
    """End a connection whose session the store gave to another manager or, with `is_nobodys`, to none."""
    facts = registry.find(node)
    if facts is None or facts.session != session:
        return
    facts.session = 0
    if is_nobodys:
        connections.reconnect(node)
    else:
        connections.end(node)
