from dataclasses import replace

import msgspec
import pytest

from common.bundle.build import Bundle
from common.errors import ConflictError
from common.ids import NodeName
from common.wire.ladder import LADDER_S
from common.wire.messages import (
    Applied,
    Failure,
    Outcome,
    PartRefused,
    Progress,
    Rejected,
    Report,
    Serving,
    Waiting,
)
from manager.domain.alarms import AlarmKind, AlarmRecord, compare, conditions_of_nodes
from manager.domain.desired import desired_from
from manager.domain.facts import NodeFacts
from manager.domain.nodeview import view_of
from manager.domain.planner import Content, is_news, plan_push, preview_push, republish, wanted_manifest
from tests.bundles import NODE, opaque_bundle, opaque_slot, opaque_trust

NOW_S = 1000.0


def applied_of(bundle: Bundle) -> Applied:
    manifest = bundle.manifest
    leaves = {slot: facts.leaf for slot, facts in manifest.slots.items()}
    return Applied(
        epoch=manifest.epoch, generation=manifest.generation, digest=manifest.digest, leaves=leaves
    )


def report_of(bundle: Bundle | None, **changes) -> Report:
    if bundle is None:
        return Report(**{"clock_s": NOW_S, **changes})
    seen = [
        Serving(consumer="web", endpoint="127.0.0.1:443", slot=slot, leaf=facts.leaf)
        for slot, facts in bundle.manifest.slots.items()
    ]
    given = {"applied": applied_of(bundle), "serving": seen, "disk": bundle.manifest.digest, "clock_s": NOW_S}
    return Report(**{**given, **changes})


def failure_of(bundle: Bundle, retry_after_s: float = 60.0) -> Failure:
    manifest = bundle.manifest
    return Failure(
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=manifest.digest,
        result="rolled_back",
        phase="verify",
        reason="verify_mismatch",
        message="the old leaf is served",
        at_s=NOW_S,
        attempts=1,
        retry_after_s=retry_after_s,
    )


def outcome_of(bundle: Bundle, push_id: str, report: Report, result: str = "applied") -> Outcome:
    manifest = bundle.manifest
    return Outcome(
        push_id=push_id,
        epoch=manifest.epoch,
        generation=manifest.generation,
        digest=manifest.digest,
        result=result,
        phase="commit",
        report=report,
    )


def node(desired: Bundle | None = None, *, connected: bool = True) -> NodeFacts:
    facts = NodeFacts(name=NODE, kind="node", joined=True)
    if desired is not None:
        facts.desired = desired_from(desired.manifest, NOW_S)
    if connected:
        facts.connect(address="198.51.100.7", agent_version="0", now_s=NOW_S)
    return facts


def decide(facts: NodeFacts, *, now_s: float = NOW_S, forced: bool = False) -> str:
    return plan_push(facts, now_s=now_s, forced=forced).action


def test_a_node_is_pushed_what_it_has_not_applied():
    facts = node(opaque_bundle())
    assert decide(facts) == "push"
    facts.hear(report_of(opaque_bundle()), NOW_S)
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
    facts.hear(report_of(opaque_bundle("old")), NOW_S)
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
    facts.connect(address="", agent_version="0", now_s=NOW_S + 2)
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
    assert plan_push(facts, now_s=NOW_S + 50).retry_in_s == 10
    assert plan_push(facts, now_s=NOW_S + 61).retry_in_s is None
    assert decide(facts, now_s=NOW_S + 59, forced=True) == "push"
    assert decide(facts, now_s=NOW_S + 61) == "push"
    facts.hear(report_of(bundle), NOW_S + 70)
    assert view_of(facts, NOW_S).last_failed is None


def test_a_trust_store_that_a_node_guards_is_forced_once_if_an_operator_meant_it():
    bundle = opaque_bundle("fewer", generation=2)
    facts = node(bundle)
    assert not facts.should_override_shrink_guard(1), "nothing was refused"
    facts.offer("p", facts.desired, NOW_S)
    failure = msgspec.structs.replace(failure_of(bundle), result="rejected", reason="shrink_guard")
    report = report_of(opaque_bundle("old"), last_failed=failure)
    facts.conclude(Rejected(push_id="p", reason="shrink_guard", message="no", report=report), NOW_S)
    assert facts.should_override_shrink_guard(bundle.manifest.anchors)
    assert not facts.should_override_shrink_guard(bundle.manifest.anchors + 1), "nobody meant as few as this"
    facts.offer("q", facts.desired, NOW_S, forced=True)
    assert not facts.should_override_shrink_guard(1), "it is under way"
    facts.disconnect(NOW_S)
    facts.connect(address="", agent_version="1", now_s=NOW_S)
    assert facts.should_override_shrink_guard(1), "the forced offer was lost before the node answered it"
    facts.offer("q", facts.desired, NOW_S, forced=True)
    facts.conclude(Rejected(push_id="q", reason="shrink_guard", message="no", report=report), NOW_S)
    assert not facts.should_override_shrink_guard(1), "it was forced already"


