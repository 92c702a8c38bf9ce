from dataclasses import replace

import pytest

from manager.domain.desired import desired_from
from manager.domain.facts import NodeFacts
from manager.domain.planner import plan_push, should_override_shrink_guard
from manager.domain.report import (
    Rejected,
)
from manager.domain.view_of_facts import view_of
from tests.bundles import opaque_bundle
from tests.unit.domain.planning import NOW_S, decide, failure_of, node, outcome_of, report_of


def test_a_node_is_pushed_what_it_has_not_applied():
    facts = node(opaque_bundle())
    assert decide(facts) == "push"
    facts.apply_report(report_of(opaque_bundle()), NOW_S)
    assert decide(facts) == "none"
    assert facts.state() == "in_sync"


@pytest.mark.parametrize(
    ("facts", "action", "state"),
    [
        (node(None), "none", "pending"),
        (node(opaque_bundle(), connected=False), "wait", "offline"),
        (replace(node(opaque_bundle()), joined=False), "wait", "never_joined"),
    ],
)
def test_a_node_that_cannot_be_pushed_says_why(facts: NodeFacts, action: str, state: str):
    plan = plan_push(facts, now_s=NOW_S)
    assert (plan.action, facts.state()) == (action, state)
    assert plan.why


def test_nothing_advances_on_send():
    facts = node(opaque_bundle("new", generation=2))
    facts.apply_report(report_of(opaque_bundle("old")), NOW_S)
    facts.offer("p", facts.desired, NOW_S)
    view = view_of(facts, NOW_S)
    assert view.offered == view.desired
    assert view.applied.generation == 1
    assert view.slots["server"].offered != view.slots["server"].applied
    assert view.state == "installing"


def test_a_push_of_the_same_generation_is_not_made_twice_at_once():
    facts = node(opaque_bundle())
    facts.offer("p", facts.desired, NOW_S)
    assert decide(facts) == "none"
    facts.desired = desired_from(opaque_bundle("newer", generation=2).manifest, NOW_S)
    assert decide(facts) == "push"


def test_a_push_whose_outcome_was_lost_is_made_again_when_the_node_is_back():
    facts = node(opaque_bundle())
    facts.offer("p", facts.desired, NOW_S)
    facts.disconnect(NOW_S + 1)
    assert view_of(facts, NOW_S).push.result == "lost"
    assert decide(facts) == "wait"
    facts.connect(address="", agent_version="0", since_s=NOW_S + 2, now_s=NOW_S + 2)
    assert decide(facts) == "push"


def test_a_push_that_was_rolled_back_is_retried_when_its_quarantine_ends_and_stays_visible_until_then():
    bundle = opaque_bundle("new", generation=2)
    facts = node(bundle)
    facts.offer("p", facts.desired, NOW_S)
    report = report_of(opaque_bundle("old"), last_failed=failure_of(bundle))
    facts.conclude(outcome_of(bundle, "p", report, "rolled_back"), NOW_S)
    assert facts.state() == "failed"
    assert view_of(facts, NOW_S).last_failed.reason == "verify_mismatch"
    assert decide(facts, now_s=NOW_S + 59) == "wait"
    assert plan_push(facts, now_s=NOW_S + 50).retry_after_s == 10
    assert plan_push(facts, now_s=NOW_S + 61).retry_after_s is None
    assert decide(facts, now_s=NOW_S + 59, forced=True) == "push"
    assert decide(facts, now_s=NOW_S + 61) == "push"
    facts.apply_report(report_of(bundle), NOW_S + 70)
    assert view_of(facts, NOW_S).last_failed is None


def test_a_trust_store_that_a_node_guards_is_forced_once_if_an_operator_meant_it():
    bundle = opaque_bundle("fewer", generation=2)
    facts = node(bundle)
    assert not should_override_shrink_guard(facts, 1), "nothing was refused"
    facts.offer("p", facts.desired, NOW_S)
    failure = replace(failure_of(bundle), result="rejected", reason="shrink_guard")
    report = report_of(opaque_bundle("old"), last_failed=failure)
    facts.conclude(Rejected(push_id="p", reason="shrink_guard", message="no", report=report), NOW_S)
    assert should_override_shrink_guard(facts, bundle.manifest.anchors)
    assert not should_override_shrink_guard(facts, bundle.manifest.anchors + 1), "nobody meant as few as this"
    facts.offer("q", facts.desired, NOW_S, forced=True)
    assert not should_override_shrink_guard(facts, 1), "it is under way"
    facts.disconnect(NOW_S)
    facts.connect(address="", agent_version="1", since_s=NOW_S, now_s=NOW_S)
    assert should_override_shrink_guard(facts, 1), "the forced offer was lost before the node answered it"
    facts.offer("q", facts.desired, NOW_S, forced=True)
    facts.conclude(Rejected(push_id="q", reason="shrink_guard", message="no", report=report), NOW_S)
    assert not should_override_shrink_guard(facts, 1), "it was forced already"


def test_a_failure_of_another_kind_is_never_forced():
    bundle = opaque_bundle("new", generation=2)
    facts = node(bundle)
    facts.apply_report(report_of(opaque_bundle("old"), last_failed=failure_of(bundle)), NOW_S)
    assert not should_override_shrink_guard(facts, 0)


def test_another_content_is_not_held_back_by_the_quarantine_of_the_last():
    bundle = opaque_bundle("bad", generation=2)
    facts = node(bundle)
    facts.apply_report(report_of(opaque_bundle("old"), last_failed=failure_of(bundle)), NOW_S)
    facts.desired = desired_from(opaque_bundle("mended", generation=3).manifest, NOW_S)
    assert decide(facts) == "push"
    assert view_of(facts, NOW_S).last_failed is not None
