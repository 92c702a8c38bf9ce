"""Timestamps from a clock that was ahead, read after it was set back. Pure.

Decides how long they still delay anything. Invariants: no wait is longer than its own rule allows, and no
event lies in the future.
"""

from dataclasses import replace

from manager.domain.renewal.moments import ASKED_WAIT_MOST_S, WINDOW_LADDER_S
from manager.domain.renewal.records import OrderRecord, Problem, RenewalRecord


def renewal_by(record: RenewalRecord, *, now_s: float) -> RenewalRecord:
    """Return a renewal with timestamps no later than `now_s` allows; unchanged if none was ahead."""
    problem = record.problem
    rests_since_s = record.changed_s if problem is None else problem.at_s
    is_asked_later = record.poll_at_s > now_s + ASKED_WAIT_MOST_S
    window_from_s = min(record.window_from_s, now_s + WINDOW_LADDER_S[-1])
    is_ahead = max(rests_since_s, record.changed_s, record.created_s) > now_s
    if not (is_ahead or is_asked_later or window_from_s < record.window_from_s):
        return record
    return replace(
        record,
        retry_at_s=_waited_for_s(record.retry_at_s, since_s=rests_since_s, now_s=now_s),
        window_from_s=window_from_s,
        poll_at_s=0.0 if is_asked_later else record.poll_at_s,
        problem=_problem_by(problem, now_s),
        created_s=min(record.created_s, now_s),
        changed_s=min(record.changed_s, now_s),
    )


def order_by(record: OrderRecord, *, now_s: float) -> OrderRecord:
    """Return an order with timestamps no later than `now_s` allows; unchanged if none was ahead."""
    if record.changed_s <= now_s:
        return record
    return replace(
        record,
        recheck_at_s=_waited_for_s(record.recheck_at_s, since_s=record.changed_s, now_s=now_s),
        placing_s=None if record.placing_s is None else min(record.placing_s, now_s),
        steps=tuple(replace(each, at_s=min(each.at_s, now_s)) for each in record.steps),
        problem=_problem_by(record.problem, now_s),
        created_s=min(record.created_s, now_s),
        changed_s=now_s,
    )


def _waited_for_s(moment_s: float, *, since_s: float, now_s: float) -> float:
    """Return the end of a wait that began at `since_s`; one that began in the future begins now instead."""
    return moment_s - max(0.0, since_s - now_s) if moment_s > now_s else moment_s


def _problem_by(problem: Problem | None, now_s: float) -> Problem | None:
    return problem if problem is None or problem.at_s <= now_s else replace(problem, at_s=now_s)
