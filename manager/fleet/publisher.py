"""Publisher: makes what the store holds the desired generation of nodes.

Decides which nodes may be published to; `manager.domain.planner` decides whether content is a new generation.
Invariant: one lock orders publishing, so a node's generations rise in the order in which they are made.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping

import structlog

from common.bundle.manifest import Manifest
from common.ids import Digest, NodeName
from manager.domain.desired import Desired
from manager.domain.facts import NodeFacts
from manager.fleet.compiler import Compiler
from manager.fleet.delivery import Delivery
from manager.fleet.registry import Registry
from manager.store.store import Store

log = structlog.get_logger(__name__)


class Publisher:
    """Publishes, one call at a time. `epoch` is the store's."""

    def __init__(
        self, store: Store, compiler: Compiler, registry: Registry, *, delivery: Delivery, epoch: int
    ) -> None:
        self._delivery = delivery
        self._store = store
        self._compiler = compiler
        self._registry = registry
        self._epoch = epoch
        self._lock = asyncio.Lock()
        self.confirmed_anchors: int | None = None
        """How few anchors an operator has confirmed, None for no number; as of the last publishing."""

    @property
    def recheck_at_s(self) -> float:
        """When a chain that is served may become another by time alone, without anybody's change."""
        return self._compiler.recheck_at_s

    async def load(self) -> None:
        """Take what an operator has confirmed. Raises StorageError."""
        self.confirmed_anchors = await self._store.trusted_cas.confirmed_anchors()

    async def publish(
        self, nodes: Collection[NodeFacts], *, cause: str, changed_s: float, forced: bool = False
    ) -> set[NodeName]:
        """Publish to those of these nodes whose content differs; return who they are. Raises StorageError."""
        async with self._lock:
            await self.load()
            chosen = _publishable(nodes, forced=forced)
            published, bodies = await self._compiler.publish(
                chosen, epoch=self._epoch, cause=cause, changed_s=changed_s
            )
            needed = {entry.digest for each in published.values() for entry in each.manifest.entries}
            self._delivery.remember({digest: bodies[digest] for digest in needed & bodies.keys()})
            for facts in chosen:
                is_news = facts.awaiting_first_report and facts.connected_s is not None
                if is_news:
                    facts.awaiting_first_report = False
                if facts.name in published and self._registry.is_current(facts):
                    facts.desired, is_news = published[facts.name], True
                if is_news:
                    self._registry.note(facts.name)
        if published:
            log.info("generation.published", count=len(published), cause=cause)
        return set(published)

    async def preview(
        self, nodes: Collection[NodeFacts], *, now_s: float, forced: bool
    ) -> tuple[dict[NodeName, Desired], Mapping[Digest, bytes]]:
        """Return what `publish` would publish, and the files of all of it. Raises StorageError."""
        async with self._lock:
            return await self._compiler.preview(
                _publishable(nodes, forced=forced), epoch=self._epoch, now_s=now_s
            )

    async def republish(
        self, facts: NodeFacts, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> Desired:
        """Publish the content of a node's older generation once more; return it.

        `note` as for the compiler's. Raises NotFoundError, ConflictError, StorageError.
        """
        async with self._lock:
            desired = facts.desired = await self._compiler.republish(
                facts, number, epoch=self._epoch, now_s=time.time(), note=note
            )
        generation = desired.version.generation
        log.info("generation.published", node=facts.name, generation=generation, cause="republish")
        self._registry.note(facts.name)
        return desired


def _publishable(nodes: Collection[NodeFacts], *, forced: bool) -> list[NodeFacts]:
    """Leave out who knows more than this store: such a node waits for an operator's word (a forced push)."""
    return [facts for facts in nodes if forced or facts.awaiting_first_report or not facts.is_in_conflict]
