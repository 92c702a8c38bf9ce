"""Flood control: handles nodes that connect too often or send more than an agent needs.

Decides which nodes may stay. Leaves the counting to `manager.channel.floods`.
"""

import time

from common.errors import Reason
from manager.channel.connection import Connection
from manager.channel.keys import PinnedKey
from manager.fleet.cluster_notifier import ClusterNotifier
from manager.fleet.connections import REPLACED_RETRY_S, Connections
from manager.fleet.registry import Registry


class FloodControl:
    def __init__(self, registry: Registry, connections: Connections, notifier: ClusterNotifier) -> None:
        self._registry = registry
        self._floods = connections.floods
        self._notifier = notifier

    def admit(self, key: PinnedKey, address: str) -> bool:
        """Whether a logged-in node may stay; a node that connects too often may not."""
        facts = self._registry.find(key.node)
        if facts is None:
            return False
        if self._floods.allowance_of(facts.name).take_connection(time.monotonic()):
            return True
        if not self._floods.rest_s(facts.name):
            self._floods.record(facts, address, "connections")
            self._notifier.note_sighting(facts.name)
        return False

    def turn_away(self, connection: Connection) -> bool:
        """Tell a node that recently sent too much when it may greet again; return whether it is one."""
        rest_s = self._floods.rest_s(connection.node)
        if rest_s > 0:
            text = "this node recently sent too much; see the manager's log"
            connection.turn_away("wait", retry_after_s=rest_s, message=text)
        return rest_s > 0

    def send_away(self, connection: Connection, what: str) -> None:
        """End the connection of a node that sends too much; `what` names it."""
        rest_s = REPLACED_RETRY_S
        if (facts := self._registry.find(connection.node)) is not None:
            rest_s = self._floods.record(facts, connection.address, what)
            self._notifier.note_sighting(facts.name)
        connection.goodbye(Reason.BUSY, rest_s)

    def sweep(self, now_s: float) -> None:
        """Clear ended floods from the display; called each second."""
        for name in self._floods.clear_over(self._registry.find, now_s):
            self._notifier.note_sighting(name)
