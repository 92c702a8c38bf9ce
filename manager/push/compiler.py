"""Turns what the store holds into what each node must hold, and publishes it as generations.

Owns the reading of everything a bundle is made of; `manager.domain.planner` decides whether it is a new generation.
Invariant: a generation and its payloads are on disk before anybody is told of it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from common.bundle.build import Files, SlotMaterial, TrustMaterial, slot_files, trust_files
from common.bundle.manifest import Manifest, Slot, SlotFacts, canonical
from common.ids import Digest, NodeName
from common.pki.certificate import Certificate, decode
from common.pki.chain import serving_chain
from common.pki.pem import read_blocks
from manager.domain.facts import Desired, NodeFacts, desired_from
from manager.domain.model import AssignmentRecord, TrustedCaRecord
from manager.domain.planner import next_manifest
from manager.store.records import NewGeneration
from manager.store.store import Store

YIELD_EVERY: Final = 100
"""How many nodes are compiled between two turns of the loop: about 10 ms."""


@dataclass(frozen=True, slots=True)
class _Trust:
    files: Files
    anchors: int
    pool: tuple[Certificate, ...]


class Compiler:
    """Compiles and publishes; one call at a time, which the fleet sees to."""

    def __init__(self, store: Store, builtin: Sequence[Certificate]) -> None:
        self._store = store
        self._builtin = tuple(builtin)
        self._builtin_pem = "".join(each.pem for each in self._builtin)

    async def publish(
        self, nodes: Collection[NodeFacts], *, epoch: int, cause: str, changed_s: float
    ) -> dict[NodeName, Desired]:
        """Publish a generation for each of these nodes whose content differs; return what was published.

        Raises StorageError; then nothing was published.
        """
        assignments = await self._assignments({facts.name for facts in nodes})
        trust = await self._trust()
        parts = await self._parts(assignments, trust)
        manifests: list[Manifest] = []
        for count, facts in enumerate(nodes):
            if count % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            own = {
                each.slot: parts[each.certificate_id, each.slot] for each in assignments.get(facts.name, ())
            }
            manifest = next_manifest(facts, epoch=epoch, parts=own, trust=trust.files, anchors=trust.anchors)
            if manifest is not None:
                manifests.append(manifest)
        bodies = dict(trust.files.payloads)
        for _, files in parts.values():
            bodies.update(files.payloads)
        await self._store.generations.publish(
            [_new_generation(manifest, bodies, cause=cause, created_s=changed_s) for manifest in manifests]
        )
        return {manifest.node: desired_from(manifest, changed_s) for manifest in manifests}

    async def _assignments(self, names: set[NodeName]) -> Mapping[NodeName, list[AssignmentRecord]]:
        found: dict[NodeName, list[AssignmentRecord]] = defaultdict(list)
        for each in await self._store.assignments.list():
            if each.node in names:
                found[each.node].append(each)
        return found

    async def _trust(self) -> _Trust:
        records = await self._store.trusted_cas.list()
        return await asyncio.to_thread(self._build_trust, records)

    def _build_trust(self, records: Sequence[TrustedCaRecord]) -> _Trust:
        custom_pem = "".join(record.certificate_pem for record in records)
        intermediates_pem = "".join(record.certificate_pem for record in records if not record.self_signed)
        material = TrustMaterial(
            ca_certificates_pem=self._builtin_pem + custom_pem,
            custom_ca_pem=custom_pem,
            intermediates_pem=intermediates_pem,
            anchors=len(self._builtin) + len(records),
        )
        pool = (*(each for record in records for each in _decode_all(record.certificate_pem)), *self._builtin)
        return _Trust(trust_files(material), material.anchors, pool)

    async def _parts(
        self, assignments: Mapping[NodeName, Iterable[AssignmentRecord]], trust: _Trust
    ) -> dict[tuple[int, Slot], tuple[SlotFacts, Files]]:
        uses = sorted({(each.certificate_id, each.slot) for some in assignments.values() for each in some})
        materials = await self._store.certificates.slot_material(
            {certificate_id for certificate_id, _ in uses}
        )

        def lay_out() -> dict[tuple[int, Slot], tuple[SlotFacts, Files]]:
            completed = {
                certificate_id: _complete(material, trust.pool)
                for certificate_id, material in materials.items()
            }
            return {
                (certificate_id, slot): (
                    completed[certificate_id].facts,
                    slot_files(slot, completed[certificate_id]),
                )
                for certificate_id, slot in uses
                if certificate_id in completed
            }

        return await asyncio.to_thread(lay_out)


def _complete(material: SlotMaterial, pool: Sequence[Certificate]) -> SlotMaterial:
    """Let stored intermediates complete the chain that was uploaded with the leaf."""
    (leaf,) = _decode_all(material.certificate_pem)
    chain = serving_chain(leaf, (*_decode_all(material.chain_pem), *pool))
    return SlotMaterial(
        facts=material.facts,
        certificate_pem=material.certificate_pem,
        chain_pem="".join(each.pem for each in chain),
        private_key_pem=material.private_key_pem,
        parameters_pem=material.parameters_pem,
    )


def _decode_all(pem: str) -> list[Certificate]:
    return [decode(block.der) for block in read_blocks(pem).blocks]


def _new_generation(
    manifest: Manifest, bodies: Mapping[Digest, bytes], *, cause: str, created_s: float
) -> NewGeneration:
    # what a slot keeps from an earlier generation is in the store already
    return NewGeneration(
        node=manifest.node,
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=manifest.digest,
        manifest=canonical(manifest),
        payloads={entry.digest: bodies[entry.digest] for entry in manifest.entries if entry.digest in bodies},
        secrets=frozenset(entry.digest for entry in manifest.entries if entry.secret),
        cause=cause,
        created_s=created_s,
    )
