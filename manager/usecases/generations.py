"""Generations of nodes: viewing, comparing and republishing them."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from common.bundle.manifest import CERTIFICATE, CHAIN, SLOTS, Manifest, Slot, parse_manifest
from common.errors import NotFoundError, Reason, StorageError
from common.ids import Digest, NodeName
from common.pki.certificate import Certificate
from manager.domain.consequences import Consequence
from manager.domain.difference import ANCHORS, Comparison, GenerationDifference, digests_compared
from manager.domain.inventory import Entry, Inventory
from manager.domain.model import GenerationRecord
from manager.domain.publishing import unpublishable
from manager.domain.republishing import entry_of, of_republishing, trusted_of
from manager.domain.trust import longer_published_list
from manager.domain.view import PlannedPush, Previews
from manager.store.generations import KEEP
from manager.usecases.confirming import Impact
from manager.usecases.context import ATTEMPTS, Context

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownGeneration:
    """A generation with its manifest."""

    record: GenerationRecord
    manifest: Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Differences between two generations of a node; `before` is None if the node had none."""

    before: int | None
    after: int
    difference: GenerationDifference


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedChange:
    """Effect of a push on a node.

    `difference` is None if nothing would change or the running generation is not in the store.
    """

    plan: PlannedPush
    difference: GenerationDifference | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Republishing:
    """Effect of republishing older content; `refusal` is the reason why it is refused, "" if it is not."""

    compared: Compared
    impact: Impact
    refusal: str


class _ChangedError(Exception):
    """The store changed between reading it and the transaction."""


class GenerationUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def history(self, node: NodeName) -> Sequence[ShownGeneration]:
        """Return a node's published generations, newest first. Raises NotFoundError."""
        await self._context.store.nodes.get(node)
        records = await self._context.store.generations.history(node, limit=KEEP)
        return [ShownGeneration(record=each, manifest=parse_manifest(each.manifest)) for each in records]

    async def compare(self, node: NodeName, number: int, *, before: int | None = None) -> Compared:
        """Return the differences between a generation and another one (None: the one published before it).

        Raises NotFoundError.
        """
        store = self._context.store.generations
        await self._context.store.nodes.get(node)
        after = parse_manifest((await store.get(node, number=number)).manifest)
        if before is None:
            earlier = [each.generation for each in await store.history(node) if each.generation < number]
            before = max(earlier, default=None)
        old = parse_manifest((await store.get(node, number=before)).manifest) if before is not None else None
        (difference,) = await self._differences([(old, after)], {})
        return Compared(before=before, after=number, difference=difference)

    async def assess(self, node: NodeName, number: int, *, desired: int | None) -> Republishing:
        """Return the effect of republishing a generation while `desired` is the node's desired one.

        Raises NotFoundError.
        """
        store = self._context.store.generations
        await self._context.store.nodes.get(node)
        new = parse_manifest((await store.get(node, number=number)).manifest)
        old = (
            parse_manifest((await store.get(node, number=desired)).manifest) if desired is not None else None
        )
        inventory = await self._context.inventories.current()
        difference, impact = await self._assess(inventory, node, old, new)
        return Republishing(
            compared=Compared(before=desired, after=number, difference=difference),
            impact=impact,
            refusal=unpublishable(new, old.digest if old is not None else None, now_s=self._context.clock()),
        )

    async def republish(
        self, node: NodeName, number: int, *, confirm: str | None = None, actor: str
    ) -> tuple[PlannedPush, Sequence[Consequence]]:
        """Publish an older generation's content as a new one and push it at once.

        Return the result and its consequences.

        The content stays until the node's assigned content changes. `confirm` is explained in
        `manager.usecases.confirming`. Raises NotFoundError, ConflictError or ConfirmationNeededError.
        """
        await self._context.store.nodes.get(node)
        new = parse_manifest((await self._context.store.generations.get(node, number=number)).manifest)
        for _ in range(ATTEMPTS):
            inventory = await self._context.inventories.current()
            consequences: list[Consequence] = []

            # bound to this attempt's inventory, read before the transaction that calls it
            note = partial(self._require_confirmation, inventory, new, confirm, consequences, actor)
            with contextlib.suppress(_ChangedError):
                done = await self._context.fleet.republish(node, number, note=note)
                self._context.content_changed.set()
                return done, consequences
        raise StorageError("the store kept changing in the meantime; try again", reason=Reason.BUSY)

    async def _require_confirmation(
        self,
        inventory: Inventory,
        new: Manifest,
        confirm: str | None,
        consequences: list[Consequence],
        actor: str,
        published: int,
        before: Manifest | None,
    ) -> None:
        """Compare the effect of republishing with the confirmation and audit it, in the same transaction."""
        if not await self._context.store.meta.is_at(inventory.revision):
            raise _ChangedError
        _, impact = await self._assess(inventory, new.node, before, new)
        impact.require_confirmation(confirm)
        consequences += impact.consequences
        detail = {"generation": new.generation, "as": published}
        await self._context.audit(actor, "generation.republished", f"node {new.node}", detail)

    async def changes(self, previews: Previews) -> Sequence[PlannedChange]:
        """Return for each node what its push would change, file by file."""
        running = {each.plan.node: each.runs for each in previews.nodes if each.becomes is not None}
        records = await self._context.store.generations.some(
            {name: runs.generation for name, runs in running.items() if runs is not None}
        )
        # off the loop, because there may be thousands
        compared = await asyncio.to_thread(_compared, previews, records)
        found = dict(
            zip(compared, await self._differences(list(compared.values()), previews.bodies), strict=True)
        )
        return [
            PlannedChange(plan=each.plan, difference=found.get(each.plan.node)) for each in previews.nodes
        ]

    async def _differences(
        self, pairs: Sequence[tuple[Manifest | None, Manifest]], bodies: Mapping[Digest, bytes]
    ) -> Sequence[GenerationDifference]:
        wanted = await asyncio.to_thread(
            lambda: {digest for pair in pairs for each in pair for digest in digests_compared(each)}
        )
        stored = await self._context.store.generations.payloads(wanted - bodies.keys())
        comparison = Comparison({**{each: bodies[each] for each in wanted & bodies.keys()}, **stored})
        return await asyncio.to_thread(lambda: [comparison.difference(*pair) for pair in pairs])

    async def _assess(
        self, inventory: Inventory, node: NodeName, old: Manifest | None, new: Manifest
    ) -> tuple[GenerationDifference, Impact]:
        if node not in inventory.nodes:
            raise NotFoundError(f"node '{node}' was removed a moment ago")
        now_s = self._context.clock()
        bodies = await self._context.store.generations.payloads(digests_compared(old) | digests_compared(new))

        def leaves(manifest: Manifest | None) -> dict[Slot, Entry]:
            files = manifest.by_path() if manifest is not None else {}
            paths = {slot: (f"{slot}/{CERTIFICATE}", f"{slot}/{CHAIN}") for slot in SLOTS}
            texts = {
                slot: [bodies.get(files[path].digest, b"") for path in paths[slot] if path in files]
                for slot in SLOTS
            }
            found = {slot: entry_of(inventory, texts[slot], now_s=now_s) for slot in SLOTS}
            return {slot: entry for slot, entry in found.items() if entry is not None}

        def trusted(manifest: Manifest | None) -> list[Certificate]:
            entry = manifest.by_path().get(ANCHORS) if manifest is not None else None
            return trusted_of(bodies.get(entry.digest, b"")) if entry is not None else []

        def work() -> tuple[GenerationDifference, Impact]:
            difference = Comparison(bodies).difference(old, new)
            longer = longer_published_list(trusted(old), trusted(new)) if difference.anchors_added else ""
            consequences = of_republishing(
                inventory, node, leaves(old), leaves(new), difference, longer=longer, now_s=int(now_s)
            )
            facts = [node, inventory.nodes[node].id, old.digest if old is not None else None, new.digest]
            return difference, Impact(consequences=consequences, facts=facts)

        return await asyncio.to_thread(work)


def _compared(
    previews: Previews, records: Mapping[NodeName, GenerationRecord]
) -> dict[NodeName, tuple[Manifest | None, Manifest]]:
    """Return each node's running and next manifest, except for nodes whose running one is not stored here."""
    compared: dict[NodeName, tuple[Manifest | None, Manifest]] = {}
    for each in previews.nodes:
        record = records.get(each.plan.node)
        if each.becomes is None:
            continue
        if each.runs is None:
            compared[each.plan.node] = None, each.becomes
        # another store may have published a generation with this number for the node
        elif record is not None and record.digest == each.runs.digest:
            compared[each.plan.node] = parse_manifest(record.manifest), each.becomes
    return compared
