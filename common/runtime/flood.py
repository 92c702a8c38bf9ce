"""Log flood guard: logs the first lines that strangers or an outage cause, then counts them.

Decides which lines are written, and logs the counts now and then. Invariant: whatever hostile peers do, they
cause less than `STRANGERS_MAX_BYTES_PER_MINUTE` in the log, and no line is left out without being counted.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from common.events import CAUSED_BY_NODES, CAUSED_BY_OUTAGES, CAUSED_BY_STRANGERS

BOUNDED: Final = CAUSED_BY_STRANGERS | CAUSED_BY_NODES | CAUSED_BY_OUTAGES

INTERVAL_S: Final = 60.0
LINES_PER_KIND: Final = 4
"""Lines of one kind (event and message) per interval. A mistyped token or a scan stays below."""

LINES_PER_EVENT: Final = 16
"""Lines of one event of strangers or of an outage per interval, whatever their message, which may quote a peer."""

VALUE_MAX_CHARS: Final = 400
TRACE_MAX_CHARS: Final = 6_000
"""The end of a traceback is kept; it names the error."""

FOREIGN: Final = "foreign"
"""The event under which lines of libraries are counted, since they have none."""

LINE_MAX_BYTES: Final = 10 * 1024
STRANGERS_MAX_BYTES_PER_MINUTE: Final = (len(CAUSED_BY_STRANGERS) + 1) * LINES_PER_EVENT * LINE_MAX_BYTES
"""A ceiling that only tracebacks come close to; a refusal takes a fortieth of the longest line."""

SOURCES_MAX: Final = 64
KINDS_MAX: Final = 10_000
"""Kinds counted separately per interval: every node of a fleet may connect."""


@dataclass(slots=True, kw_only=True)
class HeldBack:
    """The lines of one kind that were left out of the log in an interval."""

    event: str
    count: int = 0
    sources: Counter[str] = field(default_factory=Counter)

    def message(self) -> str:
        """Return the sentence for the log."""
        sentence = f"{self.count} more like this in the last {INTERVAL_S:.0f} s are not shown"
        if not self.sources:
            return sentence
        most, count = self.sources.most_common(1)[0]
        several = f"{len(self.sources)}{' or more' if len(self.sources) >= SOURCES_MAX else ''} addresses"
        return f"{sentence}; from {several}, {count} of them from {most}"


class Flood:
    """Counts lines by event and kind. Safe to use from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._began_s = clock()
        self._kinds: Counter[tuple[str, str]] = Counter()
        self._events: Counter[str] = Counter()
        self._held: dict[str, HeldBack] = {}
        self._due: list[HeldBack] = []

    def admits(self, event: str, kind: str, source: str = "") -> bool:
        """Count a line, and return whether to write it."""
        with self._lock:
            self._turn()
            key = (event, kind) if len(self._kinds) < KINDS_MAX else (event, "")
            self._kinds[key] += 1
            self._events[event] += 1
            is_many = event not in CAUSED_BY_NODES and self._events[event] > LINES_PER_EVENT
            if not is_many and self._kinds[key] <= LINES_PER_KIND:
                return True
            held = self._held.setdefault(event, HeldBack(event=event))
            held.count += 1
            if source and (source in held.sources or len(held.sources) < SOURCES_MAX):
                held.sources[source] += 1
            return False

    def held_back(self, *, all_of_it: bool = False) -> Iterable[HeldBack]:
        """Return the counts of finished intervals, once; with `all_of_it` also those of the current one."""
        with self._lock:
            self._turn(at_once=all_of_it)
            due, self._due = self._due, []
            return due

    def _turn(self, *, at_once: bool = False) -> None:
        now_s = self._clock()
        if at_once or now_s - self._began_s >= INTERVAL_S:
            self._began_s = now_s
            # bounds the memory if nobody collects the counts
            self._due = [*self._due, *self._held.values()][-len(BOUNDED) * 2 :]
            self._kinds.clear()
            self._events.clear()
            self._held = {}
