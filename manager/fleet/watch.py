"""Watchers: tells subscribers which nodes changed.

Invariants: a slow watcher costs at most one entry per node; it misses intermediate steps, never the latest
state. A change of all nodes is told in parts, so that none blocks the loop. A watcher that returns with its
mark gets every node changed since, or all of them if that cannot be known.
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from itertools import islice
from typing import Final

from common.ids import NodeName
from manager.domain.view import NodeView

AT_ONCE: Final = 200
"""How many nodes one `take` returns: about 5 ms."""

View = Callable[[NodeName], NodeView | None]


class Subscription:
    """One watcher's subscription.

    `mark` is its position, `gone` the nodes that the last `take` found removed.
    """

    def __init__(self, watchers: "Watchers", view: View, changed: Iterable[NodeName]) -> None:
        self._watchers = watchers
        self._view = view
        self._changed = dict.fromkeys(changed)
        self._waiting = asyncio.Event()
        self.mark = ""
        self.gone: list[NodeName] = []
        if self._changed:
            self._waiting.set()

    def note(self, name: NodeName) -> None:
        """Note that a node changed."""
        self._changed[name] = None
        self._waiting.set()

    def wake(self) -> None:
        """End the wait of `take` without a node change: its watcher must show another change."""
        self._waiting.set()

    async def take(self, timeout_s: float) -> list[NodeView]:
        """Wait for changes; return some changed nodes as they are now, none after a timeout or `wake`.

        The mark moves once there is nothing left to tell.
        """
        self.gone = []
        if not await self._wait(timeout_s):
            return []
        changed = list(islice(self._changed, AT_ONCE))
        for name in changed:
            del self._changed[name]
        if self._changed:
            self._waiting.set()
        else:
            self.mark = self._watchers.mark
        views = {name: self._view(name) for name in changed}
        self.gone = [name for name, view in views.items() if view is None]
        return [view for view in views.values() if view is not None]

    async def take_names(self, timeout_s: float) -> AbstractSet[NodeName]:
        """Wait for changes; return the names of all changed or removed nodes, without their facts."""
        if not await self._wait(timeout_s):
            return frozenset()
        self.mark = self._watchers.mark
        changed, self._changed = self._changed, {}
        return changed.keys()

    async def _wait(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._waiting.wait()
        except TimeoutError:
            return False
        self._waiting.clear()
        return True


class Watchers:
    """All watchers of the fleet."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        # marks of another run of the manager are invalid in this one
        self._run = secrets.token_hex(8)
        self.count = 0
        self._changed: dict[NodeName, int] = {}

    @property
    def mark(self) -> str:
        """How many changes there were in this run."""
        return f"{self._run}-{self.count}"

    @contextmanager
    def subscribe(
        self, view: View, *, names: Iterable[NodeName], since: str | None
    ) -> Iterator[Subscription]:
        """Lend a subscription that asks `view` for the current state of changed nodes.

        It begins after the mark `since`: with all of `names` if the mark is from another run, with nothing if
        it is None.
        """
        subscription = Subscription(self, view, self._missed(names, since))
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def note(self, name: NodeName) -> None:
        """Tell all watchers that a node changed."""
        self.count += 1
        self._changed[name] = self.count
        for subscription in self._subscriptions:
            subscription.note(name)

    def _missed(self, names: Iterable[NodeName], since: str | None) -> list[NodeName]:
        if since is None:
            return []
        run, _, count = since.partition("-")
        if run != self._run or not count.isascii() or not count.isdecimal() or len(count) > 18:
            return list(names)
        return [name for name, at in self._changed.items() if at > int(count)]
