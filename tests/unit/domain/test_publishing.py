"""Which content becomes a node's next generation, and which is published again."""

from dataclasses import replace

import pytest

from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.alarms import conditions_of_nodes
from manager.domain.desired import desired_from
from manager.domain.facts import NodeFacts
from manager.domain.planner import plan_push, preview_push
from manager.domain.publishing import Content, needs_publishing, republish, wanted_manifest
from manager.domain.view_of_facts import view_of
from tests.bundles import opaque_bundle, opaque_slot, opaque_trust
from tests.unit.domain.planning import NOW_S, decide, failure_of, node, report_of


def following(facts: NodeFacts, text: str | None = "leaf", *, epoch: int = 1):
    parts = {"server": opaque_slot(text)} if text is not None else {}
    wanted = wanted_manifest(facts, wants(parts), epoch=epoch)
    return wanted if needs_publishing(facts, desired_from(wanted, NOW_S)) else None


def wants(parts: dict, trust: str = "anchors") -> Content:
    return Content(parts=parts, trust=opaque_trust(trust), anchors=1)


def test_content_that_is_desired_already_is_not_published_again():
    facts = node(None)
    first = following(facts)
    assert first.generation == 1
    facts.desired = desired_from(first, NOW_S)
    assert following(facts) is None
    assert following(facts, epoch=2) is None
    assert following(facts, "other").generation == 2


def test_a_new_generation_is_above_every_one_that_the_node_has_seen():
    facts = node(opaque_bundle(generation=3))
    facts.apply_report(report_of(opaque_bundle("more", generation=9)), NOW_S)
    assert following(facts, "other").generation == 10
    assert following(facts, "leaf").generation == 10


def test_a_server_slot_that_lost_its_assignment_keeps_what_was_desired():
    facts = node(None)
    facts.desired = desired_from(following(facts), NOW_S)
    assert following(facts, None) is None


def test_a_node_that_never_had_a_certificate_gets_the_trust_store_alone():
    manifest = following(node(None), None)
    assert not manifest.slots
    assert manifest.node == NodeName("n1")


def publish_again(facts: NodeFacts, text: str, *, wanted: str | None = "new", trust: str = "anchors"):
    """Republish a bundle of this text while the store wants another."""
    parts = {"server": opaque_slot(wanted)} if wanted is not None else {}
    old = opaque_bundle(text).manifest
    return republish(facts, old, wants(parts, trust), epoch=1, now_s=NOW_S)


def test_republished_content_gets_the_number_that_follows_and_its_old_digest():
    facts = node(opaque_bundle("new", generation=7))
    again = publish_again(facts, "old")
    assert (again.version.generation, again.version.digest) == (8, opaque_bundle("old").manifest.digest)
    facts.apply_report(report_of(opaque_bundle("more", generation=11)), NOW_S)
    assert publish_again(facts, "old").version.generation == 12


def test_republished_content_stays_until_what_the_store_wants_changes():
    facts = node(opaque_bundle("new", generation=7))
    facts.desired = publish_again(facts, "old")
    assert view_of(facts, NOW_S).republished
    assert following(facts, "new") is None, "the store wants what it wanted"
    assert following(facts, "newer").generation == 9


def test_republishing_what_the_store_wants_ends_the_standing_in():
    facts = node(opaque_bundle("new", generation=7))
    facts.desired = publish_again(facts, "old")
    facts.desired = publish_again(facts, "new")
    assert not view_of(facts, NOW_S).republished
    assert (facts.desired.version.generation, following(facts, "new")) == (9, None)


def test_a_node_without_an_assignment_keeps_the_server_certificate_that_was_republished():
    facts = node(opaque_bundle("new", generation=7, trust="less"))
    facts.desired = publish_again(facts, "old", wanted=None)
    assert not view_of(facts, NOW_S).republished, (
        "its server slot is what it finds, and the trust store is the same"
    )
    assert following(facts, None) is None


def test_what_is_desired_already_is_not_republished():
    with pytest.raises(ConflictError, match="desired for the node"):
        publish_again(node(opaque_bundle("new")), "new")


@pytest.mark.parametrize(
    ("now_s", "shown"),
    [
        (2_000_000_000.0, "expired on 2033-05-18"),
        (1e12, "expired on 2033-05-18"),
        (-1.0, "is valid only from 1970-01-01"),
    ],
)
def test_a_certificate_that_is_not_valid_now_is_not_republished(now_s: float, shown: str):
    old = opaque_bundle("old").manifest
    with pytest.raises(ConflictError, match=f"server certificate of generation 1 {shown}"):
        republish(node(opaque_bundle("new")), old, wants({}), epoch=1, now_s=now_s)


def test_a_preview_says_what_would_be_published_and_moves_nothing():
    facts = node(opaque_bundle("old"))
    facts.apply_report(report_of(opaque_bundle("old")), NOW_S)
    news = following(facts, "new")
    found = preview_push(facts, desired_from(news, NOW_S), now_s=NOW_S, forced=False)
    assert (found.plan.action, found.plan.generation) == ("publish_and_push", 2)
    assert (found.runs.generation, found.becomes) == (1, news)
    assert facts.desired.version.generation == 1
    same = preview_push(facts, None, now_s=NOW_S, forced=False)
    assert (same.plan.action, same.becomes) == ("none", None)


def test_a_certificate_that_is_not_valid_yet_is_scheduled_and_no_failure():
    facts = node(opaque_bundle("later", generation=2))
    waiting = replace(
        failure_of(opaque_bundle("later", generation=2), retry_after_s=30), reason="not_yet_valid"
    )
    facts.apply_report(report_of(opaque_bundle("now"), last_failed=waiting), NOW_S)
    assert facts.state() == "scheduled"
    assert conditions_of_nodes([view_of(facts, NOW_S)]) == []
    assert decide(facts, now_s=NOW_S + 29) == "wait"
    assert plan_push(facts, now_s=NOW_S + 29).why == f"it waits: {waiting.message}"
    assert decide(facts, now_s=NOW_S + 30) == "push"