def test_a_failure_of_another_kind_is_never_forced():
    bundle = opaque_bundle("new", generation=2)
    facts = node(bundle)
    facts.hear(report_of(opaque_bundle("old"), last_failed=failure_of(bundle)), NOW_S)
    assert not facts.should_override_shrink_guard(0)


def test_another_content_is_not_held_back_by_the_quarantine_of_the_last():
    bundle = opaque_bundle("bad", generation=2)
    facts = node(bundle)
    facts.hear(report_of(opaque_bundle("old"), last_failed=failure_of(bundle)), NOW_S)
    facts.desired = desired_from(opaque_bundle("mended", generation=3).manifest, NOW_S)
    assert decide(facts) == "push"
    assert view_of(facts, NOW_S).last_failed is not None


def test_a_refusal_that_the_node_does_not_count_itself_is_kept_and_retried_after_a_minute():
    facts = node(opaque_bundle())
    facts.offer("p", facts.desired, NOW_S)
    facts.conclude(Rejected(push_id="p", reason="stale_generation", message="no"), NOW_S)
    assert facts.state() == "failed"
    assert view_of(facts, NOW_S).last_failed.reason == "stale_generation"
    facts.hear(report_of(None), NOW_S + 1)
    assert view_of(facts, NOW_S).last_failed.reason == "stale_generation"
    assert decide(facts, now_s=NOW_S + 1) == "wait"
    assert decide(facts, now_s=NOW_S + LADDER_S[0]) == "push"
    facts.hear(report_of(opaque_bundle()), NOW_S + 90)
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
            facts.hear(report_of(None), now_s)
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
    facts.hear(report_of(None, clock_s=NOW_S + 6), NOW_S + 6)
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


def test_a_node_that_knows_more_than_the_store_waits_for_an_operator():
    facts = node(opaque_bundle("restored", generation=3, epoch=2))
    facts.hear(report_of(opaque_bundle("newer", generation=7, epoch=1)), NOW_S)
    assert facts.state() == "conflict"
    assert decide(facts) == "wait"
    assert decide(facts, forced=True) == "push"


def test_what_a_newly_joined_node_brings_along_does_not_count_as_a_conflict():
    facts = node(opaque_bundle("here", generation=1))
    facts.adopting = True
    facts.hear(report_of(opaque_bundle("elsewhere", generation=7)), NOW_S)
    assert facts.state() == "pending"


def test_an_endpoint_with_another_leaf_is_told_apart_from_what_is_applied():
    facts = node(opaque_bundle())
    stale = Serving(consumer="sip", endpoint="127.0.0.1:5061", slot="server", leaf="e" * 64)
    facts.hear(report_of(opaque_bundle(), serving=[*report_of(opaque_bundle()).serving, stale]), NOW_S)
    assert facts.state() == "not_serving"
    slot = view_of(facts, NOW_S).slots["server"]
    assert slot.applied == slot.desired
    assert slot.serving == "e" * 64


def test_an_endpoint_that_sends_another_chain_is_not_serving_although_its_leaf_is_right():
    facts = node(opaque_bundle())
    (seen,) = report_of(opaque_bundle()).serving
    short = msgspec.structs.replace(seen, reason="chain_incomplete", message="1 of 1 is missing")
    facts.hear(report_of(opaque_bundle(), serving=[short]), NOW_S)
    assert facts.state() == "not_serving"
    (alarm,) = conditions_of_nodes([view_of(facts, NOW_S)])
    assert alarm.subject.kind == AlarmKind.NOT_SERVING
    assert "web at 127.0.0.1:443" in alarm.details


