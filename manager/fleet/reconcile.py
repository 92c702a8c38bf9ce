"""Reconcile: makes published content follow the store, after each change and each minute.

Decides when. Events and the minute's pass run the same code, so the pass repairs within a minute what an
event missed.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from common.errors import StorageError
from manager.domain.facts import NodeFacts
from manager.domain.inventory import Inventory
from manager.domain.partial_inventory import nodes_concerned
from manager.fleet.changes import Batch, ChangeQueue
from manager.fleet.following import Follower
from manager.fleet.publisher import Publisher
from manager.fleet.pushes import Pushes
from manager.fleet.registry import Registry

log = structlog.get_logger(__name__)

RECONCILE_S: Final = 60.0
"""The interval of the repairing pass (design: synchronised within a minute); jittered by a tenth."""

RETRY_S: Final = 1.0
"""How long to wait after the store failed."""

RETRY_RECONCILE_S: Final = 5.0
"""The delay after a pass that the store failed: a store that is back must not wait for the minute; jittered
likewise.
"""


class Reconciler:
    """Publishes and pushes to nodes whose content may have changed."""

    def __init__(
        self,
        registry: Registry,
        *,
        changes: ChangeQueue,
        publisher: Publisher,
        follower: Follower,
        pushes: Pushes,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._follower = follower
        self._registry = registry
        self._changes = changes
        self._publisher = publisher
        self._pushes = pushes
        self._done_s = time.monotonic()
        self._inventory: Inventory | None = None
        """The inventory of the last pass that compared every node concerned."""

    def age_s(self) -> float:
        """Return the seconds since the last successful reconcile."""
        return time.monotonic() - self._done_s

    async def run_changes(self) -> None:
        """Publish and push changes, each time things are quiet."""
        while True:
            batch = await self._changes.take()
            chosen = list(self._registry) if batch.everything else self._registry.remaining(batch.names)
            forced = self._registry.remaining(batch.forced)
            try:
                await self._publish(chosen, batch, forced=False)
                await self._publish(forced, batch, forced=True)
            except StorageError as error:
                log.error("store.failed", reason=error.reason, message=error.message)
                self._changes.restore(batch)
                await asyncio.sleep(RETRY_S)
                continue
            await self._pushes.pursue_each(chosen)
            await self._pushes.pursue_each(forced, forced=True)

    async def run(self) -> None:
        """Compare every node with its desired state and repair it, each minute and after a store failure."""
        is_done = True
        while True:
            wait_s = RECONCILE_S if is_done else RETRY_RECONCILE_S
            await asyncio.sleep(wait_s * random.uniform(0.9, 1.1))  # noqa: S311 - jitter, not a secret
            is_done = await self.reconcile()

    async def reconcile(self) -> bool:
        """Do one pass; return whether it succeeded.

        It compares digests only, except for nodes whose content may have changed since the last pass. If the
        store fails, the pass stays undone, which health shows.
        """
        started = time.monotonic()
        try:
            await self._follower.catch_up()
            inventory = await self._publisher.inventory()
            chosen = self._concerned(inventory)
            if chosen:
                await self._publisher.publish(chosen, cause="reconcile", changed_s=self._clock())
            self._inventory = inventory
        except StorageError as error:
            log.error("reconcile.failed", reason=error.reason, message=error.message)
            return False
        self._follower.note_reports_elsewhere(self._clock())
        plans = await self._pushes.pursue_each([facts for facts in self._registry if not facts.elsewhere])
        self._done_s = time.monotonic()
        log.debug(
            "reconcile.done",
            count=sum(plan.action == "push" for plan in plans),
            duration_ms=round((self._done_s - started) * 1000),
        )
        return True

    async def _publish(self, nodes: Sequence[NodeFacts], batch: Batch, *, forced: bool) -> None:
        if nodes:
            await self._publisher.publish(nodes, cause=batch.cause, changed_s=batch.changed_s, forced=forced)

    def _concerned(self, inventory: Inventory) -> list[NodeFacts]:
        """Return the nodes whose content may have changed since the last pass."""
        last = self._inventory
        # a chain may change with time alone: an intermediate expires, a cross-signed one begins
        is_time = self._clock() >= self._publisher.recheck_at_s
        names = None if last is None or is_time else nodes_concerned(last, inventory)
        return list(self._registry) if names is None else self._registry.remaining(sorted(names))
