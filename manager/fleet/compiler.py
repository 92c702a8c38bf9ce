"""Compiler: turns the store's content into each node's desired content, and publishes it as generations.

Reads everything a bundle is made of; `manager.domain.planner` decides whether it is a new generation.
Invariant: a generation and its payloads are on disk before any node hears of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from common.bundle.build import Files, SlotMaterial, TrustMaterial, slot_files, trust_files
from common.bundle.manifest import SLOTS, Manifest, Slot, SlotFacts, canonical, parse_manifest
from common.errors import NotFoundError, Reason, StorageError
from common.ids import CertificateId, Digest, NodeName
from common.pki.certificate import Certificate
from common.runtime.long_loops import by_turns
from manager.domain.desired import Desired, desired_from
from manager.domain.facts import NodeFacts
from manager.domain.inventory import Entry, Inventory
from manager.domain.publishing import Content, needs_publishing, republish, wanted_manifest
from manager.store.inventory import Inventories
from manager.store.records import NewGeneration
from manager.store.store import Store

READINGS_MAX: Final = 5
"""How often certificates may change during a reading before it is given up for now."""

Parts = Mapping[tuple[CertificateId, Slot], tuple[SlotFacts, Files]]


@dataclass(frozen=True, slots=True)
class _Trust:
    """The trust part of every bundle, and its inventory's records."""

    records: object
    files: Files
    anchors: int


class Compiler:
    """Compiles and publishes. The fleet ensures that only one call runs at a time."""

    def __init__(self, store: Store, inventories: Inventories) -> None:
        self._store = store
        self._inventories = inventories
        self._trust: _Trust | None = None
        self._entries: Mapping[CertificateId, Entry] = {}
        self._stands: dict[CertificateId, int] = {}

    async def inventory(self) -> Inventory:
        """Return what everything is compiled from, as of now. Raises StorageError."""
        return await self._inventories.current()

    @property
    def recheck_at_s(self) -> float:
        """When a served chain may change with time alone, without any edit."""
        used = (until_s for number, until_s in self._stands.items() if self._is_used(number))
        return min(used, default=float("inf"))

    async def publish(
        self, nodes: Collection[NodeFacts], *, epoch: int, cause: str, changed_s: float, forced: bool
    ) -> tuple[dict[NodeName, Desired], Mapping[Digest, bytes]]:
        """Publish a generation for each of these nodes whose content differs; return what was published.

        Leaves out removed nodes and, unless `forced`, nodes in conflict. The result includes the files of all
        these nodes' content. Raises StorageError; then nothing was published.
        """
        news, bodies = await self.preview(nodes, epoch=epoch, now_s=changed_s, forced=forced)
        # there was no await since the comparison
        kept = await self._store.generations.publish(
            [
                _new_generation(news[facts.name], facts, bodies, cause=cause)
                for facts in nodes
                if facts.name in news
            ]
        )
        return {each.node: news[each.node] for each in kept}, bodies

    async def preview(
        self, nodes: Collection[NodeFacts], *, epoch: int, now_s: float, forced: bool
    ) -> tuple[dict[NodeName, Desired], Mapping[Digest, bytes]]:
        """Return what `publish` would publish, with all its files. Raises StorageError."""
        for _ in range(READINGS_MAX):
            before = [(facts, facts.desired) for facts in nodes]
            contents, bodies = await self._contents({facts.name for facts in nodes}, now_s=int(now_s))
            news = await _compare(before, contents, epoch=epoch, now_s=now_s, forced=forced)
            if news is not None:
                return news, bodies
        raise StorageError("other managers kept publishing; the manager will retry", reason=Reason.BUSY)

    async def republish(
        self,
        facts: NodeFacts,
        number: int,
        *,
        epoch: int,
        now_s: float,
        note: Callable[[int, Manifest | None], Awaitable[None]],
    ) -> Desired:
        """Publish the content of a node's older generation again; return the new generation.

        Awaits `note` with the new number and the former desired one, within the publishing transaction.
        Raises NotFoundError, ConflictError (see the planner), StorageError.
        """
        old = parse_manifest((await self._store.generations.get(facts.name, number=number)).manifest)
        contents, _ = await self._contents({facts.name}, now_s=int(now_s))
        desired = republish(facts, old, contents(facts.name), epoch=epoch, now_s=now_s)
        cause = f"republished generation {number}"
        new = _new_generation(desired, facts, {}, cause=cause)
        async with self._store.transaction():
            kept = await self._store.generations.publish(
                [replace(new, copies=number, superseded_digest=desired.superseded_digest)]
            )
            if not kept:
                raise NotFoundError(f"node '{facts.name}' was removed in the meantime")
            await note(desired.version.generation, facts.desired.manifest if facts.desired else None)
        return desired

    async def _contents(
        self, names: Collection[NodeName], *, now_s: int
    ) -> tuple[Callable[[NodeName], Content], Mapping[Digest, bytes]]:
        """Return the assigned content of each of these nodes, and its files."""
        inventory, parts = await self._parts(names, now_s=now_s)
        trust = await self._trust_of(inventory)
        bodies = dict(trust.files.payloads)
        for _, files in parts.values():
            bodies.update(files.payloads)

        def content(name: NodeName) -> Content:
            full = {slot: inventory.slots[name, slot] for slot in SLOTS if (name, slot) in inventory.slots}
            own = {slot: parts[number, slot] for slot, number in full.items() if (number, slot) in parts}
            return Content(parts=own, kept=full.keys() - own.keys(), trust=trust.files, anchors=trust.anchors)

        return content, bodies

    async def _parts(self, names: Collection[NodeName], *, now_s: int) -> tuple[Inventory, Parts]:
        """Return the slots' files of these nodes, and their inventory."""
        for _ in range(READINGS_MAX):
            inventory = await self._inventories.current()
            # content that the services could not load is left out; a node keeps the slot's former content
            places = ((name, slot) for name in names for slot in SLOTS if (name, slot) in inventory.slots)
            full = {(inventory.slots[place], place[1]) for place in places}
            uses = sorted(each for each in full if not inventory.entries[each[0]].is_held_out)
            numbers = {number for number, _ in uses}
            materials = await self._store.certificates.slot_material(numbers)
            if all(
                number in materials
                and materials[number].facts.leaf == inventory.entries[number].leaf.fingerprint
                for number in numbers
            ):
                return inventory, await asyncio.to_thread(self._lay_out, inventory, uses, materials, now_s)
        raise StorageError(
            "certificates changed while they were read; the manager will retry", reason=Reason.BUSY
        )

    def _lay_out(
        self,
        inventory: Inventory,
        uses: Sequence[tuple[CertificateId, Slot]],
        materials: Mapping[CertificateId, SlotMaterial],
        now_s: int,
    ) -> Parts:
        """Complete chains that were uploaded with their leaves by stored CAs."""
        chains = {number: inventory.chain(number, now_s=now_s) for number in materials}
        self._stands.update({number: chain.recheck_at_s for number, chain in chains.items()})
        self._entries = inventory.entries
        if len(self._stands) > 2 * len(self._entries):
            # only now and then: it looks at all of them
            self._stands = {
                number: until_s for number, until_s in self._stands.items() if self._is_used(number)
            }
        served = {
            number: replace(material, chain_pem=_pem(chains[number].serving))
            for number, material in materials.items()
        }
        return {
            (number, slot): (served[number].facts, slot_files(slot, served[number])) for number, slot in uses
        }

    def _is_used(self, number: CertificateId) -> bool:
        """Whether a certificate is in a slot of the last compiled inventory."""
        return number in self._entries and bool(self._entries[number].places)

    async def _trust_of(self, inventory: Inventory) -> _Trust:
        if self._trust is None or self._trust.records is not inventory.trust:
            self._trust = await asyncio.to_thread(_build_trust, inventory)
        return self._trust


