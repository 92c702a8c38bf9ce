"""Publisher: makes the store's content the desired generation of nodes.

Decides which nodes this manager publishes to; `manager.domain.planner` decides whether content is a new
generation. Invariant: one lock orders publishing, so a node's generations rise in the order they are made. If
several managers publish to a node, the store keeps only rising ones, and the slower manager reads the node
again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, TypeVar

import structlog

from common.bundle.manifest import Manifest
from common.errors import ConflictError, Reason, StorageError
from common.ids import Digest, NodeName
from manager.domain.desired import Desired
from manager.domain.facts import NodeFacts
from manager.domain.following import desire
from manager.domain.inventory import Inventory
from manager.fleet.compiler import Compiler
from manager.fleet.delivery import Delivery
from manager.fleet.leading import Lead
from manager.fleet.registry import Registry
from manager.fleet.reports import ReportWriter
from manager.store.store import Store

log = structlog.get_logger(__name__)

T = TypeVar("T")

ATTEMPTS: Final = 5
"""How often other managers may publish to the same nodes first before this is given up for now."""


class Publisher:
    """Publishes, one call at a time.

    `epoch` is the store's; `read_anew` updates the facts from the store.
    """

    def __init__(
        self,
        store: Store,
        compiler: Compiler,
        registry: Registry,
        *,
        delivery: Delivery,
        reports: ReportWriter,
        lead: Lead,
        read_anew: Callable[[], Awaitable[None]],
        epoch: int,
    ) -> None:
        self._lead = lead
        self._reports = reports
        self._read_anew = read_anew
        self._delivery = delivery
        self._store = store
        self._compiler = compiler
        self._registry = registry
        self._epoch = epoch
        self._lock = asyncio.Lock()
        self.confirmed_anchors: int | None = None
        """The lowest anchor count an operator has confirmed, None for none; as of the last publishing."""

    @property
    def recheck_at_s(self) -> float:
        """When a served chain may change with time alone, without any edit."""
        return self._compiler.recheck_at_s

    async def inventory(self) -> Inventory:
        """Return the store's inventory as of now. Raises StorageError."""
        return await self._compiler.inventory()

    async def load(self) -> None:
        """Load the confirmed anchor count. Raises StorageError."""
        self.confirmed_anchors = await self._store.trusted_cas.confirmed_anchors()

    async def publish(
        self,
        nodes: Collection[NodeFacts],
        *,
        cause: str,
        changed_s: float,
        forced: bool = False,
        everybodys: bool = False,
    ) -> set[NodeName]:
        """Publish to those of these nodes whose content differs; return them.

        `everybodys`: a caller here waits for it, so nodes that other managers publish to are included. Raises
        StorageError.
        """
        async with self._lock:
            await self.load()
            # a node ahead of this store waits for an operator's forced push; the compiler leaves out nodes
            # found ahead meanwhile
            chosen = [facts for facts in nodes if forced or not facts.is_in_conflict]
            if not everybodys:
                chosen = [facts for facts in chosen if self._is_ours(facts)]
            with self._condition(chosen, everybodys=everybodys):
                published, bodies = await self._after_others(
                    lambda: self._compiler.publish(
                        chosen, epoch=self._epoch, cause=cause, changed_s=changed_s, forced=forced
                    ),
                    chosen,
                )
            needed = {entry.digest for each in published.values() for entry in each.manifest.entries}
            self._delivery.remember({digest: bodies[digest] for digest in needed & bodies.keys()})
            for facts in chosen:
                has_changed = facts.awaiting_first_report and facts.connected_s is not None
                if has_changed:
                    facts.awaiting_first_report = False
                    if facts.session:
                        self._reports.put(facts, self._store.clock())
                if facts.name in published and self._registry.is_current(facts):
                    has_changed = desire(facts, published[facts.name]) or has_changed
                if has_changed:
                    self._registry.note(facts.name)
        if published:
            log.info("generation.published", count=len(published), cause=cause)
        return set(published)

    async def preview(
        self, nodes: Collection[NodeFacts], *, now_s: float, forced: bool
    ) -> tuple[dict[NodeName, Desired], Mapping[Digest, bytes]]:
        """Return what `publish` would publish, with all its files. Raises StorageError."""
        async with self._lock:
            return await self._compiler.preview(nodes, epoch=self._epoch, now_s=now_s, forced=forced)

    async def republish(
        self, facts: NodeFacts, number: int, *, note: Callable[[int, Manifest | None], Awaitable[None]]
    ) -> Desired:
        """Publish the content of a node's older generation again; return the new generation.

        `note` as for the compiler. Raises NotFoundError, ConflictError, StorageError.
        """
        async with self._lock:
            desired = await self._after_others(
                lambda: self._compiler.republish(
                    facts, number, epoch=self._epoch, now_s=self._store.clock(), note=note
                ),
                [facts],
            )
            desire(facts, desired)
        generation = desired.version.generation
        log.info("generation.published", node=facts.name, generation=generation, cause="republish")
        self._registry.note(facts.name)
        return desired

    async def _after_others(self, publish: Callable[[], Awaitable[T]], nodes: Collection[NodeFacts]) -> T:
        """Publish; if another manager was faster, read its generation and ask the planner again."""
        for _ in range(ATTEMPTS):
            before = [facts.desired for facts in nodes]
            try:
                return await publish()
            except ConflictError:
                await self._read_anew()
                if before == [facts.desired for facts in nodes]:
                    raise
        raise StorageError("other managers kept publishing; the manager will retry", reason=Reason.BUSY)

    def _is_ours(self, facts: NodeFacts) -> bool:
        """Whether this manager publishes to a node: it has the session, or no manager has and this one leads."""
        return bool(facts.session) or (self._lead.is_ours and not facts.elsewhere)

    def _condition(self, nodes: Collection[NodeFacts], *, everybodys: bool) -> AbstractContextManager[None]:
        """Make publishing to nodes without a session conditional on this manager leading."""
        is_leads = not everybodys and any(not facts.session for facts in nodes)
        return self._lead.enforced() if is_leads else nullcontext()
