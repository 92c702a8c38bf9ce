"""Outcomes of installation attempts: the report of a finished attempt, and how long its content rests.

Decides from the attempt and the cause of its end. Leaves to `nodeagent.core.steps` when it enters the journal.
"""

from typing import Literal

from common.codes import Result
from common.wire.fields import clip
from common.wire.ladder import step_s
from nodeagent.core.journal import Attempt, Cause, UnacknowledgedOutcome
from nodeagent.core.quarantine import Failed, attempts_with, leading, text_of


def failure_of(
    before: Failed | None,
    attempt: Attempt,
    result: Literal["rolled_back", "failed", "rejected"],
    cause: Cause,
    *,
    now_s: float,
) -> Failed:
    """Return the failure of an attempt. `before` is the previous failure, counted if its content is the same."""
    offer = attempt.offer
    attempts = attempts_with(before, offer.digest)
    if attempt.again and before is not None and before.digest == offer.digest:
        attempts = before.attempts
    return Failed(
        epoch=offer.epoch,
        generation=offer.generation,
        digest=offer.digest,
        result=result,
        phase=cause.phase,
        reason=cause.reason,
        message=clip(cause.message),
        at_s=now_s,
        attempts=attempts,
        until_s=now_s + step_s(attempts),
    )


def failure_of_parts(attempt: Attempt, *, now_s: float) -> Failed | None:
    """Return the failure to report for an offer with refused parts, None if no part was refused."""
    if not attempt.refused:
        return None
    first, offer = leading(attempt.refused), attempt.offer
    soonest = min(attempt.refused.values(), key=lambda one: one.until_s)
    return Failed(
        epoch=offer.epoch,
        generation=offer.generation,
        digest=offer.digest,
        result="rejected",
        phase=first.phase,
        reason=first.reason,
        message=text_of(attempt.refused, kept=attempt.kept),
        at_s=now_s,
        attempts=soonest.attempts,
        until_s=soonest.until_s,
    )


def outcome_of(
    attempt: Attempt, result: Result, cause: Cause | None, *, now_s: float, reloads: int
) -> UnacknowledgedOutcome:
    """Return the outcome that the manager has yet to acknowledge; `cause` is None after a success."""
    return UnacknowledgedOutcome(
        push_id=attempt.push_id,
        version=attempt.offer,
        result=result,
        phase=cause.phase if cause is not None else "commit",
        reason=cause.reason if cause is not None else "",
        message=clip(cause.message) if cause is not None else "",
        at_s=now_s,
        duration_ms=max(0, round((now_s - attempt.started_s) * 1000)),
        reloads=reloads,
        diagnostics=cause.diagnostics if cause is not None else "",
    )
