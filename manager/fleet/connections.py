"""Connections by node: the current one, the unanswered ones, and each node's message allowance.

Decides when a key change ends a node's connections. Invariants: a node has at most one current connection; a
peer whose key is no longer pinned has none.
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
"""How long an agent stays away after its connection was replaced, so that two machines with one key do not
fight.
"""

GOODBYE_RETRY_S: Final = 2.0
"""How soon agents retry after the manager stops or their key is replaced; each adds its own jitter."""

RETURNS_PER_S: Final = 300.0
"""How many sent-away agents return per second: as fast as one manager admits them (`bench.full`, the return
of 10,000).
"""


class Connections:
    """All connections to nodes, and their shared allowances."""

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
        """Take a transport within this process, whose other end no other process can hold."""
        return self._open(node, transport, handle, lambda: True)

    def make_current(self, connection: Connection) -> Connection | None:
        """Make a connection its node's current one. Return the one it replaces, after a goodbye."""
        self._greeting.discard(connection)
        older = self._current.pop(connection.node, None)
        if older is not None:
            log.info("node.replaced", node=older.node, address=older.address)
            older.goodbye(Reason.CONFLICT, REPLACED_RETRY_S)
        self._current[connection.node] = connection
        return older

    def of(self, name: NodeName) -> Connection | None:
        """Return a node's current connection."""
        return self._current.get(name)

    def all(self) -> list[Connection]:
        """Return all connections, including unanswered ones."""
        return [*self._current.values(), *self._greeting]

    def sweep(self, now_s: float) -> None:
        """Act on expired deadlines of all connections; called each second."""
        for connection in [
            each for each in (*self._current.values(), *self._greeting) if each.due_s <= now_s
        ]:
            connection.sweep(now_s)

    def discard(self, connection: Connection) -> bool:
        """Drop a closed connection; return whether it was the current one."""
        self._greeting.discard(connection)
        if self._current.get(connection.node) is not connection:
            return False
        del self._current[connection.node]
        return True

    def key_of(self, name: NodeName) -> str:
        """Return a node's key, "" if it has none."""
        return self._keys.line_of(name)

    def pin(self, name: NodeName, public_key_line: str) -> None:
        """Set a node's key, and end the connections opened by its former key."""
        self._keys.pin(name, public_key_line)

    def forget(self, name: NodeName) -> None:
        """Drop a node's key and its allowance, and end all its connections."""
        self.floods.forget(name)
        self._keys.forget(name)
        self._end_all(name, Reason.FORBIDDEN, REPLACED_RETRY_S)

    def end(self, name: NodeName) -> None:
        """End the current connection: the node's session is another manager's."""
        if (connection := self._current.get(name)) is not None:
            log.info("node.replaced", node=name, address=connection.address)
            connection.goodbye(Reason.CONFLICT, REPLACED_RETRY_S)

    def reconnect(self, name: NodeName) -> None:
        """End the current connection, so that the node greets again: no manager has its session."""
        if (connection := self._current.get(name)) is not None:
            self._reconnect(connection)

    def reconnect_all(self) -> None:
        """Say goodbye to all, each with a time to come back.

        They return to this manager (after its restart, if it stops) or meanwhile go to another.
        """
        self._reconnect_all(Reason.BUSY)

    def reconnect_all_elsewhere(self) -> None:
        """Say goodbye to all, with a time to come back, to another manager first.

        This one may take none for now.
        """
        self._reconnect_all(GO_ELSEWHERE)

    def _reconnect_all(self, reason: Reason) -> None:
        for connection in self.all():
            self._reconnect(connection, reason)

    def _reconnect(self, connection: Connection, reason: Reason = Reason.BUSY) -> None:
        """Say goodbye to one that should return soon, after those told so a moment ago."""
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
        """End the connections a key opened; the holder of its replacement may return at once."""
        retry_s = REPLACED_RETRY_S if reason == Reason.FORBIDDEN else GOODBYE_RETRY_S
        self._end_all(key.node, reason, retry_s)

    def _end_all(self, name: NodeName, reason: Reason, retry_after_s: float) -> None:
        """End every connection of a node, answered or not."""
        current = self._current.get(name)
        greeting = [each for each in self._greeting if each.node == name]
        for connection in [*greeting, *([current] if current is not None else [])]:
            connection.goodbye(reason, retry_after_s)
