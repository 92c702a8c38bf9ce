"""Context of the use cases: what every one of them has at hand."""

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
"""Times that somebody else may be faster between reading the inventory, which takes milliseconds, and the transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The store and what is known of its content, the fleet, the workers, and the clocks: unix seconds, and seconds that only ever pass.

    `own_node` is the management node that this manager is; others may have theirs.

    `content_changed` is set by every change of content, for who must look at all of it again.
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
        """Tell whom it concerns that what these nodes (None: all) must hold may have changed."""
        self.fleet.changed(nodes, cause=cause)
        self.content_changed.set()

    @asynccontextmanager
    async def deciding(self) -> AsyncIterator[Inventory]:
        """Begin a transaction as `store.transaction()` does, with the inventory that it begins with: nobody can change it before the end.

        Raises StorageError if others change it all the time.
        """
        for _ in range(ATTEMPTS):
            # read before anybody has to wait for this transaction
            inventory = await self.inventories.current()
            async with self.store.transaction():
                if await self.store.meta.is_at(inventory.revision):
                    yield inventory
                    return
        raise StorageError("the store kept changing in the meantime; try again", reason=Reason.BUSY)

    @asynccontextmanager
    async def deciding_on(self, assess: Callable[[Inventory], T]) -> AsyncIterator[tuple[Inventory, T]]:
        """Begin a transaction as `deciding` does, with what `assess` says of its inventory, which may take a while: it is asked in a thread.

        Nobody waits for it, unless somebody else was faster.
        """
        early = await self.inventories.current()
        impact = await asyncio.to_thread(assess, early)
        async with self.deciding() as inventory:
            if inventory.revision != early.revision:
                impact = await asyncio.to_thread(assess, inventory)
            yield inventory, impact

    def attempted(self, attempt: Attempt, *, name: str, source: str) -> None:
        """Count what a stranger tried and was refused; the sums are written into the audit log every minute."""
        self.attempts.count(attempt, name=name, source=source, now_s=self.clock())

    async def audit(self, actor: str, action: str, subject: str, detail: object = None) -> None:
        """Write an act into the audit log: within the `store.transaction()` that carries it out, or before it where that cannot be undone."""
        await self.store.audit.append(
            at_s=self.clock(), actor=actor, action=action, subject=subject, detail=detail
        )
