"""Context of the use cases: the services that all of them share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

from common.errors import Reason, StorageError
from common.ids import NodeName
from manager.domain.attempts import Attempt, Attempts
from manager.domain.inventory import Inventory
from manager.store.inventory import Inventories
from manager.store.store import Store
from manager.usecases.ports import Fleet
from manager.usecases.workers import Workers

T = TypeVar("T")

ATTEMPTS: Final = 20
"""Attempts to enter a transaction before others change the inventory; reading it takes milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Store, inventories, fleet, workers and clocks: unix seconds, and monotonic seconds.

    `own_node` is this manager's management node; other managers have their own.

    `content_changed` is set by every change of content, for watchers that must evaluate all of it again.
    """

    store: Store
    inventories: Inventories
    fleet: Fleet
    workers: Workers
    own_node: NodeName
    clock: Callable[[], float]
    monotonic: Callable[[], float] = field(default=time.monotonic)
    content_changed: asyncio.Event = field(default_factory=asyncio.Event)
    attempts: Attempts = field(default_factory=Attempts)

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Tell the fleet that the desired content of these nodes (None: all) may have changed."""
        self.fleet.changed(nodes, cause=cause)
        self.content_changed.set()

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[Inventory]:
        """Open a transaction with the inventory that it starts from; no other writer can change that.

        Raises StorageError if other writers keep changing the store.
        """
        for _ in range(ATTEMPTS):
            # read before other writers have to wait for this transaction
            inventory = await self.inventories.current()
            async with self.store.transaction():
                if await self.store.meta.is_at(inventory.revision):
                    yield inventory
                    return
        raise StorageError("the store kept changing in the meantime; try again", reason=Reason.BUSY)

    @asynccontextmanager
    async def deciding_on(self, assess: Callable[[Inventory], T]) -> AsyncIterator[tuple[Inventory, T]]:
        """Open a transaction like `deciding`, with the result of `assess`, computed in a thread.

        A slow assessment blocks other writers only if one of them changed the store during the previous
        attempt.
        """
        early = await self.inventories.current()
        impact = await asyncio.to_thread(assess, early)
        async with self.deciding() as inventory:
            if inventory.revision != early.revision:
                impact = await asyncio.to_thread(assess, inventory)
            yield inventory, impact

    def attempted(self, attempt: Attempt, *, name: str, source: str) -> None:
        """Count a refused attempt of an unauthenticated caller; totals go into the audit log every minute."""
        self.attempts.count(attempt, name=name, source=source, now_s=self.clock())

    async def audit(self, actor: str, action: str, subject: str, detail: object = None) -> None:
        """Write an audit entry in the transaction of the change, or before a change that cannot be undone."""
        await self.store.audit.append(
            at_s=self.clock(), actor=actor, action=action, subject=subject, detail=detail
        )
