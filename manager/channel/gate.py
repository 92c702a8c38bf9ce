"""Gate of the nodes' channel: which peers may log in, which wait, and which are turned away.

Only decides: it opens and closes nothing and reads no clock. Addresses that nodes are known to come from have
separate places and a separate queue. Strangers whose source recently wasted a place wait behind the others.
Nodes return as fast as the loop allows: one handshake begins in each turn of the loop, and the rate bounds
only handshakes that fail. Invariants: whatever strangers hold, a node at a known address finds a place as if
they were not there. A stranger that has sent its version goes before those that have sent nothing or hold
more. A silent peer takes a place only if none that has spoken waits. A peer that proves nothing gets no more
of the loop when others at its address prove themselves.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Container
from math import inf
from typing import Final

import structlog

from common.runtime.buckets import KEYS_MAX, Buckets
from common.runtime.connection_limit import ConnectionLimit
from common.source import source_of
from manager.channel.limits import RESERVED_SHARE, WAITING_SHARE, Limits
from manager.channel.visitors import GONE, HandshakeQueue, Queue, Visitor

log = structlog.get_logger(__name__)

CROWDED: Final = "too many connections from one address"
HURRIED: Final = "too many new connections from one address in a short time"
FULL: Final = "too many connections wait for their login"
EXHAUSTED: Final = "no descriptor is left for another connection"
DISPLACED: Final = "too slow while others waited"

SPEAKS_S: Final = 0.05
"""A waiting peer that was silent this long goes when a new source needs its turn: a client sends its version
right after its first packet.
"""

HASTY_S: Final = 0.5
"""A peer that returns this soon after it was turned away has not waited as agents do."""

SPOILED_EVERY: Final = 4
"""One in this many places goes to a source that wasted its last one: an honest peer may share its address."""

LOOKED_AT: Final = 16
"""How many sources are checked, and how many departed peers removed, in one call; the rest follow in the
next.
"""


class _Side:
    """The places and the queue of one kind of peer."""

    def __init__(
        self,
        *,
        places: int,
        per_source: int,
        paces: Buckets[str],
        waiting: int,
        waiting_per_source: int,
        turns: HandshakeQueue,
    ) -> None:
        self.places: ConnectionLimit[Visitor] = ConnectionLimit(total=places, per_source=per_source)
        self.turns = turns
        self._silent, self._fresh, self._penalised = Queue(), Queue(), Queue()
        self._begun = 0
        self.paces = paces
        self._waiting, self._waiting_per_source = waiting, waiting_per_source

    @property
    def waiting(self) -> int:
        return sum(map(len, self._queues))

    @property
    def _queues(self) -> tuple[Queue, ...]:
        return (self._fresh, self._penalised, self._silent)

    def reason_against(self, source: str, now_s: float, *, is_penalised: bool) -> str:
        """Return why another peer of this source is turned away, "" if it may wait.

        A new source displaces a silent peer.
        """
        if not self.paces.take(source, now_s):
            return HURRIED
        if sum(each.of(source) for each in self._queues) >= self._waiting_per_source:
            return CROWDED
        if self.waiting < self._waiting:
            return ""
        displaced = None if is_penalised else self._first_to_go(now_s)
        if displaced is None:
            return FULL
        displaced.dismiss(DISPLACED)
        # dismissing removes it, unless it has no holder
        self.leave(displaced)
        return ""

    def _first_to_go(self, now_s: float) -> Visitor | None:
        penalised = self._silent.oldest(is_penalised=True) or self._penalised.oldest(is_penalised=True)
        fresh = self._silent.oldest(is_penalised=False)
        if penalised is None and fresh is not None and fresh.arrived_s <= now_s - SPEAKS_S:
            return fresh
        return penalised

    def put(self, visitor: Visitor) -> None:
        """Queue a visitor that has sent nothing yet."""
        self._silent.put(visitor)

    def spoke(self, visitor: Visitor) -> None:
        """Move a visitor that has sent something ahead of silent ones."""
        if self._silent.remove(visitor):
            (self._penalised if visitor.is_penalised else self._fresh).put(visitor)

    def leave(self, visitor: Visitor) -> None:
        """Remove a visitor from its queue."""
        any(each.remove(visitor) for each in self._queues)

    def next(self, now_s: float) -> Visitor | None:
        """Remove and return the visitor that may begin now, if any, dismissing the one it displaces."""
        for _ in range(LOOKED_AT):
            visitor = self._first(now_s)
            if visitor is None:
                return None
            if not visitor.has_left():
                self.places.take(visitor)
                self._begun += 1
                return visitor
            visitor.dismiss(GONE)
        return None

    def _first(self, now_s: float) -> Visitor | None:
        spoken = (self._fresh, self._penalised)
        queues: list[Queue] = [*(spoken if self._begun % SPOILED_EVERY else reversed(spoken)), self._silent]
        for queue in queues:
            for source in queue.first(LOOKED_AT):
                if self._has_room_for(source, now_s):
                    return queue.pop(source)
                queue.skip(source)
        return None

    def _has_room_for(self, source: str, now_s: float) -> bool:
        if self.places.has_room_for(source):
            return True
        displaced = self.places.first_to_go(source, now_s)
        if displaced is None:
            return False
        displaced.dismiss(DISPLACED)
        # dismissing frees it, unless it has no guard yet
        self.places.free(displaced)
        return True


class Gate:
    """The gate.

    `known` are the sources that nodes are known to come from; `wake` is called when another peer may begin.
    """

    def __init__(
        self, limits: Limits, known: Container[str], now_s: float, *, wake: Callable[[], None]
    ) -> None:
        self.limits = limits
        self._wake = wake
        self.refused: Counter[str] = Counter()
        self._known_sources = known
        self._penalised: OrderedDict[str, float] = OrderedDict()
        self._refused_s: OrderedDict[str, float] = OrderedDict()
        self._strangers = _Side(
            places=limits.logins,
            per_source=limits.logins_per_address,
            paces=Buckets(burst=limits.pace_burst, per_s=limits.pace_per_s),
            waiting=limits.waiting,
            waiting_per_source=limits.logins_per_address,
            turns=HandshakeQueue(burst=limits.starts_burst, per_s=limits.starts_per_s, now_s=now_s),
        )
        self._known = _Side(
            places=limits.known_logins,
            per_source=max(1, limits.known_logins - limits.known_logins // RESERVED_SHARE),
            paces=Buckets(burst=limits.known_burst, per_s=limits.known_per_s),
            waiting=limits.connections,
            waiting_per_source=max(1, limits.connections // WAITING_SHARE),
            turns=HandshakeQueue(
                burst=limits.known_starts_burst, per_s=limits.known_starts_per_s, now_s=now_s
            ),
        )

    @property
    def logging_in(self) -> int:
        """How many peers have begun and have not authenticated yet."""
        return len(self._strangers.places) + len(self._known.places)

    @property
    def waiting(self) -> int:
        """How many peers wait for a place."""
        return self._strangers.waiting + self._known.waiting

    def arrive(self, address: str, *, connections: int, now_s: float) -> Visitor | None:
        """Queue a peer for its place. If it is turned away, count the refusal and return None.

        `connections` is the number of connections on the port.
        """
        source = source_of(address)
        if connections + self.waiting >= self.limits.connections:
            self.refuse(address, EXHAUSTED)
            return None
        side = self._known if source in self._known_sources else self._strangers
        is_penalised = side is self._strangers and self._penalised.get(source, -inf) > now_s
        if against := side.reason_against(source, now_s, is_penalised=is_penalised):
            if against == FULL:
                self._turned_away(source, now_s)
            self.refuse(address, against)
            return None
        visitor = Visitor(
            source=source,
            address=address,
            is_known=side is self._known,
            arrived_s=now_s,
            told_s=now_s,
            is_penalised=is_penalised,
        )
        side.put(visitor)
        self._wake()
        return visitor

    def beginners(self, now_s: float) -> list[Visitor]:
        """Return the peers that begin now: at most one known peer and one stranger.

        So neither kind waits for the other.
        """
        return [visitor for side in self._sides if (visitor := side.next(now_s)) is not None]

    @property
    def _sides(self) -> tuple[_Side, _Side]:
        return (self._known, self._strangers)

    def _turned_away(self, source: str, now_s: float) -> None:
        """Penalise a source that returns right after it was turned away; an agent waits at least a second."""
        if now_s - self._refused_s.pop(source, -inf) < HASTY_S:
            self._penalise(source, now_s)
        self._refused_s[source] = now_s
        if len(self._refused_s) > KEYS_MAX:
            self._refused_s.popitem(last=False)

    def _penalise(self, source: str, now_s: float) -> None:
        self._penalised.pop(source, None)
        self._penalised[source] = now_s + self.limits.penalty_s
        if len(self._penalised) > KEYS_MAX:
            self._penalised.popitem(last=False)

    def spoke(self, visitor: Visitor) -> None:
        """Note that a waiting peer has sent something."""
        self._side(visitor).spoke(visitor)
        self._wake()

    def give_up(self, visitor: Visitor, now_s: float) -> None:
        """Note that a waiting peer has left."""
        self._side(visitor).leave(visitor)
        self.judge(visitor, now_s, is_worthy=False)
        self._wake()

    def _side(self, visitor: Visitor) -> _Side:
        return self._known if visitor.is_known else self._strangers

    def ask_for_turn(self, visitor: Visitor) -> float:
        """Queue a peer that has sent its version for its handshake; return how long the wait is at most."""
        self._wake()
        return self._side(visitor).turns.ask(visitor)

    def take_turns(self, now_s: float) -> list[Visitor]:
        """Take the peers whose handshakes are next: at most one known peer and one stranger."""
        return [visitor for side in self._sides if (visitor := side.turns.next(now_s)) is not None]

    def until_turn_s(self, now_s: float) -> float | None:
        """Return when the next turn may be taken, None if none is waited for."""
        waits = [side.turns.wait_s(now_s) for side in self._sides]
        return min((each for each in waits if each is not None), default=None)

    def judge(self, visitor: Visitor, now_s: float, *, is_worthy: bool) -> None:
        """Remember whether a peer used its place or wasted it. A node's use of the rates does not count."""
        if not is_worthy:
            self._penalise(visitor.source, now_s)
            return
        self._penalised.pop(visitor.source, None)
        side = self._side(visitor)
        side.turns.give_back(visitor, now_s)
        side.paces.give_back(visitor.source, now_s)
        self._wake()

    def leave(self, visitor: Visitor) -> None:
        """Free the place of a peer that has authenticated or left. Idempotent."""
        self._side(visitor).places.free(visitor)
        self._wake()

    def count_refusal(self, why: str) -> None:
        """Count a refusal that is logged elsewhere."""
        self.refused[why] += 1

    def refuse(self, address: str, why: str) -> None:
        """Count and log a refusal."""
        self.count_refusal(why)
        log.info("connection.refused", address=address, message=why)
