"""Offer assessment: which offer may replace what runs on a node.

Decides from the manifest, the versions that this node has applied, and the quarantine. `receiver` chooses the
answer. Invariant: `(epoch, generation)` only rises.
"""

from typing import Protocol

from common.bundle.manifest import Manifest, is_confirmed_shrink, parse_manifest
from common.errors import BundleError, Reason
from common.ids import Digest, NodeName
from common.wire.contact import Contact
from common.wire.messages import Failure, Offer, Outcome, Report


class LocalState(Protocol):
    """The agent's state, answered from memory."""

    def report(self, now_s: float) -> Report:
        """Return what the node knows about itself."""

    def contact(self) -> Contact | None:
        """Return the node's contact for its manager, None if the node does not accept announced contacts."""

    def applied(self) -> Manifest | None:
        """Return the manifest that runs."""

    def highest(self) -> tuple[int, int]:
        """Return the highest `(epoch, generation)` that this node ever applied, (0, 0) at first."""

    def has(self, digest: Digest) -> bool:
        """Whether a payload with this digest is held and need not travel."""

    def quarantined(self, digest: Digest, now_s: float) -> Failure | None:
        """Return why this content is in quarantine now, None if it is not."""

    def unacknowledged_outcome(self, now_s: float) -> Outcome | None:
        """Return the outcome that the manager has not acknowledged."""

    def challenges_held(self) -> int | None:
        """Return how many challenges the node shows, None if it cannot show any."""


def read_offer(offer: Offer, blob: bytes, *, node: NodeName, local: LocalState) -> Manifest:
    """Return the manifest if it may replace the running one or is running. Raises BundleError otherwise."""
    manifest = parse_manifest(blob)
    if manifest.node != node:
        raise BundleError(f"the bundle is for node '{manifest.node}'", reason=Reason.WRONG_NODE)
    if manifest.digest != offer.digest or manifest.version != (offer.epoch, offer.generation):
        raise BundleError("the manifest is not the one that the offer names", reason=Reason.BAD_DIGEST)
    highest = local.highest()
    if manifest.epoch < highest[0]:
        raise BundleError(
            f"this node has seen epoch {highest[0]}; an offer of epoch {manifest.epoch} comes from an older manager",
            reason=Reason.EPOCH_CONFLICT,
        )
    if manifest.version <= highest and not is_applied(manifest, local):
        raise BundleError(
            f"this node has applied generation {highest[1]}; generation {manifest.generation} is not newer",
            reason=Reason.STALE_GENERATION,
        )
    return manifest


def is_applied(manifest: Manifest, local: LocalState) -> bool:
    """Whether exactly this generation, with this content, is running."""
    applied = local.applied()
    return applied is not None and applied.version == manifest.version and applied.digest == manifest.digest


def find_quarantine(offer: Offer, manifest: Manifest, local: LocalState, now_s: float) -> Failure | None:
    """Return the failure that keeps this content in quarantine now.

    None if it is not in quarantine, if an administrator forces the offer, or if the refusal was for too few
    trusted CAs and an administrator has confirmed that few.
    """
    failure = local.quarantined(manifest.digest, now_s)
    if failure is None or offer.forced:
        return None
    is_confirmed = failure.reason == Reason.SHRINK_GUARD and is_confirmed_shrink(
        manifest, offer.confirmed_anchors
    )
    return None if is_confirmed else failure


def already_applied(offer: Offer, local: LocalState, now_s: float) -> Outcome:
    """Return the outcome for an offer that is already running: nothing was installed for it."""
    return Outcome(
        push_id=offer.push_id,
        epoch=offer.epoch,
        generation=offer.generation,
        digest=offer.digest,
        result="applied",
        phase="commit",
        message="it is already applied",
        at_s=now_s,
        report=local.report(now_s),
    )
