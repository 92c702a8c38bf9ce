"""The one decision about pushes: to which node, of what, now or later, and why.

Decides; the fleet carries out. An event, the minute's reconcile and a manual push all ask here.
Invariant: a node is offered its desired generation if and only if what it applied differs, no attempt at the same
generation is under way, and the content is not in quarantine; `forced` overrides the quarantine and a conflict.
"""

from collections.abc import Mapping
from typing import Final

from common.bundle.build import Files, build_bundle
from common.bundle.manifest import Manifest, Slot, SlotFacts
from manager.domain.facts import NodeFacts
from manager.domain.view import PlannedPush

QUIET_S: Final = 0.5
"""Changes that follow each other within this time become one generation."""

QUIET_MAX_S: Final = 5.0
"""But a change never waits longer than this."""


def plan_push(facts: NodeFacts, *, now_s: float, forced: bool = False) -> PlannedPush:
    """Decide about one node whose desired generation is published."""
    if facts.desired is None:
        return _none(facts, "nothing is desired of it yet")
    if not facts.joined:
        return _wait(facts, "it has not joined; its join token is waiting to be used")
    if facts.connected_s is None:
        return _wait(facts, "it is offline; it will be pushed when it connects")
    if facts.is_applied:
        return _none(facts, "it runs what is desired")
    if facts.is_in_conflict and not forced:
        return _wait(
            facts, "it runs a generation that this store does not know; push with --force to replace it"
        )
    if _is_under_way(facts) and not forced:
        return _none(facts, "a push of the same generation is under way")
    if facts.retry_s > now_s and facts.failed_desired and not forced:
        reason = facts.last_failed.reason if facts.last_failed else ""
        return _wait(
            facts, f"it failed ({reason}); next attempt in {facts.retry_s - now_s:.0f} s, --force tries now"
        )
    return PlannedPush(
        node=facts.name,
        action="push",
        why="what it runs differs from what is desired",
        generation=facts.desired.version.generation,
    )


def next_manifest(
    facts: NodeFacts,
    *,
    epoch: int,
    parts: Mapping[Slot, tuple[SlotFacts, Files]],
    trust: Files,
    anchors: int,
) -> Manifest | None:
    """Return the manifest to publish for a node, None if what is desired already says it.

    The server slot is never emptied: without an assignment it keeps what was desired before, because a node whose
    certificate was taken away would stop serving at its next reload.
    """
    last = facts.desired.manifest if facts.desired else None
    applied_generation = facts.applied.generation if facts.applied else 0
    generation = 1 + max(last.generation if last else 0, applied_generation)
    slots = dict(parts)
    if last is not None and "server" in last.slots and "server" not in slots:
        kept = tuple(entry for entry in last.entries if entry.path.startswith("server/"))
        slots["server"] = (last.slots["server"], Files(kept, {}))
    bundle = build_bundle(
        node=facts.name, epoch=epoch, generation=generation, slots=slots, trust=trust, anchors=anchors
    )
    # a node that has seen a higher number than the store needs even the same content under a number above that
    overtaken = last is not None and applied_generation > last.generation and not facts.is_applied
    if last is not None and last.digest == bundle.manifest.digest and not overtaken:
        return None
    return bundle.manifest


def _is_under_way(facts: NodeFacts) -> bool:
    return (
        facts.is_pushing
        and facts.push is not None
        and facts.desired is not None
        and facts.push.version == facts.desired.version
    )


def _wait(facts: NodeFacts, why: str) -> PlannedPush:
    generation = facts.desired.version.generation if facts.desired else None
    return PlannedPush(node=facts.name, action="wait", why=why, generation=generation)


def _none(facts: NodeFacts, why: str) -> PlannedPush:
    return PlannedPush(node=facts.name, action="none", why=why, generation=None)
