"""The gate of the nodes' channel: who of those that arrive may begin to log in, who waits, and who is turned away.

Decides only; opens and closes nothing and reads no clock. Addresses from which nodes are known to come have places, and a queue, of
their own. Invariant: whatever strangers hold, a node at a known address finds a place as if they were not there, and a stranger who
says who they are finds one before those who say nothing or hold more.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

import structlog

from common.runtime.places import Bucket, Paces, Place, Places
from common.source import source_of

log = structlog.get_logger(__name__)

CROWDED: Final = "too many connections from one address"
HURRIED: Final = "too many new connections from one address in a short time"
FULL: Final = "too many connections wait for their login"
EXHAUSTED: Final = "no descriptor is left for another connection"
DISPLACED: Final = "too slow while others waited"

LOOKED_AT: Final = 16
"""Sources that are asked in one go whether they may begin; the others have their turn at the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What peers may do before they have logged in and said what for.

    Attributes:
        logins: handshakes of strangers at once, and again as many of peers at known addresses; more wait for a place.
        logins_per_address: of a stranger's address, at work and waiting each. A fleet may sit behind one NAT.
        waiting: strangers that wait for a place.
        pace_burst, pace_per_s: new connections from one stranger's address.
        starts_burst, starts_per_s: handshakes of all strangers together; one costs about 7 ms of CPU.
        known_burst, known_per_s: new connections from one known address; a whole fleet may come back behind it.
        login_bytes: sent by one peer before it has proven what it came for; a login and a join take about 5 KB.
        version_s: until the peer's version line, which it sends at once (RFC 4253 4.2).
        silence_s: the same while others wait for the place.
        login_s: from there until the login.
        dawdling_s: the same while others wait for the place.
        session_s, request_s, answer_s: from the login to a session, from there to a request to join, from there until it is answered.
        attempts: keys that one connection may try.
        refusals: requests that are refused on one connection before it is cut.
        connections_per_key: connections that a node's key may have logged in at once; more end the oldest. An agent has one, and
            a second one while the manager has not noticed that the first is dead.
        connections: all connections of the port, whatever they have proven.
    """

    logins: int = 128
    logins_per_address: int = 32
    waiting: int = 256
    pace_burst: float = 128.0
    pace_per_s: float = 8.0
    starts_burst: float = 64.0
    starts_per_s: float = 32.0
    known_burst: float = 10_000.0
    known_per_s: float = 64.0
    login_bytes: int = 16 * 1024
    version_s: float = 3.0
    silence_s: float = 0.5
    login_s: float = 15.0
    dawdling_s: float = 5.0
    session_s: float = 15.0
    request_s: float = 5.0
    answer_s: float = 15.0
    attempts: int = 3
    refusals: int = 8
    connections_per_key: int = 4
    connections: int = 65536


def _nobody_to_dismiss(_why: str) -> None:
    """Stand in until the visitor has a guard."""


@dataclass(slots=True, eq=False, kw_only=True)
class Visitor(Place):
    """A peer on its way in. `dismiss` cuts it off and says why."""

    address: str
    is_known: bool
    is_silent: bool = True
    dismiss: Callable[[str], None] = _nobody_to_dismiss


@dataclass(slots=True, eq=False)
class _Queue:
    """Those who wait, source by source, each in its turn."""

    _sources: OrderedDict[str, deque[Visitor]] = field(default_factory=OrderedDict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def of(self, source: str) -> int:
        return len(self._sources.get(source, ()))

    def put(self, visitor: Visitor) -> None:
        self._sources.setdefault(visitor.source, deque()).append(visitor)
        self._count += 1

    def first(self, count: int) -> list[str]:
        """Return whose turn it is."""
        return list(islice(self._sources, count))

    def skip(self, source: str) -> None:
        """Let others have their turn before this source."""
        self._sources.move_to_end(source)

    def pop(self, source: str) -> Visitor:
        line = self._sources.pop(source)
        visitor = line.popleft()
        if line:
            self._sources[source] = line
        self._count -= 1
        return visitor


class _Side:
    """The places and the queue of one kind of peers."""

    def __init__(
        self, *, places: int, per_source: int, paces: Paces, waiting: int, waiting_per_source: int
    ) -> None:
        self.places: Places[Visitor] = Places(total=places, per_source=per_source)
        self.queue = _Queue()
        self._paces = paces
        self._waiting, self._waiting_per_source = waiting, waiting_per_source

    def reason_against(self, source: str, now_s: float) -> str:
        """Return why one more of this source is turned away, "" if it may wait."""
        if not self._paces.allows(source, now_s):
            return HURRIED
        if self.queue.of(source) >= self._waiting_per_source:
            return CROWDED
        return FULL if len(self.queue) >= self._waiting else ""

    def next(self, now_s: float) -> Visitor | None:
        """Take who may begin now, if anybody may, and dismiss whose place that is."""
        for source in self.queue.first(LOOKED_AT):
            if not self.places.has_room_for(source):
                displaced = self.places.first_to_go(source, now_s)
                if displaced is None:
                    self.queue.skip(source)
                    continue
                displaced.dismiss(DISPLACED)
                # dismissing frees it, but for one that has no guard yet
                self.places.free(displaced)
            visitor = self.queue.pop(source)
            self.places.take(visitor)
            return visitor
        return None


class Gate:
    """See the module. `known` are the sources that nodes are known to come from."""

    def __init__(self, limits: Limits, known: Container[str], now_s: float) -> None:
        self.limits = limits
        self.refused: Counter[str] = Counter()
        self._known_sources = known
        self._starts = Bucket(burst=limits.starts_burst, per_s=limits.starts_per_s, now_s=now_s)
        self._strangers = _Side(
            places=limits.logins,
            per_source=limits.logins_per_address,
            paces=Paces(burst=limits.pace_burst, per_s=limits.pace_per_s),
            waiting=limits.waiting,
            waiting_per_source=limits.logins_per_address,
        )
        self._known = _Side(
            places=limits.logins,
            per_source=limits.logins,
            paces=Paces(burst=limits.known_burst, per_s=limits.known_per_s),
            waiting=limits.connections,
            waiting_per_source=limits.connections,
        )

    @property
    def logging_in(self) -> int:
        """How many peers have begun and have not proven what they came for."""
        return len(self._strangers.places) + len(self._known.places)

    @property
    def waiting(self) -> int:
        """How many peers wait for a place."""
        return len(self._strangers.queue) + len(self._known.queue)

    def arrive(self, address: str, *, connections: int, now_s: float) -> Visitor | None:
        """Let a peer wait for its place; None, and the refusal is counted, if it is turned away.

        `connections` is how many there are on the port.
        """
        source = source_of(address)
        if connections + self.waiting >= self.limits.connections:
            self.refuse(address, EXHAUSTED)
            return None
        side = self._known if source in self._known_sources else self._strangers
        if against := side.reason_against(source, now_s):
            self.refuse(address, against)
            return None
        visitor = Visitor(source=source, address=address, is_known=side is self._known)
        side.queue.put(visitor)
        return visitor

    def beginners(self, now_s: float) -> Iterator[Visitor]:
        """Yield who may begin now; each has its place."""
        for side in (self._known, self._strangers):
            while (visitor := side.next(now_s)) is not None:
                yield visitor

    def rest_before_handshake_s(self, visitor: Visitor, now_s: float) -> float:
        """Return how long a peer that has said its version must rest before its handshake is worked on."""
        return 0.0 if visitor.is_known else self._starts.spend(now_s, 1.0)

    def leave(self, visitor: Visitor) -> None:
        """Free a peer's place: it has proven what it came for, or is gone. Harmless if it has none."""
        self._strangers.places.free(visitor)
        self._known.places.free(visitor)

    def refuse(self, address: str, why: str) -> None:
        """Count and tell a refusal."""
        self.refused[why] += 1
        log.info("connection.refused", address=address, message=why)
