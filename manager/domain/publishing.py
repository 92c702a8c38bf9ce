"""Publishing: the content of a node's next generation, and which older content may replace it.

Decides; the fleet's compiler carries out. Invariants: the server slot is never emptied. A generation's number
is above every number that its node has seen.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import msgspec

from common.bundle.build import Files, build_bundle
from common.bundle.manifest import Manifest, Slot, SlotFacts
from common.errors import ConflictError
from common.ids import Digest
from common.pki.expiry import from_number
from common.words import date
from manager.domain.desired import Desired, desired_from
from manager.domain.facts import NodeFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Content that the store wants for a node: the slots' parts, and the trust store with its anchor count.

    `kept` are slots whose certificate is held out: the node keeps its present content there.
    """

    parts: Mapping[Slot, tuple[SlotFacts, Files]]
    kept: Collection[Slot] = ()
    trust: Files
    anchors: int


def wanted_manifest(facts: NodeFacts, content: Content, *, epoch: int) -> Manifest:
    """Return the manifest that the store wants for a node, with the next number.

    The server slot is never emptied: without an assignment it keeps the previously desired content, because a
    node without its certificate would stop serving at its next reload.
    """
    last = facts.desired.manifest if facts.desired else None
    slots = dict(content.parts)
    for slot in {"server", *content.kept} if last is not None else ():
        if last is not None and slot in last.slots and slot not in slots:
            kept = tuple(entry for entry in last.entries if entry.path.startswith(f"{slot}/"))
            slots[slot] = (last.slots[slot], Files(kept, {}))
    bundle = build_bundle(
        node=facts.name,
        epoch=epoch,
        generation=_next_number(facts),
        slots=slots,
        trust=content.trust,
        anchors=content.anchors,
    )
    return bundle.manifest


def needs_publishing(facts: NodeFacts, wanted: Desired) -> bool:
    """Whether wanted content must be published: it is neither desired already nor replaced by older content."""
    desired = facts.desired
    if desired is None:
        return True
    # a node that has seen a higher number needs even the same content under a number above that
    if facts.believed_generation > desired.version.generation and not facts.is_applied:
        return True
    # nor does it accept it under the number of its running generation
    if facts.runs_namesake:
        return True
    return wanted.version.digest not in {desired.version.digest, desired.superseded_digest}


def republish(facts: NodeFacts, old: Manifest, content: Content, *, epoch: int, now_s: float) -> Desired:
    """Return older content as the desired one, until the node's assigned content changes.

    Raises ConflictError if that would change nothing or the node would refuse it.
    """
    if reason := unpublishable(old, facts.desired.version.digest if facts.desired else None, now_s=now_s):
        raise ConflictError(reason)
    manifest = msgspec.structs.replace(old, epoch=epoch, generation=_next_number(facts))
    # the wanted content once this is desired: an empty server slot keeps what it has
    then = replace(facts, desired=desired_from(manifest, now_s))
    wanted = wanted_manifest(then, content, epoch=epoch).digest
    return desired_from(manifest, now_s, wanted if wanted != manifest.digest else None)


def unpublishable(old: Manifest, desired: Digest | None, *, now_s: float) -> str:
    """Return why older content cannot be republished, "" if it can: already desired, or the node refuses it."""
    if old.digest == desired:
        return f"generation {old.generation} already has the content that is desired for the node"
    for slot, held in old.slots.items():
        if from_number(held.not_after_s) is None:
            return f"the validity of the {slot} certificate of generation {old.generation} cannot be read; assign one that is valid"
        if now_s >= held.not_after_s:
            return f"the {slot} certificate of generation {old.generation} expired on {date(held.not_after_s)}; assign one that is valid"
        if now_s < held.not_before_s:
            return f"the {slot} certificate of generation {old.generation} is valid only from {date(held.not_before_s)}; assign one that is valid now"
    return ""


def _next_number(facts: NodeFacts) -> int:
    return 1 + facts.believed_generation