def test_a_service_that_waits_for_its_reload_is_a_state_of_its_own_and_not_stale():
    facts = node(opaque_bundle())
    stale = Serving(consumer="sip", endpoint="127.0.0.1:5061", slot="server", leaf="e" * 64)
    waiting = Waiting(consumer="sip", since_s=NOW_S, reason="window", message="02:00-04:00")
    serving = [*report_of(opaque_bundle()).serving, stale]
    assert facts.hear(report_of(opaque_bundle(), serving=serving, waiting=[waiting]), NOW_S)
    assert facts.state() == "reload_waiting"
    assert view_of(facts, NOW_S).waiting == (waiting,)
    assert conditions_of_nodes([view_of(facts, NOW_S)]) == []
    again = node(opaque_bundle())
    again.restore(facts.record(NOW_S))
    assert again.state() == "reload_waiting"

    facts.hear(report_of(opaque_bundle(), serving=serving), NOW_S)
    assert facts.state() == "not_serving"


def test_what_was_seen_at_a_failure_is_kept_until_the_next_success():
    bad, good = opaque_bundle("bad", generation=2), opaque_bundle()
    facts = node(bad)
    facts.offer("p", facts.desired, NOW_S)
    failed = report_of(good, last_failed=failure_of(bad))
    told = msgspec.structs.replace(outcome_of(bad, "p", failed, "rolled_back"), diagnostics="exit status 1")
    assert facts.conclude(told, NOW_S)
    facts.hear(failed, NOW_S + 60)
    assert facts.diagnostics == "exit status 1"
    again = node(bad)
    again.restore(facts.record(NOW_S))
    assert again.diagnostics == "exit status 1"

    facts.hear(report_of(bad), NOW_S + 120)
    assert facts.diagnostics == ""


def test_a_drifted_tree_is_told_apart():
    facts = node(opaque_bundle())
    facts.hear(report_of(opaque_bundle(), disk="0" * 64), NOW_S)
    assert facts.state() == "drifted"


def test_progress_of_another_push_is_not_taken_for_this_one():
    facts = node(opaque_bundle())
    facts.offer("p", facts.desired, NOW_S)
    facts.progress(Progress(push_id="q", phase="reload"))
    assert view_of(facts, NOW_S).push.phase is None
    facts.progress(Progress(push_id="p", phase="reload"))
    assert view_of(facts, NOW_S).push.phase == "reload"


def test_only_a_change_in_substance_is_worth_a_write():
    facts = node(opaque_bundle())
    assert facts.hear(report_of(opaque_bundle()), NOW_S)
    later = [replace_at(each, NOW_S + 60) for each in report_of(opaque_bundle()).serving]
    assert not facts.hear(report_of(opaque_bundle(), serving=later), NOW_S + 60)
    assert facts.hear(report_of(opaque_bundle(), drifts=1), NOW_S + 61)


def replace_at(serving: Serving, at_s: float) -> Serving:
    import msgspec

    return msgspec.structs.replace(serving, at_s=at_s)


def test_what_the_store_kept_of_a_node_comes_back():
    facts = node(opaque_bundle())
    facts.hear(report_of(opaque_bundle(), last_failed=failure_of(opaque_bundle("bad", generation=2))), NOW_S)
    again = node(opaque_bundle(), connected=False)
    again.restore(facts.record(NOW_S))
    assert (again.applied, again.last_failed, again.serving) == (
        facts.applied,
        facts.last_failed,
        facts.serving,
    )


def following(facts: NodeFacts, text: str | None = "leaf", *, epoch: int = 1):
    parts = {"server": opaque_slot(text)} if text is not None else {}
    wanted = wanted_manifest(facts, wants(parts), epoch=epoch)
    return wanted if is_news(facts, wanted) else None


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
    facts.hear(report_of(opaque_bundle("more", generation=9)), NOW_S)
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
    facts.hear(report_of(opaque_bundle("more", generation=11)), NOW_S)
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
    with pytest.raises(ConflictError, match="desired of the node already"):
        publish_again(node(opaque_bundle("new")), "new")


@pytest.mark.parametrize(
    ("now_s", "told"),
    [
        (2_000_000_000.0, "expired on 2033-05-18"),
        (1e12, "expired on 2033-05-18"),
        (-1.0, "is valid only from 1970-01-01"),
    ],
)
def test_a_certificate_that_is_not_valid_now_is_not_republished(now_s: float, told: str):
    old = opaque_bundle("old").manifest
    with pytest.raises(ConflictError, match=f"server certificate of generation 1 {told}"):
        republish(node(opaque_bundle("new")), old, wants({}), epoch=1, now_s=now_s)


