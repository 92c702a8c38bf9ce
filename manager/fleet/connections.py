"""Connections by node: which one counts, which were not answered yet, and how much each node may say.

Decides when a node's connections end because of its key. Invariant: of a node at most one connection counts; who holds a key that
is no longer pinned has none.
"""

import time
from collections.abc import Callable
from typing import Final

import structlog

from common.errors import Reason
from common.ids import NodeName
from common.runtime.transport import Transport
from common.wire.contact import GO_ELSEWHERE
from manager.channel.connection import Connection, Handle
from manager.channel.floods import Floods
from manager.channel.keys import KeyRegistry, PinnedKey

log = structlog.get_logger(__name__)

REPLACED_RETRY_S: Final = 30.0
"""How long an agent whose connection was replaced stays away; two machines with one key then do not fight."""

GOODBYE_RETRY_S: Final = 2.0
"""When the manager stops, or the agent's key was replaced, agents try again about this soon, each with its own jitter."""

RETURNS_PER_S: Final = 300.0
"""How many agents that were sent away come back in a second: as fast as one manager lets them in (`bench.full`, the return of 10,000)."""


class Connections:
    """All connections to nodes, and the allowances that they share."""

    def __init__(self, keys: KeyRegistry) -> None:
        self._keys = keys
        keys.watchers.append(self._key_revoked)
        self._current: dict[NodeName, Connection] = {}
        self._greeting: set[Connection] = set()
        self._returning_until_s = 0.0
        self.floods = Floods()

    def accept(self, key: PinnedKey, transport: Transport, handle: Handle) -> Connection:
        """Take a transport whose peer has proven this key."""
        return self._open(key.node, transport, handle, lambda: self._keys.is_current(key))

    def attach(self, node: NodeName, transport: Transport, handle: Handle) -> Connection:
        """Take a transport within this process, whose other end nobody else can hold."""
        return self._open(node, transport, handle, lambda: True)

    def make_current(self, connection: Connection) -> Connection | None:
        """Make a connection the one of its node; return the one that it replaces, after a goodbye."""
        self._greeting.discard(connection)
        older = self._current.pop(connection.node, None)
        if older is not None:
            log.info("node.replaced", node=older.node, address=older.address)
            older.goodbye(Reason.CONFLICT, REPLACED_RETRY_S)
        self._current[connection.node] = connection
        return older

    def of(self, name: NodeName) -> Connection | None:
        """Return the connection that counts."""
        return self._current.get(name)

    def all(self) -> list[Connection]:
        """Return all, those that were not answered yet included."""
        return [*self._current.values(), *self._greeting]

    def sweep(self, now_s: float) -> None:
        """Act on passed deadlines of all connections; called each second."""
        for connection in [
            each for each in (*self._current.values(), *self._greeting) if each.due_s <= now_s
        ]:
            connection.sweep(now_s)

    def discard(self, connection: Connection) -> bool:
        """Drop a connection that is over; return whether it was the one that counts."""
        self._greeting.discard(connection)
        if self._current.get(connection.node) is not connection:
            return False
        del self._current[connection.node]
        return True

    def key_of(self, name: NodeName) -> str:
        """Return the key that a node has, "" if it has none."""
        return self._keys.line_of(name)

    def pin(self, name: NodeName, public_key_line: str) -> None:
        """Set a node's key, and end the connections that its former key opened."""
        self._keys.pin(name, public_key_line)

    def forget(self, name: NodeName) -> None:
        """Drop a node's key and its allowance, and end all its connections."""
        self.floods.forget(name)
        self._keys.forget(name)
        self._end_all(name, Reason.FORBIDDEN, REPLACED_RETRY_S)

    def end(self, name: NodeName) -> None:
        """End the connection that counts: the node's session is another manager's."""
        if (connection := self._current.get(name)) is not None:
            log.info("node.replaced", node=name, address=connection.address)
            connection.goodbye(Reason.CONFLICT, REPLACED_RETRY_S)

    def reconnect(self, name: NodeName) -> None:
        """End the connection that counts, so that the node greets again: its session is nobody's."""
        if (connection := self._current.get(name)) is not None:
            self._reconnect(connection)

    def reconnect_all(self) -> None:
        """Say goodbye to all, and when each comes back: to this manager (once it runs again, if it stops), or to another one meanwhile."""
        self._reconnect_all(Reason.BUSY)

    def reconnect_all_elsewhere(self) -> None:
        """Say goodbye to all, and when each comes back, to another manager first: this one may take none for now."""
        self._reconnect_all(GO_ELSEWHERE)

    def _reconnect_all(self, reason: Reason) -> None:
        for connection in self.all():
            self._reconnect(connection, reason)

    def _reconnect(self, connection: Connection, reason: Reason = Reason.BUSY) -> None:
        """Say goodbye to one that is to come back soon, behind those that were told so a moment ago."""
        now_s = time.monotonic()
        comes_s = max(now_s, self._returning_until_s)
        self._returning_until_s = comes_s + 1 / RETURNS_PER_S
        connection.goodbye(reason, GOODBYE_RETRY_S + comes_s - now_s)

    def _open(
        self, node: NodeName, transport: Transport, handle: Handle, is_authorised: Callable[[], bool]
    ) -> Connection:
        connection = Connection(
            node=node,
            transport=transport,
            handle=handle,
            is_authorised=is_authorised,
            allowance=self.floods.allowance_of(node),
        )
        self._greeting.add(connection)
        return connection

    def _key_revoked(self, key: PinnedKey, reason: Reason) -> None:
        """End what the key opened; who replaced it may come back at once."""
        retry_s = REPLACED_RETRY_S if reason == Reason.FORBIDDEN else GOODBYE_RETRY_S
        self._end_all(key.node, reason, retry_s)

    def _end_all(self, name: NodeName, reason: Reason, retry_after_s: float) -> None:
        """End every connection of a node, answered or not."""
        current = self._current.get(name)
        greeting = [each for each in self._greeting if each.node == name]
        for connection in [*greeting, *([current] if current is not None else [])]:
            connection.goodbye(reason, retry_after_s)
