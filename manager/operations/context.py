"""What every use case has at hand."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from common.ids import NodeName
from manager.operations.ports import Fleet
from manager.operations.workers import Workers
from manager.store.inventory import Inventories
from manager.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The store and what is known of its content, the fleet, the workers, and the clock (unix seconds).

    `stirred` is set by every change of content, for who must look at all of it anew.
    """

    store: Store
    inventories: Inventories
    fleet: Fleet
    workers: Workers
    clock: Callable[[], float] = field(default=time.time)
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def changed(self, nodes: Iterable[NodeName] | None, *, cause: str) -> None:
        """Tell whom it concerns that what these nodes (None: all) must hold may have changed."""
        self.fleet.changed(nodes, cause=cause)
        self.stirred.set()

    async def note(self, actor: str, action: str, subject: str, detail: object = None) -> None:
        """Write an act into the audit log: within the `store.together()` that carries it out, or before it where that cannot be undone."""
        await self.store.audit.append(
            at_s=self.clock(), actor=actor, action=action, subject=subject, detail=detail
        )
