"""When a bundle that a node refused is offered again."""

import pytest

from common.wire.ladder import LADDER_S
from manager.domain.facts import NodeFacts
from manager.domain.report import (
    Rejected,
)
from manager.domain.view_of_facts import view_of
from tests.bundles import opaque_bundle
from tests.unit.domain.planning import NOW_S, decide, failure_of, node, report_of


def test_a_refusal_that_the_node_does_not_count_itself_is_kept_and_retried_after_a_minute():
    facts = node(opaque_bundle())
    facts.offer("p", facts.desired, NOW_S)
    facts.conclude(Rejected(push_id="p", reason="stale_generation", message="no"), NOW_S)
    assert facts.state() == "failed"
    assert view_of(facts, NOW_S).last_failed.reason == "stale_generation"
    facts.apply_report(report_of(None), NOW_S + 1)
    assert view_of(facts, NOW_S).last_failed.reason == "stale_generation"
    assert decide(facts, now_s=NOW_S + 1) == "wait"
    assert decide(facts, now_s=NOW_S + LADDER_S[0]) == "push"
    facts.apply_report(report_of(opaque_bundle()), NOW_S + 90)
    assert view_of(facts, NOW_S).last_failed is None


REFUSALS = [
    "stale_generation",
    "bad_digest",
    "clock_skew",
    "no_space",
    "permission",
    "target_missing",
    "busy",
]


def refuse(facts: NodeFacts, reason: str, *, now_s: float, **report) -> None:
    facts.offer("p", facts.desired, now_s)
    facts.conclude(
        Rejected(push_id="p", reason=reason, message="no", report=report_of(None, **report)), now_s
    )


@pytest.mark.parametrize("reason", REFUSALS)
def test_a_report_each_minute_does_not_put_off_the_retry_of_a_refusal(reason: str):
    facts, now_s = node(opaque_bundle()), NOW_S
    for step_s in (*LADDER_S, LADDER_S[-1]):
        refuse(facts, reason, now_s=now_s)
        refused_s = now_s
        while now_s + 50 < refused_s + step_s:
            now_s += 50
            facts.apply_report(report_of(None), now_s)
            assert decide(facts, now_s=now_s) == "wait"
        now_s = refused_s + step_s
        assert decide(facts, now_s=now_s) == "push"


def test_an_older_failure_that_the_node_keeps_does_not_hide_the_refusal_of_what_is_desired_now():
    facts = node(opaque_bundle("new", generation=2))
    kept = failure_of(opaque_bundle("old"), retry_after_s=3000)
    refuse(facts, "stale_generation", now_s=NOW_S, last_failed=kept)
    assert view_of(facts, NOW_S).last_failed.reason == "stale_generation"
    assert facts.state() == "failed"
    assert decide(facts, now_s=NOW_S + 1) == "wait", (
        "offered again at once, it would be refused again at once"
    )
    assert decide(facts, now_s=NOW_S + LADDER_S[0]) == "push"


def test_a_refusal_for_a_wrong_clock_is_offered_again_as_soon_as_the_clock_is_right():
    facts = node(opaque_bundle())
    refuse(facts, "clock_skew", now_s=NOW_S, clock_s=NOW_S - 31_536_000)
    assert decide(facts, now_s=NOW_S + 5) == "wait"
    facts.apply_report(report_of(None, clock_s=NOW_S + 6), NOW_S + 6)
    assert decide(facts, now_s=NOW_S + 6) == "push"


def test_a_clock_of_the_manager_that_is_set_back_does_not_put_a_retry_off_for_good():
    facts = node(opaque_bundle())
    refuse(facts, "no_space", now_s=NOW_S + 31_536_000)
    assert facts.retry_in_s(NOW_S) <= LADDER_S[-1]


def test_an_overdue_push_shows_as_failed_and_is_made_again():
    facts = node(opaque_bundle())
    facts.offer("p", facts.desired, NOW_S)
    facts.overdue("p", "want", NOW_S + 20)
    assert view_of(facts, NOW_S).push.reason == "timeout"
    assert facts.state() == "failed"
    assert decide(facts) == "push"
