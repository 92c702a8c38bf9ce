"""The gate of the nodes' channel: who of those that arrive may begin to log in, who waits, and who is turned away.

Decides only; opens and closes nothing and reads no clock. Addresses from which nodes are known to come have places, and a queue, of
their own. Strangers whose source had a place lately and made nothing of it wait behind those who did not. Nodes come back as fast as the loop
carries: one handshake begins in each turn of the loop, and what a rate bounds is how many come to nothing. Invariants: whatever
strangers hold, a node at a known address finds a place as if they were not there, and a stranger who says who they are finds one
before those who say nothing or hold more; what says nothing takes a place only where nobody who spoke waits; and whoever proves nothing
has the loop no more often for what others prove at the same address.
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
"""Who waits and has said nothing for so long goes when a new source needs its turn: a client's version line follows its first packet."""

HASTY_S: Final = 0.5
"""Who is back so soon after it was turned away has not waited as agents do."""

SPOILED_EVERY: Final = 4
"""Of so many places one goes to a source that made nothing of its last one: there may be somebody honest behind the same address."""

LOOKED_AT: Final = 16
"""Sources that are asked in one go whether they may begin, and peers that are found gone; the others have their turn at the next."""


class _Side:
    """The places and the queue of one kind of peers."""

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
        """Return why one more of this source is turned away, "" if it may wait. For who is new one goes that says nothing."""
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
        # dismissing takes it out, but for one that nobody holds
        self.leave(displaced)
        return ""

    def _first_to_go(self, now_s: float) -> Visitor | None:
        penalised = self._silent.oldest(is_penalised=True) or self._penalised.oldest(is_penalised=True)
        fresh = self._silent.oldest(is_penalised=False)
        if penalised is None and fresh is not None and fresh.arrived_s <= now_s - SPEAKS_S:
            return fresh
        return penalised

    def put(self, visitor: Visitor) -> None:
        """Queue a visitor that has said nothing yet."""
        self._silent.put(visitor)

    def spoke(self, visitor: Visitor) -> None:
        """Move a visitor that has said something before those that have not."""
        if self._silent.remove(visitor):
            (self._penalised if visitor.is_penalised else self._fresh).put(visitor)

    def leave(self, visitor: Visitor) -> None:
        """Remove a visitor from its queue."""
        any(each.remove(visitor) for each in self._queues)

    def next(self, now_s: float) -> Visitor | None:
        """Take who may begin now, if anybody may, and dismiss whose place that is."""
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
        # dismissing frees it, but for one that has no guard yet
        self.places.free(displaced)
        return True


class Gate:
    """`known` are the sources that nodes are known to come from; `wake` is called when somebody may begin who could not before."""

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
        """How many peers have begun and have not proven what they came for."""
        return len(self._strangers.places) + len(self._known.places)

    @property
    def waiting(self) -> int:
        """How many peers wait for a place."""
        return self._strangers.waiting + self._known.waiting

    def arrive(self, address: str, *, connections: int, now_s: float) -> Visitor | None:
        """Queue a peer for its place; None, and the refusal is counted, if it is turned away.

        `connections` is how many there are on the port.
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
        """Return who takes its place now: at most one known peer and one stranger, so that neither waits for the other."""
        return [visitor for side in self._sides if (visitor := side.next(now_s)) is not None]

    @property
    def _sides(self) -> tuple[_Side, _Side]:
        return (self._known, self._strangers)

    def _turned_away(self, source: str, now_s: float) -> None:
        """Penalise a source that is back at once after it was turned away: an agent waits for a second at least."""
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
        """Note that one that waits for its place has said something."""
        self._side(visitor).spoke(visitor)
        self._wake()

    def give_up(self, visitor: Visitor, now_s: float) -> None:
        """Note that one that waited for its place is gone."""
        self._side(visitor).leave(visitor)
        self.judge(visitor, now_s, is_worthy=False)
        self._wake()

    def _side(self, visitor: Visitor) -> _Side:
        return self._known if visitor.is_known else self._strangers

    def ask_for_turn(self, visitor: Visitor) -> float:
        """Queue a peer that has said its version until its handshake is worked on; return how long that takes at most."""
        self._wake()
        return self._side(visitor).turns.ask(visitor)

    def take_turns(self, now_s: float) -> list[Visitor]:
        """Take those whose handshakes are worked on now: at most one of a known peer and one of a stranger."""
        return [visitor for side in self._sides if (visitor := side.turns.next(now_s)) is not None]

    def until_turn_s(self, now_s: float) -> float | None:
        """Return when the next turn may be taken, None if nobody waits for one."""
        waits = [side.turns.wait_s(now_s) for side in self._sides]
        return min((each for each in waits if each is not None), default=None)

    def judge(self, visitor: Visitor, now_s: float, *, is_worthy: bool) -> None:
        """Remember whether a peer made something of its place, or came and went. What a node took of the rates does not count."""
        if not is_worthy:
            self._penalise(visitor.source, now_s)
            return
        self._penalised.pop(visitor.source, None)
        side = self._side(visitor)
        side.turns.give_back(visitor, now_s)
        side.paces.give_back(visitor.source, now_s)
        self._wake()

    def leave(self, visitor: Visitor) -> None:
        """Free a peer's place: it has proven what it came for, or is gone. Harmless if it has none."""
        self._side(visitor).places.free(visitor)
        self._wake()

    def count_refusal(self, why: str) -> None:
        """Count a refusal that is logged elsewhere."""
        self.refused[why] += 1

    def refuse(self, address: str, why: str) -> None:
        """Count and log a refusal."""
        self.count_refusal(why)
        log.info("connection.refused", address=address, message=why)
