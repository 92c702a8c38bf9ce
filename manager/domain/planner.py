"""The one decision about pushes: to which node, of what, now or later, and why.

Decides; the fleet carries out. An event, the minute's reconcile and a manual push all ask here.
Invariant: a node is offered its desired generation if and only if what it applied differs, no attempt at the same
generation is under way, and the content is not in quarantine; `forced` overrides the quarantine and a conflict.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from common.bundle.build import Files, build_bundle
from common.bundle.manifest import Manifest, Slot, SlotFacts
from common.errors import ConflictError, Reason
from common.ids import Digest
from common.pki.expiry import from_number
from common.words import date
from manager.domain.desired import Desired, desired_from
from manager.domain.facts import NodeFacts
from manager.domain.view import PlannedPush, Preview

QUIET_S: Final = 0.5
"""Changes that follow each other within this time become one generation."""

QUIET_MAX_S: Final = 5.0
"""But a change never waits longer than this."""


def plan_push(facts: NodeFacts, *, now_s: float, forced: bool = False) -> PlannedPush:
    """Decide about one node whose desired generation is published."""
    if facts.desired is None:
        return _none(facts, "nothing has been published for it yet")
    if not facts.joined:
        return _wait(facts, "it has not joined; its join token has not been used")
    if facts.connected_s is None:
        return _wait(facts, "it is offline; it will be pushed when it connects")
    if facts.is_applied:
        return _none(facts, "it runs what is desired")
    if facts.is_in_conflict and not forced:
        return _wait(facts, "it runs a generation that this store does not know; a forced push replaces it")
    if _is_under_way(facts) and not forced:
        return _none(facts, "a push of the same generation is under way")
    if (rest_s := facts.retry_in_s(now_s)) > 0 and not forced:
        failed = facts.last_failed
        if failed is not None and failed.reason == Reason.NOT_YET_VALID:
            return _wait(facts, f"it waits: {failed.message}")
        reason = failed.reason if failed is not None else ""
        waits = _wait(facts, f"it failed ({reason}); next attempt in {rest_s:.0f} s")
        return replace(waits, retry_after_s=round(rest_s, 1))
    return PlannedPush(
        node=facts.name,
        action="push",
        why="what it runs differs from what is desired",
        generation=facts.desired.version.generation,
    )


def should_override_shrink_guard(facts: NodeFacts, confirmed_anchors: int) -> bool:
    """Whether the node refused a trust store for having lost too much, though an operator wanted no more than that.

    `confirmed_anchors` is how few anchors an operator has confirmed. Not once a forced offer was refused for that very reason.
    """
    desired, failed, push = facts.desired, facts.last_failed, facts.push
    if desired is None or failed is None or facts.is_pushing:
        return False
    was_forced = (
        push is not None
        and push.forced
        and push.version == desired.version
        and push.reason == Reason.SHRINK_GUARD
    )
    return (
        failed.digest == desired.version.digest
        and failed.reason == Reason.SHRINK_GUARD
        and desired.manifest.anchors >= confirmed_anchors
        and not was_forced
    )


def lacking(facts: NodeFacts) -> Sequence[Digest]:
    """Return the payloads of what is desired that a node does not hold, none if it is not known what it holds."""
    running, desired = facts.running, facts.desired
    if running is None or desired is None or facts.applied is None:
        return ()
    if running.version.digest != facts.applied.digest:
        return ()
    held = {entry.digest for entry in running.manifest.entries}
    return list(dict.fromkeys(each.digest for each in desired.manifest.entries if each.digest not in held))


def preview_push(facts: NodeFacts, news: Desired | None, *, now_s: float, forced: bool) -> Preview:
    """Say what a push would do to one node; `news` is what it would publish for it, None if nothing."""
    then = replace(facts, desired=news) if news is not None else facts
    plan = plan_push(then, now_s=now_s, forced=forced)
    if news is not None and plan.action == "push":
        plan = replace(plan, action="publish_and_push")
    becomes = then.desired.manifest if then.desired is not None and not then.is_applied else None
    return Preview(plan=plan, runs=facts.runs, becomes=becomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the store wants of a node: its slots' parts, and the trust store with its count of anchors.

    `kept` are slots with a certificate that is held out: the node keeps what it has there.
    """

    parts: Mapping[Slot, tuple[SlotFacts, Files]]
    kept: Collection[Slot] = ()
    trust: Files
    anchors: int


def wanted_manifest(facts: NodeFacts, content: Content, *, epoch: int) -> Manifest:
    """Return what the store wants of a node, under the number that follows.

    The server slot is never emptied: without an assignment it keeps what was desired before, because a node whose
    certificate was taken away would stop serving at its next reload.
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
    """Whether what the store wants must be published: neither what is desired already, nor what older content stands in for."""
    desired = facts.desired
    if desired is None:
        return True
    # a node that has seen a higher number than the store needs even the same content under a number above that
    if facts.believed_generation > desired.version.generation and not facts.is_applied:
        return True
    # nor does it take it under the number of what it runs
    if facts.runs_namesake:
        return True
    return wanted.version.digest not in {desired.version.digest, desired.superseded_digest}


def republish(facts: NodeFacts, old: Manifest, content: Content, *, epoch: int, now_s: float) -> Desired:
    """Return older content as what is desired from now on, until the assigned content of the node changes.

    Raises ConflictError where that would change nothing, or the node would refuse it.
    """
    if reason := unpublishable(old, facts.desired.version.digest if facts.desired else None, now_s=now_s):
        raise ConflictError(reason)
    manifest = msgspec.structs.replace(old, epoch=epoch, generation=_next_number(facts))
    # what the store wants once this is desired: an empty server slot keeps what it finds
    then = replace(facts, desired=desired_from(manifest, now_s))
    wanted = wanted_manifest(then, content, epoch=epoch).digest
    return desired_from(manifest, now_s, wanted if wanted != manifest.digest else None)


def unpublishable(old: Manifest, desired: Digest | None, *, now_s: float) -> str:
    """Return why older content is not published once more, "" if it can be: it is desired already, or the node would refuse it."""
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
