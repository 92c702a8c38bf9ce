"""Conversations with nodes: routes the events of a connection to parts of the fleet.

Decides nothing itself: `manager.fleet.greetings` decides who is welcomed, `manager.fleet.statements` handles
a node's messages, and `manager.fleet.node_sessions` the end of a connection.
"""

import asyncio
import time
from typing import Final, assert_never

from common.ids import NodeName
from common.runtime.transport import Transport
from common.wire.sender import Fetch, Overdue
from manager.channel.connection import Connection
from manager.channel.conversation import Ended, Event, LimitExceeded
from manager.channel.keys import PinnedKey
from manager.domain.challenges import ChallengesKept
from manager.domain.report import Accepted, Greeting, Outcome, Progress, Rejected, Report
from manager.fleet.connections import Connections
from manager.fleet.flood_control import FloodControl
from manager.fleet.greetings import Greetings
from manager.fleet.node_sessions import NodeSessions
from manager.fleet.pushes import Pushes
from manager.fleet.statements import Statements

SWEEP_S: Final = 1.0
"""How often the connections' deadlines are checked."""


class Conversations:
    def __init__(
        self,
        connections: Connections,
        *,
        greetings: Greetings,
        sessions: NodeSessions,
        statements: Statements,
        pushes: Pushes,
        floods: FloodControl,
    ) -> None:
        self._connections = connections
        self._greetings = greetings
        self._sessions = sessions
        self._statements = statements
        self._pushes = pushes
        self._floods = floods

    async def run_sweep(self) -> None:
        """Each second, end overdue connections, and retry offers that have rested long enough."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = time.monotonic()
            self._connections.sweep(now_s)
            self._greetings.sweep(now_s)
            self._pushes.retry()
            self._floods.sweep(now_s)

    def admit(self, key: PinnedKey, address: str) -> bool:
        """Whether a logged-in node may stay."""
        return self._floods.admit(key, address)

    def accept(self, key: PinnedKey, transport: Transport) -> Connection:
        """Take a transport whose peer has proven this key; the node counts as connected once it greets."""
        return self._connections.accept(key, transport, self.handle)

    def attach(self, node: NodeName, transport: Transport) -> Connection:
        """Take a transport within this process, whose other end no other process can hold."""
        return self._connections.attach(node, transport, self.handle)

    def handle(self, connection: Connection, event: Event) -> None:
        """Act on an event of a connection."""
        match event:
            case Greeting():
                self._greetings.take(connection, event)
            case Report() | Accepted() | Progress() | Rejected() | Outcome() | ChallengesKept():
                self._statements.take(connection, event)
            case Fetch(push_id, digests):
                self._pushes.supply(connection, push_id, digests)
            case Overdue(push_id, stage):
                self._statements.note_overdue(connection, push_id, stage)
            case LimitExceeded(what):
                self._floods.send_away(connection, what)
            case Ended(reason):
                self._sessions.end(connection, reason)
            case _:
                assert_never(event)
