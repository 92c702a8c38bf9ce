"""Tells watchers which nodes changed.

Invariant: a slow watcher costs at most one entry a node; it misses steps between, never the latest state.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common.ids import NodeName
from manager.domain.view import NodeView

View = Callable[[NodeName], NodeView | None]


class Subscription:
    """One watcher's share."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._changed: dict[NodeName, None] = {}
        self._waiting = asyncio.Event()

    def note(self, name: NodeName) -> None:
        """Remember that a node changed."""
        self._changed[name] = None
        self._waiting.set()

    async def take(self, timeout_s: float) -> list[NodeView]:
        """Wait for changes; return the nodes that changed as they are now, none if nothing did in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._waiting.wait()
        except TimeoutError:
            return []
        self._waiting.clear()
        changed, self._changed = self._changed, {}
        return [view for name in changed if (view := self._view(name)) is not None]


class Watchers:
    """All who watch the fleet."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    @contextmanager
    def subscribe(self, view: View) -> Iterator[Subscription]:
        """Lend a subscription that asks `view` for the present state of what changed."""
        subscription = Subscription(view)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def note(self, name: NodeName) -> None:
        """Tell all that a node changed."""
        for subscription in self._subscriptions:
            subscription.note(name)
