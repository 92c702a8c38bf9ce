"""The manifest: a bundle's file list, in one canonical form with one digest.

Decides which files a bundle may hold, how large they may be, and when two bundles are the same.
Leaves the content of the files to `common.bundle.verify`.
Invariant: a `Manifest` that came from `parse_manifest` names only files of the closed set below, so no
name from the network ever becomes a path.
"""

from collections.abc import Mapping
from typing import Final, Literal, get_args

import msgspec

from common.errors import BundleError, Reason
from common.ids import Digest, Fingerprint, NodeName, digest_of
from common.schema import UNDECODABLE, finding_text

MANIFEST_FORMAT: Final = 1
"""Raised when the canonical form changes; a change there is a protocol change."""

Slot = Literal["server", "client"]
"""`server`: what the node's TLS services show. `client`: what the node shows as a TLS client."""

SLOTS: Final[tuple[Slot, ...]] = get_args(Slot)

CERTIFICATE: Final = "certificate.pem"
CHAIN: Final = "chain.pem"
FULLCHAIN: Final = "fullchain.pem"
PRIVKEY: Final = "privkey.pem"
COMBINED: Final = "combined.pem"
DHPARAM: Final = "dhparam.pem"
SECRET_FILES: Final = frozenset({PRIVKEY, COMBINED})
SLOT_FILES: Final = (CERTIFICATE, CHAIN, COMBINED, DHPARAM, FULLCHAIN, PRIVKEY)
TRUST_FILES: Final = ("ca-certificates.pem", "custom-ca.pem", "intermediates.pem")
TRUST: Final = "trust"

PATHS: Final = frozenset(
    {f"{slot}/{name}" for slot in SLOTS for name in SLOT_FILES} | {f"{TRUST}/{name}" for name in TRUST_FILES}
)
"""Every path that a bundle can hold."""

MANIFEST_MAX_BYTES: Final = 32 * 1024
"""Fifteen entries of about 150 bytes each, with room for fields to come."""

ENTRY_MAX_BYTES: Final = 4 * 1024 * 1024
"""The Mozilla list is about 230 KB; this leaves room for a custom trust store fifteen times that."""

BUNDLE_MAX_BYTES: Final = 16 * 1024 * 1024
"""All entries together; bounds what an agent holds in memory during a transfer."""


class ManifestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One file: its path below the generation's directory, the SHA-256 of its bytes, and their count."""

    path: str
    digest: Digest
    size_bytes: int

    @property
    def secret(self) -> bool:
        """Whether the file holds a private key (and so gets the narrow mode, and is sealed at rest)."""
        return self.path.rpartition("/")[2] in SECRET_FILES


class SlotFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A slot's leaf: its fingerprint and its validity in unix seconds."""

    leaf: Fingerprint
    not_before_s: int
    not_after_s: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The files that one node must hold. `anchors` counts the certificates in trust/ca-certificates.pem."""

    format: int
    node: NodeName
    epoch: int
    generation: int
    slots: dict[Slot, SlotFacts]
    anchors: int
    entries: tuple[ManifestEntry, ...]

    @property
    def digest(self) -> Digest:
        """SHA-256 over the canonical form without epoch and generation: the identity of the content.

        Republished content therefore has its old digest and needs no reload.
        """
        return digest_of(canonical(msgspec.structs.replace(self, epoch=0, generation=0)))

    @property
    def version(self) -> tuple[int, int]:
        """`(epoch, generation)`, which only rises on a node."""
        return (self.epoch, self.generation)

    def by_path(self) -> Mapping[str, ManifestEntry]:
        """Return the entries by path."""
        return {entry.path: entry for entry in self.entries}


_DECODER = msgspec.json.Decoder(Manifest)


def canonical(manifest: Manifest) -> bytes:
    """Encode a manifest: JSON, UTF-8, keys sorted, no white space. The same content gives the same bytes."""
    return msgspec.json.encode(manifest, order="sorted")


def parse_manifest(raw: bytes) -> Manifest:
    """Read a manifest from outside. Raises BundleError: TOO_BIG, UNSUPPORTED (format), or PARSE."""
    if len(raw) > MANIFEST_MAX_BYTES:
        raise BundleError(
            f"the manifest has {len(raw)} bytes; the limit is {MANIFEST_MAX_BYTES}", reason=Reason.TOO_BIG
        )
    try:
        manifest = _DECODER.decode(raw)
    except UNDECODABLE as error:
        raise BundleError(
            f"the manifest cannot be read: {finding_text(error)}", reason=Reason.PARSE
        ) from error
    if manifest.format != MANIFEST_FORMAT:
        raise BundleError(
            f"the manifest has format {manifest.format}; this side speaks {MANIFEST_FORMAT}",
            reason=Reason.UNSUPPORTED,
        )
    _check_shape(manifest)
    if canonical(manifest) != raw:
        raise BundleError("the manifest is not in canonical form", reason=Reason.PARSE)
    return manifest


def _check_shape(manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.entries]
    if unknown := sorted(set(paths) - PATHS):
        raise BundleError(
            f"the manifest names a file that no bundle has: {unknown[0]!r:.80}", reason=Reason.PARSE
        )
    if paths != sorted(set(paths)):
        raise BundleError("the manifest's entries are not sorted or repeat a path", reason=Reason.PARSE)
    if manifest.epoch < 1 or manifest.generation < 1 or manifest.anchors < 0:
        raise BundleError("epoch and generation begin at 1 and anchors at 0", reason=Reason.PARSE)
    _check_sizes(manifest.entries)
    for slot in SLOTS:
        have = {path for path in paths if path.startswith(f"{slot}/")}
        wanted = {f"{slot}/{name}" for name in SLOT_FILES} if slot in manifest.slots else set()
        if have != wanted:
            raise BundleError(
                f"the {slot} slot's files are not the {len(wanted)} it must have", reason=Reason.PARSE
            )
    if {path for path in paths if path.startswith(f"{TRUST}/")} != {
        f"{TRUST}/{name}" for name in TRUST_FILES
    }:
        raise BundleError("the trust store's files are not complete", reason=Reason.EMPTY_BUNDLE)


def _check_sizes(entries: tuple[ManifestEntry, ...]) -> None:
    for entry in entries:
        if not 0 <= entry.size_bytes <= ENTRY_MAX_BYTES:
            raise BundleError(
                f"{entry.path} has {entry.size_bytes} bytes; the limit is {ENTRY_MAX_BYTES}",
                reason=Reason.TOO_BIG,
            )
        if len(entry.digest) != 64 or not set(entry.digest) <= set("0123456789abcdef"):
            raise BundleError(f"{entry.path} has no SHA-256 digest", reason=Reason.PARSE)
    if sum(entry.size_bytes for entry in entries) > BUNDLE_MAX_BYTES:
        raise BundleError(f"the bundle is larger than {BUNDLE_MAX_BYTES} bytes", reason=Reason.TOO_BIG)


def is_confirmed_shrink(manifest: Manifest, confirmed_anchors: int | None) -> bool:
    """Whether an operator has confirmed a trust store of no more anchors than this one has."""
    return confirmed_anchors is not None and manifest.anchors >= confirmed_anchors
