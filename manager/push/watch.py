"""Tells watchers which nodes changed.

Invariant: a slow watcher costs at most one entry a node; it misses steps between, never the latest state.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType

from common.ids import NodeName
from manager.domain.view import NodeView

View = Callable[[NodeName], NodeView | None]


class Watchers:
    """All who watch the fleet."""

    class Subscription:
        """One watcher: `async with` it, and iterate over what that gives."""

        def __init__(self, watchers: "Watchers", view: View) -> None:
            self._watchers = watchers
            self._view = view
            self._changed: dict[NodeName, None] = {}
            self._waiting = asyncio.Event()

        async def __aenter__(self) -> AsyncIterator[NodeView]:
            self._watchers.subscriptions.add(self)
            return self._views()

        async def __aexit__(
            self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
        ) -> None:
            self._watchers.subscriptions.discard(self)

        def note(self, name: NodeName) -> None:
            """Remember that a node changed."""
            self._changed[name] = None
            self._waiting.set()

        async def _views(self) -> AsyncIterator[NodeView]:
            while True:
                await self._waiting.wait()
                self._waiting.clear()
                changed, self._changed = self._changed, {}
                for name in changed:
                    if (view := self._view(name)) is not None:
                        yield view

    def __init__(self) -> None:
        self.subscriptions: set[Watchers.Subscription] = set()

    def subscribe(self, view: View) -> Subscription:
        """Return a subscription that asks `view` for the present state of what changed."""
        return self.Subscription(self, view)

    def note(self, name: NodeName) -> None:
        """Tell all that a node changed."""
        for subscription in self.subscriptions:
            subscription.note(name)
