"""Conversations: what each message of a node changes.

Decides who is welcomed, and which connection of a node counts. Leaves what is pushed to `manager.fleet.pushes`, and whose a node's
session is to `manager.fleet.holding`.
Invariant: an outcome is acknowledged only once it is on disk.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Final, assert_never

import structlog

from common.errors import Reason
from common.ids import NodeName
from common.runtime.transport import Transport
from common.wire.sender import Fetch, Overdue
from manager.channel.connection import Connection
from manager.channel.conversation import Ended, Event, LimitExceeded
from manager.channel.keys import PinnedKey
from manager.domain.challenges import ChallengesKept
from manager.domain.contact import Contact
from manager.domain.facts import NodeFacts
from manager.domain.following import hold_here
from manager.domain.members import HoldRequest
from manager.domain.report import Accepted, Greeting, Outcome, Progress, Rejected, Report
from manager.fleet.challenges import ChallengeDelivery
from manager.fleet.changes import ChangeQueue
from manager.fleet.connections import REPLACED_RETRY_S, Connections
from manager.fleet.following import Follower
from manager.fleet.holding import Holding
from manager.fleet.leading import Lead
from manager.fleet.pushes import Pushes
from manager.fleet.registry import Registry
from manager.fleet.reports import ReportWriter
from manager.fleet.telling import Telling
from manager.store.holds import Held

log = structlog.get_logger(__name__)

SWEEP_S: Final = 1.0
"""How often the connections' deadlines are looked at."""


