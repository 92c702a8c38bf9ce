"""Desired generation: what was published for a node last."""

from dataclasses import dataclass

from common.bundle.manifest import Manifest
from common.ids import Digest
from manager.domain.view import Version


@dataclass(frozen=True, slots=True)
class Desired:
    """A published generation. `changed_s` is when the change that led to it was made.

    `superseded_digest` is set of older content that was republished: the digest of what the store wanted then.
    """

    manifest: Manifest
    version: Version
    changed_s: float
    superseded_digest: Digest | None = None


def desired_from(manifest: Manifest, changed_s: float, superseded_digest: Digest | None = None) -> Desired:
    """Wrap a published manifest; its digest is computed once here."""
    version = Version(epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest)
    return Desired(manifest, version, changed_s, superseded_digest)
