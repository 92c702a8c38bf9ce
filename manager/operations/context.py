"""What every use case has at hand."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from manager.operations.ports import Fleet
from manager.operations.workers import Workers
from manager.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The store, the fleet, the workers, and the clock (unix seconds)."""

    store: Store
    fleet: Fleet
    workers: Workers
    clock: Callable[[], float] = field(default=time.time)

    async def note(self, actor: str, action: str, subject: str, detail: object = None) -> None:
        """Write an act into the audit log."""
        await self.store.audit.append(
            at_s=self.clock(), actor=actor, action=action, subject=subject, detail=detail
        )
