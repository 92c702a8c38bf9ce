"""Hold queue: a greeting is answered once the store has assigned the node's session to this manager.

Owns the order "held first, welcomed after", with many greetings per transaction. Invariants: each greeting is
answered within WELCOME_S, by a welcome or by a time to retry. The session of a disconnected node is released
as soon as the store can be written. No session is taken while this manager is not a member, as it would be
lost when it rejoins.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from common.errors import StorageError
from common.ids import NodeName
from manager.channel.connection import Connection
from manager.domain.members import HoldRequest
from manager.store.holds import EndedSession, TakenSession

log = structlog.get_logger(__name__)

GATHER_S: Final = 0.02
"""The pause after a transaction: a returning fleet shares transactions, and a single node never waits for
others.
"""

CROWD_S: Final = 0.2
"""The pause after a transaction of several greetings: a dozen statements for a few greetings would take a
tenth of the loop.
"""

BATCH: Final = 256
"""How many greetings one transaction answers, so that the first need not wait for thousands."""

RETRY_S: Final = 1.0
"""How long to wait after the store failed, or while this manager is not a member."""

WELCOME_S: Final = 10.0
"""How long a greeting may wait for the store: less than an agent waits for its welcome
(`common.wire.sender.GREETING_DEADLINE_S`).
"""

AGAIN_S: Final = 5.0
"""How soon a node that was not answered in time may greet again, here or at another manager."""

Answer = Callable[[TakenSession | None, Collection[int]], None]
"""Called with the session, None if the node no longer exists, and the numbers of nodes this manager changed
meanwhile.
"""


class Holds(Protocol):
    """The store of sessions."""

    async def take(self, requests: Sequence[HoldRequest]) -> Mapping[NodeName, TakenSession]:
        """Assign these nodes to this manager. Raises StorageError."""

    async def release(self, sessions: Mapping[NodeName, EndedSession]) -> None:
        """Release the sessions that still have these numbers. Raises StorageError."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    wanted: HoldRequest
    connection: Connection
    answer: Answer
    until_s: float


class HoldQueue:
    """A queue in front of the store's holds.

    `changes_meanwhile` is the roster's, `is_member` tells whether this manager may have sessions now,
    `is_reporting` whether a node's report is waiting to be stored.
    """

    def __init__(
        self,
        holds: Holds,
        *,
        changes_meanwhile: Callable[[], AbstractContextManager[Collection[int]]],
        is_member: Callable[[], bool],
        is_reporting: Callable[[NodeName], bool],
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._holds = holds
        self._is_member = is_member
        self._is_reporting = is_reporting
        self._changes_meanwhile = changes_meanwhile
        self._waiting: list[_Waiting] = []
        self._taking: list[_Waiting] = []
        self._released: dict[NodeName, EndedSession] = {}
        self._wanted = asyncio.Event()
        self._answered = 0
        self.failures = 0

    def request(self, wanted: HoldRequest, connection: Connection, answer: Answer) -> None:
        """Answer a greeting once this manager has the session."""
        self._waiting.append(_Waiting(wanted, connection, answer, time.monotonic() + WELCOME_S))
        self._wanted.set()

    def release(self, name: NodeName, number: int, *, last_report_s: float) -> None:
        """Release a session soon, with the time of its last report, unless a newer one has replaced it."""
        known = self._released.get(name)
        if known is None or number >= known.number:
            self._released[name] = EndedSession(number, last_report_s)
        self._wanted.set()

    def is_requested(self, name: NodeName) -> bool:
        """Whether a session of this node is being taken."""
        return any(each.wanted.node == name for each in (*self._taking, *self._waiting))

    def sweep(self, now_s: float) -> None:
        """Turn away connections that the store has kept waiting too long; called each second."""
        for each in (*self._taking, *self._waiting):
            if each.until_s <= now_s:
                _turn_away(each.connection)

    async def run(self) -> None:
        """Take and release sessions until cancelled."""
        while True:
            await self._wanted.wait()
            if not await self.flush():
                await asyncio.sleep(RETRY_S)
            else:
                await asyncio.sleep(CROWD_S if self._answered > 1 else GATHER_S)

    async def flush(self) -> bool:
        """Take and release the waiting sessions now; return whether the store did."""
        waiting = [each for each in self._waiting if each.connection.is_open]
        if not self._is_member():
            self._waiting = waiting
            return False
        self._wanted.clear()
        self._taking, self._waiting = waiting[:BATCH], waiting[BATCH:]
        self._answered = len(self._taking)
        # reports of a session are kept only while it exists
        released = {name: ended for name, ended in self._released.items() if not self._is_reporting(name)}
        self._released = {name: self._released[name] for name in self._released.keys() - released.keys()}
        try:
            # first, since a session that is taken now has a higher number anyway
            if released:
                await self._holds.release(released)
                released = {}
            if self._taking:
                await self._take(self._taking)
        except StorageError as error:
            self.failures += 1
            log.error("store.failed", reason=error.reason, message=error.message, retry_after_s=RETRY_S)
            self._waiting = [*self._taking, *self._waiting]
            self._released = {**released, **self._released}
            self._wanted.set()
            return False
        finally:
            self._taking = []
        if self._waiting or self._released:
            self._wanted.set()
        return True

    async def _take(self, batch: Sequence[_Waiting]) -> None:
        with self._changes_meanwhile() as meanwhile:
            held = await self._holds.take([each.wanted for each in batch])
            gone = {name: taken.number for name, taken in held.items()}
            for each in batch:
                if each.connection.is_open:
                    each.answer(held.get(each.wanted.node), meanwhile)
                if each.connection.is_open:
                    gone.pop(each.wanted.node, None)
        for name, number in gone.items():
            self.release(name, number, last_report_s=self._clock())


def _turn_away(connection: Connection) -> None:
    text = "the manager could not take this node in time; see the manager's log"
    connection.turn_away("wait", retry_after_s=AGAIN_S, message=text)