class Conversations:
    """What is done about every event of a connection."""

    def __init__(
        self,
        registry: Registry,
        connections: Connections,
        *,
        holding: Holding,
        follower: Follower,
        pushes: Pushes,
        reports: ReportWriter,
        changes: ChangeQueue,
        telling: Telling,
        challenges: ChallengeDelivery,
        lead: Lead,
        epoch: int,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._challenges = challenges
        self._lead = lead
        self._telling = telling
        self._registry = registry
        self._connections = connections
        self._holding = holding
        self._follower = follower
        self._pushes = pushes
        self._reports = reports
        self._changes = changes
        self._epoch = epoch
        self.contact = Contact()
        """How nodes reach this manager; empty until that is known."""

    async def run_sweep(self) -> None:
        """Each second, end what is overdue, and offer again what has rested long enough."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = time.monotonic()
            for connection in self._connections.due(now_s):
                connection.sweep(now_s)
            self._holding.sweep(now_s)
            self._pushes.retry()
            for name in self._connections.floods.calm(self._registry.find, now_s):
                self._notice(name)

    def announce(self, contact: Contact) -> None:
        """Tell everybody who is connected how to reach this manager from now on, and who connects later."""
        self.contact = contact
        for facts in self._registry:
            connection = self._connections.of(facts.name)
            if connection is not None and (news := self._news_for(facts)) is not None:
                connection.tock(server_time_s=self._clock(), epoch=self._epoch, contact=news)

    def _news_for(self, facts: NodeFacts) -> Contact | None:
        """Return what a node that keeps what it is told does not know yet, None for nothing."""
        known, contact = facts.contact, self.contact
        return contact if known is not None and contact.addresses and known != contact else None

    def admit(self, key: PinnedKey, address: str) -> bool:
        """Whether a node that has logged in may stay: not one that connects all the time."""
        facts, floods = self._registry.find(key.node), self._connections.floods
        if facts is None:
            return False
        if floods.allowance_of(facts.name).connect(time.monotonic()):
            return True
        if not floods.rest_s(facts.name):
            floods.note(facts, address, "connections")
            self._notice(facts.name)
        return False

    def accept(self, key: PinnedKey, transport: Transport) -> Connection:
        """Take a new transport whose peer has proven this key; the node counts as connected once it has greeted."""
        return self._connections.accept(key, transport, self.handle)

    def attach(self, node: NodeName, transport: Transport) -> Connection:
        """Take a transport within this process, whose other end nobody else can hold."""
        return self._connections.attach(node, transport, self.handle)

    def handle(self, connection: Connection, event: Event) -> None:
        """Act on what a connection brings."""
        match event:
            case Greeting():
                self._greet(connection, event)
            case ChallengesKept():
                self._challenges.heard(connection, event)
            case Report() | Accepted() | Progress() | Rejected() | Outcome():
                self._take(connection, event)
            case Fetch(push_id, digests):
                self._pushes.supply(connection, push_id, digests)
            case Overdue(push_id, stage):
                self._note_overdue(connection, push_id, stage)
            case LimitExceeded(what):
                self._send_away(connection, what)
            case Ended(reason):
                self._note_end(connection, reason)
            case _:
                assert_never(event)

    # -- inside

    def _send_away(self, connection: Connection, what: str) -> None:
        """Send away a node that says more than an agent has to say."""
        rest_s = REPLACED_RETRY_S
        if (facts := self._registry.find(connection.node)) is not None:
            rest_s = self._connections.floods.note(facts, connection.address, what)
            self._notice(facts.name)
        connection.goodbye(Reason.BUSY, rest_s)

    def _greet(self, connection: Connection, greeting: Greeting) -> None:
        """Answer an introduction, at once or when the node's session is this manager's. The newer of two connections of a node wins."""
        facts = self._registry.find(connection.node)
        if facts is None or greeting.node != connection.node:
            _turn_away_for_good(connection, greeting)
            return
        if (rest_s := self._connections.floods.rest_s(facts.name)) > 0:
            text = "this node has sent too much lately; see the manager's log"
            connection.turn_away("wait", retry_after_s=rest_s, message=text)
            return
        wanted = HoldRequest(
            node=facts.name,
            node_id=facts.node_id,
            address=connection.address,
            agent_version=greeting.agent_version,
            instance=greeting.instance,
            displaces=self._connections.of(facts.name) is not None,
        )
        self._holding.take(wanted, connection, partial(self._answer, connection, greeting))

    def _answer(
        self, connection: Connection, greeting: Greeting, held: Held | None, meanwhile: Collection[int]
    ) -> None:
        """Welcome a node whose session is this manager's now. Memory follows the store first: another manager may have had the node."""
        facts = self._follower.take(held.state, meanwhile) if held is not None else None
        if held is None or facts is None:
            _turn_away_for_good(connection, greeting)
        elif connection.is_open:
            # closed meanwhile if the node's key was replaced
            was_elsewhere = facts.elsewhere
            hold_here(facts, held.number, monotonic_s=time.monotonic(), now_s=self._clock())
            self._welcome(connection, greeting, facts, since_s=held.since_s)
            if was_elsewhere or not self._lead.is_ours:
                # who published to it until now may not have published what changed last
                self._changes.note([facts.name], cause="connected to another manager")

    def _take(
        self, connection: Connection, statement: Report | Accepted | Progress | Rejected | Outcome
    ) -> None:
        """Take what a node says of itself or of a push."""
        facts = self._registry.find(connection.node)
        if facts is None:
            return
        now_s = self._clock()
        match statement:
            case Report():
                if facts.apply_report(statement, now_s):
                    self._reports.put(facts, now_s)
                connection.tock(server_time_s=now_s, epoch=self._epoch, contact=self._news_for(facts))
                self._pushes.pursue(facts)
            case Progress():
                facts.progress(statement)
            case Accepted():
                pass
            case Rejected():
                if facts.conclude(statement, now_s):
                    self._reports.put(facts, now_s)
                self._pushes.conclude(facts, statement)
            case Outcome():
                facts.conclude(statement, now_s)
                # acknowledged only once it is on disk: until then the node keeps it
                self._reports.put(facts, now_s, lambda: connection.acknowledge(statement.push_id))
                self._pushes.conclude(facts, statement)
            case _:
                assert_never(statement)
        self._registry.note(facts.name)

    def _notice(self, name: NodeName) -> None:
        """Tell whoever watches, here and at other managers, that a node begins or ceases to flood, or was turned away."""
        self._registry.note(name)
        self._telling.noticed(name)

    def _note_overdue(self, connection: Connection, push_id: str, stage: str) -> None:
        """Note a push without an answer; the connection is being closed, and the node is offered again when it is back."""
        log.warning("push.overdue", node=connection.node, push_id=push_id, phase=stage)
        if (facts := self._registry.find(connection.node)) is not None:
            facts.overdue(push_id, stage, self._clock())
            if facts.session:
                self._reports.put(facts, self._clock())
            self._registry.note(facts.name)

    def _note_end(self, connection: Connection, reason: Reason) -> None:
        """Note that a connection is over."""
        facts = self._registry.find(connection.node)
        if facts is not None and reason == Reason.UNSUPPORTED and facts.connected_s is None:
            facts.turned_away = (
                "its agent speaks a protocol that the manager does not; upgrade the older side"
            )
            self._notice(facts.name)
        if not self._connections.discard(connection):
            return
        log.info("node.disconnected", node=connection.node, address=connection.address, reason=reason)
        if facts is not None:
            self._leave(facts, self._clock())
            self._registry.note(facts.name)

    def _leave(self, facts: NodeFacts, now_s: float) -> None:
        """Give up a node's session, if this manager still has it."""
        number = facts.session
        if number and facts.is_pushing:
            facts.lose_push(now_s)
            self._reports.put(facts, now_s)
        facts.disconnect(now_s)
        if number:
            self._holding.release(facts.name, number, last_report_s=facts.last_report_s or now_s)

    def _welcome(
        self, connection: Connection, greeting: Greeting, facts: NodeFacts, *, since_s: float
    ) -> None:
        self._connections.count_on(connection)
        now_s = self._clock()
        facts.joined = True
        has_moved = (facts.address, facts.agent_version) != (connection.address, greeting.agent_version)
        facts.connect(
            address=connection.address,
            agent_version=greeting.agent_version,
            since_s=since_s,
            now_s=now_s,
        )
        # an agent that was put back to an earlier release keeps what it is told no more
        if forgets := facts.contact is not None and greeting.report.contact is None:
            facts.contact = None
        if facts.apply_report(greeting.report, now_s) or has_moved or forgets:
            self._reports.put(facts, now_s)
        log.info(
            "node.connected", node=facts.name, address=connection.address, version=greeting.agent_version
        )
        connection.welcome(server_time_s=now_s, epoch=self._epoch, contact=self._news_for(facts))
        if facts.awaiting_first_report:
            # what it brings may have higher numbers than ours; publishing goes above them
            self._changes.note([facts.name], cause="node joined")
        self._challenges.welcomed(connection)
        self._pushes.pursue(facts)
        self._registry.note(facts.name)


def _turn_away_for_good(connection: Connection, greeting: Greeting) -> None:
    text = f"this manager has no node '{greeting.node}' with this key; join again with a new token"
    connection.turn_away("re_enrol", retry_after_s=300, message=text[:512])
