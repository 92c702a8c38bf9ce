"""Change queue: gathers changes until things are quiet, so that a burst of edits becomes one generation.

Invariant: each noted change is in exactly one batch, and waits at most `quiet_max_s`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.ids import NodeName


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch of changes: to these nodes, or to all. `changed_s` is the unix time of its first change.

    `forced` are the nodes that get their desired content by force, changed or not.
    """

    names: frozenset[NodeName]
    forced: frozenset[NodeName]
    everything: bool
    cause: str
    changed_s: float


class ChangeQueue:
    """The nodes whose content may have changed since the last batch."""

    def __init__(self, *, clock: Callable[[], float], quiet_s: float, quiet_max_s: float) -> None:
        self._clock = clock
        self._quiet_s = quiet_s
        self._quiet_max_s = quiet_max_s
        self._names: set[NodeName] = set()
        self._forced: set[NodeName] = set()
        self._everything = False
        self._cause = ""
        self._changed_s = 0.0
        self._first_s = 0.0
        self._last_s = 0.0
        self._marked = asyncio.Event()

    def note(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Add nodes that have just changed; None for all."""
        self._mark(nodes, cause=cause, changed_s=self._clock())

    def force(self, node: NodeName, *, cause: str) -> None:
        """Add a node that gets its desired content by force."""
        self._forced.add(node)
        self._mark((), cause=cause, changed_s=self._clock())

    def restore(self, batch: Batch) -> None:
        """Put a batch back after its publishing failed; it keeps its time of change."""
        self._forced |= batch.forced
        self._mark(None if batch.everything else batch.names, cause=batch.cause, changed_s=batch.changed_s)
        self._changed_s = min(self._changed_s, batch.changed_s)

    def due_s(self) -> float:
        """Return the monotonic time at which the current batch ends."""
        return min(self._last_s + self._quiet_s, self._first_s + self._quiet_max_s)

    async def take(self) -> Batch:
        """Wait for a change and the quiet after it, then return the batch."""
        await self._marked.wait()
        while (wait_s := self.due_s() - time.monotonic()) > 0:  # noqa: ASYNC110 - each new change moves the end
            await asyncio.sleep(wait_s)
        batch = Batch(
            names=frozenset(self._names),
            forced=frozenset(self._forced),
            everything=self._everything,
            cause=self._cause,
            changed_s=self._changed_s,
        )
        self._names, self._forced, self._everything = set(), set(), False
        self._marked.clear()
        return batch

    def _mark(self, nodes: Iterable[NodeName] | None, *, cause: str, changed_s: float) -> None:
        now_s = time.monotonic()
        if not self._marked.is_set():
            self._first_s, self._changed_s, self._cause = now_s, changed_s, cause
        self._last_s = now_s
        if nodes is None:
            self._everything = True
        else:
            self._names.update(nodes)
        self._marked.set()
