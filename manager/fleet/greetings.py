"""Greetings: the answer to an agent's introduction, at once or when this manager has its node's session.

Decides which nodes may have a session here. Leaves the session's owner to `manager.fleet.hold_queue`, and the
rest to `manager.fleet.node_sessions`.
"""

import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Final

from manager.channel.connection import Connection
from manager.domain.following import hold_here
from manager.domain.members import HoldRequest
from manager.domain.report import Greeting
from manager.fleet.connections import Connections
from manager.fleet.flood_control import FloodControl
from manager.fleet.following import Follower
from manager.fleet.hold_queue import HoldQueue
from manager.fleet.node_sessions import NodeSessions
from manager.fleet.registry import Registry
from manager.store.holds import TakenSession

RE_ENROL_RETRY_S: Final = 300
"""How long an agent that must join again stays away: an operator has to bring it a token first."""


class Greetings:
    def __init__(
        self,
        registry: Registry,
        connections: Connections,
        *,
        floods: FloodControl,
        hold_queue: HoldQueue,
        follower: Follower,
        sessions: NodeSessions,
        clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._connections = connections
        self._floods = floods
        self._hold_queue = hold_queue
        self._follower = follower
        self._sessions = sessions
        self._clock = clock

    def take(self, connection: Connection, greeting: Greeting) -> None:
        """Answer an introduction. The newer of a node's two connections wins."""
        facts = self._registry.find(connection.node)
        if facts is None or greeting.node != connection.node:
            _turn_away_for_good(connection, greeting)
            return
        if self._floods.turn_away(connection):
            return
        wanted = HoldRequest(
            node=facts.name,
            node_id=facts.node_id,
            address=connection.address,
            agent_version=greeting.agent_version,
            instance=greeting.instance,
            displaces=self._connections.of(facts.name) is not None,
        )
        self._hold_queue.request(wanted, connection, partial(self._answer, connection, greeting))

    def sweep(self, now_s: float) -> None:
        """Turn away connections that have waited too long for an answer; called each second."""
        self._hold_queue.sweep(now_s)

    def _answer(
        self,
        connection: Connection,
        greeting: Greeting,
        held: TakenSession | None,
        meanwhile: Collection[int],
    ) -> None:
        """Welcome a node whose session is now this manager's.

        The facts follow the store first: another manager may have had the node.
        """
        facts = self._follower.take(held.state, meanwhile) if held is not None else None
        if held is None or facts is None:
            _turn_away_for_good(connection, greeting)
        elif connection.is_open:
            # closed meanwhile if the node's key was replaced
            was_elsewhere = facts.elsewhere
            hold_here(facts, held.number, monotonic_s=time.monotonic(), now_s=self._clock())
            self._sessions.begin(
                connection, greeting, facts, since_s=held.since_s, was_elsewhere=was_elsewhere
            )


def _turn_away_for_good(connection: Connection, greeting: Greeting) -> None:
    text = f"this manager has no node '{greeting.node}' with this key; join again with a new token"
    connection.turn_away("re_enrol", retry_after_s=RE_ENROL_RETRY_S, message=text[:512])
