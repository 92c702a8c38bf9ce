"""Peers on their way in: who they are, how they wait, and whose handshake is worked on next.

Decides only; opens and closes nothing and reads no clock. Invariant: sources have their turns one after the other, however many peers
of one of them wait.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from common.runtime.buckets import Bucket
from common.runtime.places import Place


def _nobody_to_dismiss(_why: str) -> None:
    """Stand in until somebody holds the visitor's socket."""


def _nobody_to_begin() -> None:
    """Stand in until the visitor has asked for its turn."""


@dataclass(slots=True, eq=False, kw_only=True)
class Visitor(Place):
    """A peer on its way in. `dismiss` cuts it off and says why; `begin` lets its handshake be worked on."""

    address: str
    is_known: bool
    arrived_s: float = 0.0
    is_penalised: bool = False
    is_silent: bool = True
    is_over: bool = False
    dismiss: Callable[[str], None] = _nobody_to_dismiss
    begin: Callable[[], None] = _nobody_to_begin


@dataclass(slots=True, eq=False)
class Queue:
    """Those who wait, source by source, each in its turn."""

    _sources: OrderedDict[str, deque[Visitor]] = field(default_factory=OrderedDict)
    _count: int = 0

    def __len__(self) -> int:
        return self._count

    def of(self, source: str) -> int:
        """How many of a source wait."""
        return len(self._sources.get(source, ()))

    def put(self, visitor: Visitor) -> None:
        """Let one wait behind the others of its source."""
        self._sources.setdefault(visitor.source, deque()).append(visitor)
        self._count += 1

    def first(self, count: int) -> list[str]:
        """Return whose turn it is."""
        return list(islice(self._sources, count))

    def skip(self, source: str) -> None:
        """Let others have their turn before this source."""
        self._sources.move_to_end(source)

    def pop(self, source: str) -> Visitor:
        """Take the one of a source that has waited longest."""
        line = self._sources.pop(source)
        visitor = line.popleft()
        if line:
            self._sources[source] = line
        self._count -= 1
        return visitor

    def remove(self, visitor: Visitor) -> bool:
        """Let one wait no longer; False if it does not wait here."""
        line = self._sources.get(visitor.source)
        if line is None or visitor not in line:
            return False
        line.remove(visitor)
        if not line:
            del self._sources[visitor.source]
        self._count -= 1
        return True

    def oldest(self, *, is_penalised: bool) -> Visitor | None:
        """Return the one that has waited longest of those that are penalised, or are not; None if there is none."""
        first = (line[0] for line in self._sources.values())
        return min(
            (each for each in first if each.is_penalised == is_penalised),
            key=lambda each: each.arrived_s,
            default=None,
        )


class HandshakeQueue:
    """Handshakes that are to be worked on, spread over time: each keeps the loop for milliseconds."""

    def __init__(self, *, burst: float, per_s: float, now_s: float) -> None:
        self._queue = Queue()
        self._per_s = per_s
        self._bucket = Bucket(burst=burst, per_s=per_s, now_s=now_s)

    def ask(self, visitor: Visitor) -> float:
        """Let one wait for its turn; return about how long that takes."""
        self._queue.put(visitor)
        return len(self._queue) / self._per_s

    def next(self, now_s: float) -> Visitor | None:
        """Take whose turn it is, None if there is nobody or it is too early. Who is gone takes no turn."""
        while len(self._queue):
            if self._bucket.wait_s(now_s) > 0:
                return None
            (source,) = self._queue.first(1)
            visitor = self._queue.pop(source)
            if not visitor.is_over:
                self._bucket.take(now_s)
                return visitor
        return None

    def wait_s(self, now_s: float) -> float | None:
        """Return when to look again, None if nobody waits."""
        return self._bucket.wait_s(now_s) if len(self._queue) else None
