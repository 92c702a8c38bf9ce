"""Build a bundle from the content of a node's slots and the trust store.

Decides the content of each file. Leaves the choice of certificates to `manager.domain`.
Invariant: equal inputs give equal bytes, and so an equal digest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from common.bundle.manifest import (
    CERTIFICATE,
    CHAIN,
    COMBINED,
    DHPARAM,
    FULLCHAIN,
    MANIFEST_FORMAT,
    PRIVKEY,
    TRUST,
    Manifest,
    ManifestEntry,
    Slot,
    SlotFacts,
)
from common.ids import Digest, NodeName, digest_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotMaterial:
    """The content of one slot. PEM texts, each ending in a newline; `chain_pem`: leaf's issuer first, no root.

    `private_key_pem` is unencrypted PKCS#8 and never appears in a repr; `parameters_pem` may be "".
    """

    facts: SlotFacts
    certificate_pem: str
    chain_pem: str
    private_key_pem: str = field(repr=False)
    parameters_pem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustMaterial:
    """The trust store. PEM texts; `ca_certificates_pem` holds built-in and custom anchors, `anchors` counts them."""

    ca_certificates_pem: str
    custom_ca_pem: str
    intermediates_pem: str
    anchors: int


@dataclass(frozen=True, slots=True)
class Files:
    """One part of a bundle, ready: its entries and the bytes of each, by digest. Shared between nodes."""

    entries: tuple[ManifestEntry, ...]
    payloads: Mapping[Digest, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A manifest and the bytes of each entry by digest. Never shown: some of the bytes are private keys."""

    manifest: Manifest
    payloads: Mapping[Digest, bytes] = field(repr=False)


def slot_files(slot: Slot, material: SlotMaterial) -> Files:
    """Lay out one slot's files."""
    fullchain = material.certificate_pem + material.chain_pem
    return _files(
        slot,
        {
            CERTIFICATE: material.certificate_pem,
            CHAIN: material.chain_pem,
            FULLCHAIN: fullchain,
            PRIVKEY: material.private_key_pem,
            # haproxy's order: the leaf, its chain, then the key, then parameters
            COMBINED: fullchain + material.private_key_pem + material.parameters_pem,
            DHPARAM: material.parameters_pem,
        },
    )


def trust_files(trust: TrustMaterial) -> Files:
    """Lay out the trust store's files."""
    return _files(
        TRUST,
        {
            "ca-certificates.pem": trust.ca_certificates_pem,
            "custom-ca.pem": trust.custom_ca_pem,
            "intermediates.pem": trust.intermediates_pem,
        },
    )


def build_bundle(
    *,
    node: NodeName,
    epoch: int,
    generation: int,
    slots: Mapping[Slot, tuple[SlotFacts, Files]],
    trust: Files,
    anchors: int,
) -> Bundle:
    """Put the parts of one node's bundle together."""
    parts: Sequence[Files] = [*(files for _, files in slots.values()), trust]
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        node=node,
        epoch=epoch,
        generation=generation,
        slots={slot: facts for slot, (facts, _) in slots.items()},
        anchors=anchors,
        entries=tuple(
            sorted((entry for part in parts for entry in part.entries), key=lambda entry: entry.path)
        ),
    )
    return Bundle(manifest, {digest: body for part in parts for digest, body in part.payloads.items()})


def _files(directory: str, texts: Mapping[str, str]) -> Files:
    bodies = {f"{directory}/{name}": text.encode() for name, text in texts.items()}
    entries = tuple(
        ManifestEntry(path=path, digest=digest_of(body), size_bytes=len(body))
        for path, body in sorted(bodies.items())
    )
    return Files(entries, {digest_of(body): body for body in bodies.values()})
