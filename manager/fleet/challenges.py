"""Challenge delivery: sends each connected node the set it must show to CAs, and records its answer.

A set is sent when the node has greeted, when its rows in the store have changed, and in any case within the
minute. The code that places challenges decides their content. Invariants: on each connection a node is sent a
set once unless it changed, and an empty set only if the node holds challenges. Its answer counts for the last
set sent, and is written only if it is news.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from common.errors import StorageError
from common.ids import NodeName
from manager.channel.connection import Connection
from manager.domain.challenges import ChallengesKept, PlacedChallenge, by_node, faults_by_token, to_send
from manager.fleet.connections import Connections
from manager.store.store import Store

log = structlog.get_logger(__name__)

RECONCILE_S: Final = 60.0
"""How often the store is read without a notification, as one may be lost."""

PAUSE_S: Final = 0.2
"""How long changes are gathered, so that the answers of a fleet share a transaction."""

RETRY_S: Final = 1.0
"""How long to wait after the store failed."""

UNKNOWING: Final = "its agent does not support challenges: it is an earlier release, or the management node's"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """The last set sent to a node, and the connection."""

    connection: Connection
    number: int
    placed: frozenset[tuple[str, str, float]]


class ChallengeDelivery:
    """Start it with `run`.

    Call `wake` when challenges change here or another manager notifies of a change.
    """

    def __init__(self, store: Store, connections: Connections) -> None:
        self._store = store
        self._connections = connections
        self._placed: Mapping[NodeName, Sequence[PlacedChallenge]] | None = None
        self._sent: dict[NodeName, _Sent] = {}
        self._unwritten: dict[NodeName, dict[str, str]] = {}
        self._number = 0
        self._woken = asyncio.Event()
        self._woken.set()

    def wake(self) -> None:
        """Read the placed challenges soon."""
        self._woken.set()

    def send_on_welcome(self, connection: Connection) -> None:
        """Send a welcomed node the challenges it must show."""
        if self._placed is not None:
            self._send(connection, self._placed.get(connection.node, ()))

    def note_kept(self, connection: Connection, kept: ChallengesKept) -> None:
        """Record a node's answer about its set."""
        sent = self._sent.get(connection.node)
        if sent is not None and sent.connection is connection and sent.number == kept.number:
            self._note(connection.node, faults_by_token(kept, (token for token, _, _ in sent.placed)))

    async def run(self) -> None:
        """Send placed challenges and record answers, until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECONCILE_S):
                    await self._woken.wait()
            self._woken.clear()
            try:
                await self.turn()
            except StorageError as error:
                log.error("store.failed", reason=error.reason, message=error.message, retry_after_s=RETRY_S)
                self._woken.set()
                await asyncio.sleep(RETRY_S)
            await asyncio.sleep(PAUSE_S)

    async def turn(self) -> None:
        """Write the nodes' answers, and send each node its unsent set. Raises StorageError."""
        await self._write()
        everything, now_s = await self._store.placed_challenges.all(), self._store.clock()
        if any(each.expires_s <= now_s for each in everything):
            await self._store.placed_challenges.remove_expired()
        is_first = self._placed is None
        self._placed = placed = by_node(everything, now_s=now_s)
        self._sent = {
            name: sent for name, sent in self._sent.items() if self._connections.of(name) is sent.connection
        }
        names = {each.node for each in self._connections.all()} if is_first else placed.keys() | self._sent
        for name in names:
            if (connection := self._connections.of(name)) is not None:
                self._send(connection, placed.get(name, ()))

    # -- inside

    def _send(self, connection: Connection, placed: Sequence[PlacedChallenge]) -> None:
        name, held = connection.node, connection.challenges_held
        if not connection.ready:
            return
        if held is None:
            self._note(name, {each.token: UNKNOWING for each in placed})
            return
        wanted = frozenset((each.token, each.response, each.expires_s) for each in placed)
        sent = self._sent.get(name)
        is_same = sent is not None and sent.connection is connection and sent.placed == wanted
        if is_same or not (wanted or held):
            return
        self._number += 1
        self._sent[name] = _Sent(connection=connection, number=self._number, placed=wanted)
        connection.show(self._number, to_send(placed, now_s=self._store.clock()))

    def _note(self, name: NodeName, faults: Mapping[str, str]) -> None:
        """Queue a node's answer for the store unless it is stored already."""
        placed = (self._placed or {}).get(name, ())
        known = {each.token: each.fault for each in placed if each.fault or each.kept_s is not None}
        news = {token: fault for token, fault in faults.items() if known.get(token) != fault}
        self._unwritten.pop(name, None)
        if news:
            self._unwritten[name] = news
            self._woken.set()

    async def _write(self) -> None:
        said, self._unwritten = self._unwritten, {}
        if not said:
            return
        try:
            await self._store.placed_challenges.note_kept(said)
        except StorageError:
            self._unwritten = said | self._unwritten
            raise