async def _compare(
    before: Sequence[tuple[NodeFacts, Desired | None]],
    contents: Callable[[NodeName], Content],
    *,
    epoch: int,
    now_s: float,
    forced: bool,
) -> dict[NodeName, Desired] | None:
    """Return the differences from these nodes' desired content; None if another manager published meanwhile.

    Its generation may have newer content, and older content must not follow under a higher number.
    """
    news: dict[NodeName, Desired] = {}
    async for facts, _ in by_turns(before):
        if not forced and facts.is_in_conflict:
            # it said so while the content was read
            continue
        wanted = desired_from(wanted_manifest(facts, contents(facts.name), epoch=epoch), now_s)
        if needs_publishing(facts, wanted):
            news[facts.name] = wanted
    return None if any(facts.desired is not desired for facts, desired in before) else news


def _build_trust(inventory: Inventory) -> _Trust:
    held_out = inventory.trust.held_out
    records = [each for number, each in inventory.trusted_cas.items() if number not in held_out]
    verifying = [each.certificate_pem for each in records if each.is_anchor]
    material = TrustMaterial(
        ca_certificates_pem=_pem(inventory.trust.builtin) + "".join(verifying),
        custom_ca_pem="".join(verifying),
        intermediates_pem="".join(each.certificate_pem for each in records if not each.self_signed),
        anchors=len(inventory.trust.builtin) + len(verifying),
    )
    return _Trust(inventory.trust, trust_files(material), material.anchors)


def _pem(certificates: Sequence[Certificate]) -> str:
    return "".join(each.pem for each in certificates)


def _new_generation(
    desired: Desired, facts: NodeFacts, bodies: Mapping[Digest, bytes], *, cause: str
) -> NewGeneration:
    manifest = desired.manifest
    # content that a slot keeps from an earlier generation is in the store already
    return NewGeneration(
        node=manifest.node,
        node_id=facts.node_id,
        follows=facts.desired.version.generation if facts.desired else 0,
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=desired.version.digest,
        manifest=canonical(manifest),
        payloads={entry.digest: bodies[entry.digest] for entry in manifest.entries if entry.digest in bodies},
        secrets=frozenset(entry.digest for entry in manifest.entries if entry.secret),
        cause=cause,
        created_s=desired.changed_s,
    )
