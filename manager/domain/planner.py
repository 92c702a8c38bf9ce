"""Push planner: decides which node is pushed what, now or later, and why.

The fleet carries out the decisions. Events, the reconcile every minute and manual pushes all use it.
Invariant: a node is offered its desired generation if and only if what it applied differs, no attempt at the
same generation is under way, and the content is not in quarantine; `forced` overrides the quarantine and a
conflict.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from common.errors import Reason
from common.ids import Digest
from manager.domain.desired import Desired
from manager.domain.facts import NodeFacts
from manager.domain.view import PlannedPush, Preview

QUIET_S: Final = 0.5
"""Changes within this time of each other become one generation."""

QUIET_MAX_S: Final = 5.0
"""Longest delay of a change."""


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
    """Whether the node refused a trust store as shrunk although an operator confirmed that.

    `confirmed_anchors` is the lowest confirmed number of anchors. Returns False after a forced offer was
    refused for this reason.
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


def missing_payloads(facts: NodeFacts) -> Sequence[Digest]:
    """Return the desired payloads that a node lacks, none if it is unknown what it has."""
    running, desired = facts.running, facts.desired
    if running is None or desired is None or facts.applied is None:
        return ()
    if running.version.digest != facts.applied.digest:
        return ()
    held = {entry.digest for entry in running.manifest.entries}
    return list(dict.fromkeys(each.digest for each in desired.manifest.entries if each.digest not in held))


def preview_push(facts: NodeFacts, to_publish: Desired | None, *, now_s: float, forced: bool) -> Preview:
    """Return what a push would do to one node; `to_publish` is what it would publish first, None for nothing."""
    then = replace(facts, desired=to_publish) if to_publish is not None else facts
    plan = plan_push(then, now_s=now_s, forced=forced)
    if to_publish is not None and plan.action == "push":
        plan = replace(plan, action="publish_and_push")
    becomes = then.desired.manifest if then.desired is not None and not then.is_applied else None
    return Preview(plan=plan, runs=facts.runs, becomes=becomes)


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
