"""Visitors, the peers that have not logged in: their identity, their queue, and the order of handshakes.

Only decides: it opens and closes nothing and reads no clock. Invariant: sources take turns, however many
peers of one source wait.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from common.runtime.buckets import Bucket
from common.runtime.connection_limit import AdmittedConnection

GONE: Final = "gone before there was a place"


def _nobody_to_dismiss(_why: str) -> None:
    """Placeholder until the visitor's socket has a holder."""


def _nobody_to_begin() -> None:
    """Placeholder until the visitor has asked for its turn."""


def _is_here() -> bool:
    """Placeholder until the visitor's socket has a holder."""
    return False


@dataclass(slots=True, eq=False, kw_only=True)
class Visitor(AdmittedConnection):
    """A peer on its way in.

    `dismiss` cuts it off with a reason, `begin` starts its handshake, `has_left` tells whether it hung up.

    `told_s` is when it arrived or was last told that it waits.
    """

    address: str
    is_known: bool
    arrived_s: float = 0.0
    told_s: float = 0.0
    is_penalised: bool = False
    is_silent: bool = True
    is_over: bool = False
    dismiss: Callable[[str], None] = _nobody_to_dismiss
    begin: Callable[[], None] = _nobody_to_begin
    has_left: Callable[[], bool] = _is_here

    def let_go(self) -> None:
        """Drop the holder of the closed socket: visitor and holder would wait for a garbage collection."""
        self.dismiss, self.begin, self.has_left = _nobody_to_dismiss, _nobody_to_begin, _is_here


@dataclass(slots=True, eq=False)
class Queue:
    """Waiting visitors, source by source, each in its turn."""

    # one dict per source: thousands wait behind one address and leave in any order
    _sources: OrderedDict[str, OrderedDict[Visitor, None]] = field(default_factory=OrderedDict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def of(self, source: str) -> int:
        """How many visitors of a source wait."""
        return len(self._sources.get(source, ()))

    def put(self, visitor: Visitor) -> None:
        """Queue a visitor behind the others of its source."""
        self._sources.setdefault(visitor.source, OrderedDict())[visitor] = None
        self._count += 1

    def first(self, count: int) -> list[str]:
        """Return the sources whose turn is next."""
        return list(islice(self._sources, count))

    def skip(self, source: str) -> None:
        """Move a source behind all others."""
        self._sources.move_to_end(source)

    def pop(self, source: str) -> Visitor:
        """Remove and return a source's longest-waiting visitor.

        The source's next turn comes after all others'.
        """
        self._sources.move_to_end(source)
        return self.pop_early(source)

    def pop_early(self, source: str) -> Visitor:
        """Remove and return a source's longest-waiting visitor before its turn, which the source keeps."""
        line = self._sources[source]
        visitor, _ = line.popitem(last=False)
        if not line:
            del self._sources[source]
        self._count -= 1
        return visitor

    def remove(self, visitor: Visitor) -> bool:
        """Remove a visitor from the queue; return False if it does not wait here."""
        line = self._sources.get(visitor.source)
        if line is None or visitor not in line:
            return False
        del line[visitor]
        if not line:
            del self._sources[visitor.source]
        self._count -= 1
        return True

    def oldest(self, *, is_penalised: bool) -> Visitor | None:
        """Return the longest-waiting visitor among the penalised, or among the others; None for none."""
        first = (next(iter(line)) for line in self._sources.values())
        return min(
            (each for each in first if each.is_penalised == is_penalised),
            key=lambda each: each.arrived_s,
            default=None,
        )


class HandshakeQueue:
    """Waiting handshakes, one source after the other: each takes milliseconds of the loop.

    The rate bounds failed ones: `burst` at once, then `per_s`. A peer that proves to be a node returns its
    turn, which goes to the next of its source, or to any source if none of it waits. So nodes return as fast
    as the loop allows, and unproven peers get no more than that rate, whatever others at the same address
    prove.
    """

    def __init__(self, *, burst: float, per_s: float, now_s: float) -> None:
        self._queue = Queue()
        self._burst, self._per_s = burst, per_s
        self._bucket = Bucket(burst=burst, per_s=per_s, now_s=now_s)
        # returned turns by source, of waiting sources; never more than proven peers that no other has
        # followed yet
        self._returned: dict[str, int] = {}

    def ask(self, visitor: Visitor) -> float:
        """Queue a visitor; return its longest wait if all visitors before it prove nothing."""
        self._queue.put(visitor)
        return len(self._queue) / self._per_s

    def give_back(self, visitor: Visitor, now_s: float) -> None:
        """Return the turn of a visitor that has authenticated."""
        if self._queue.of(visitor.source):
            self._returned[visitor.source] = self._returned.get(visitor.source, 0) + 1
        else:
            self._bucket.give_back(now_s)

    def next(self, now_s: float) -> Visitor | None:
        """Take the next visitor; None if there is none or it is too early.

        A visitor that has left takes no turn.
        """
        while len(self._queue):
            if not self._bucket.wait_s(now_s):
                visitor = self._queue.pop(self._queue.first(1)[0])
            elif self._returned:
                visitor = self._queue.pop_early(next(iter(self._returned)))
            else:
                return None
            is_here = not visitor.is_over and not visitor.has_left()
            if is_here:
                self._pay(visitor.source, now_s)
            if not self._queue.of(visitor.source):
                self._bucket.give_back(now_s, self._returned.pop(visitor.source, 0))
            if is_here:
                return visitor
            visitor.dismiss(GONE)
        return None

    def _pay(self, source: str, now_s: float) -> None:
        # Keep what was returned, so that more and more of a source are in progress; but no more than any
        # source may have at once.
        if self._returned.get(source, 0) < self._burst and self._bucket.take(now_s):
            return
        if (left := self._returned.pop(source) - 1) > 0:
            # behind the other sources with returned turns
            self._returned[source] = left

    def wait_s(self, now_s: float) -> float | None:
        """Return when to check again, None if no visitor waits."""
        if not len(self._queue):
            return None
        return 0.0 if self._returned else self._bucket.wait_s(now_s)