def test_a_preview_says_what_would_be_published_and_moves_nothing():
    facts = node(opaque_bundle("old"))
    facts.hear(report_of(opaque_bundle("old")), NOW_S)
    news = following(facts, "new")
    found = preview_push(facts, news, now_s=NOW_S, forced=False)
    assert (found.plan.action, found.plan.generation) == ("publish_and_push", 2)
    assert (found.runs.generation, found.becomes) == (1, news)
    assert facts.desired.version.generation == 1
    same = preview_push(facts, None, now_s=NOW_S, forced=False)
    assert (same.plan.action, same.becomes) == ("none", None)


def test_a_certificate_that_is_not_valid_yet_is_scheduled_and_no_failure():
    facts = node(opaque_bundle("later", generation=2))
    waiting = msgspec.structs.replace(
        failure_of(opaque_bundle("later", generation=2), retry_after_s=30), reason="not_yet_valid"
    )
    facts.hear(report_of(opaque_bundle("now"), last_failed=waiting), NOW_S)
    assert facts.state() == "scheduled"
    assert conditions_of_nodes([view_of(facts, NOW_S)]) == []
    assert decide(facts, now_s=NOW_S + 29) == "wait"
    assert plan_push(facts, now_s=NOW_S + 29).why == f"it waits: {waiting.message}"
    assert decide(facts, now_s=NOW_S + 30) == "push"


def test_a_bundle_that_is_installed_in_part_is_not_in_sync_and_the_alarm_names_file_and_certificate():
    facts = node(opaque_bundle("new", generation=2))
    text = "trust/ca-certificates.pem, certificate 3 (Phone CA): OpenSSL refuses to load it"
    failed = msgspec.structs.replace(failure_of(opaque_bundle("new", generation=2)), message=text)
    part = PartRefused(part="trust", digest="", reason="parse", certificate="certificate 3 (Phone CA)")
    held = opaque_bundle("new", generation=2, trust="former")
    facts.hear(report_of(held, last_failed=failed, refused=[part]), NOW_S)
    view = view_of(facts, NOW_S)
    assert (view.state, view.refused) == ("failed", (part,))
    assert view.slots["server"].desired == view.slots["server"].applied, "the good part is told as applied"
    (alarm,) = conditions_of_nodes([view])
    assert alarm.subject.kind is AlarmKind.INSTALL_FAILED
    assert "Generation 2 is installed in part (verify_mismatch)" in alarm.details
    assert "certificate 3 (Phone CA)" in alarm.details
    facts.hear(report_of(opaque_bundle("new", generation=2)), NOW_S)
    assert view_of(facts, NOW_S).refused == ()


def test_a_retry_of_what_failed_does_not_lower_its_alarm():
    facts = node(opaque_bundle("new", generation=2))
    facts.hear(
        report_of(opaque_bundle("old"), last_failed=failure_of(opaque_bundle("new", generation=2))), NOW_S
    )
    before = conditions_of_nodes([view_of(facts, NOW_S)])
    assert [one.subject.kind for one in before] == [AlarmKind.INSTALL_FAILED]
    facts.offer("again", facts.desired, NOW_S + 60)
    assert facts.state() == "installing"
    assert conditions_of_nodes([view_of(facts, NOW_S + 60)]) == before


def test_an_acknowledged_failure_stays_one_alarm_through_other_content_and_a_lost_connection_until_it_is_over():
    facts = node(opaque_bundle("new", generation=2))
    facts.hear(
        report_of(opaque_bundle("old"), last_failed=failure_of(opaque_bundle("new", generation=2))), NOW_S
    )
    (failed,) = conditions_of_nodes([view_of(facts, NOW_S)])
    alarm = AlarmRecord(
        id=15,
        subject=failed.subject,
        label=failed.label,
        node=failed.node,
        details=failed.details,
        raised_s=NOW_S,
        lowered_s=None,
        acknowledged_s=NOW_S,
        acknowledged_by="ada",
    )

    def changes():
        return compare([alarm], conditions_of_nodes([view_of(facts, NOW_S)]))

    facts.desired = desired_from(opaque_bundle("new", generation=3, trust="fewer").manifest, NOW_S)
    facts.offer("other", facts.desired, NOW_S)
    assert facts.state() == "installing"
    assert not changes().lowered
    facts.disconnect(NOW_S)
    assert facts.state() == "offline"
    assert not changes().lowered
    assert AlarmKind.INSTALL_FAILED not in {
        each.subject.kind for each in compare([], conditions_of_nodes([view_of(facts, NOW_S)])).raised
    }, "an old failure raises nothing anew"
    facts.connect(address="", agent_version="1", now_s=NOW_S)
    facts.hear(report_of(opaque_bundle("new", generation=3, trust="fewer")), NOW_S)
    assert changes().lowered == [alarm]
