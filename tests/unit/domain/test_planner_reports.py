"""What a node's report says of its state, and of what it serves."""

from dataclasses import replace

from manager.domain.alarms import AlarmKind, AlarmRecord, compare, conditions_of_nodes
from manager.domain.desired import desired_from
from manager.domain.node_records import record_of, restore
from manager.domain.report import (
    PartRefused,
    Progress,
    Serving,
    Waiting,
)
from manager.domain.view_of_facts import view_of
from tests.bundles import opaque_bundle
from tests.unit.domain.planning import NOW_S, decide, failure_of, node, outcome_of, report_of


def test_a_node_that_knows_more_than_the_store_waits_for_an_operator():
    facts = node(opaque_bundle("restored", generation=3, epoch=2))
    facts.apply_report(report_of(opaque_bundle("newer", generation=7, epoch=1)), NOW_S)
    assert facts.state() == "conflict"
    assert decide(facts) == "wait"
    assert decide(facts, forced=True) == "push"


def test_what_a_newly_joined_node_brings_along_does_not_count_as_a_conflict():
    facts = node(opaque_bundle("here", generation=1))
    facts.awaiting_first_report = True
    facts.apply_report(report_of(opaque_bundle("elsewhere", generation=7)), NOW_S)
    assert facts.state() == "pending"


def test_an_endpoint_with_another_leaf_is_told_apart_from_what_is_applied():
    facts = node(opaque_bundle())
    stale = Serving(consumer="sip", endpoint="127.0.0.1:5061", slot="server", leaf="e" * 64)
    facts.apply_report(
        report_of(
            opaque_bundle(),
            serving=(
                *report_of(opaque_bundle()).serving,
                stale,
            ),
        ),
        NOW_S,
    )
    assert facts.state() == "not_serving"
    slot = view_of(facts, NOW_S).slots["server"]
    assert slot.applied == slot.desired
    assert slot.serving == "e" * 64


def test_an_endpoint_that_sends_another_chain_is_not_serving_although_its_leaf_is_right():
    facts = node(opaque_bundle())
    (seen,) = report_of(opaque_bundle()).serving
    short = replace(seen, reason="chain_incomplete", message="1 of 1 is missing")
    facts.apply_report(report_of(opaque_bundle(), serving=(short,)), NOW_S)
    assert facts.state() == "not_serving"
    (alarm,) = conditions_of_nodes([view_of(facts, NOW_S)])
    assert alarm.subject.kind == AlarmKind.NOT_SERVING
    assert "web at 127.0.0.1:443" in alarm.details


def test_a_service_that_waits_for_its_reload_is_a_state_of_its_own_and_not_stale():
    facts = node(opaque_bundle())
    stale = Serving(consumer="sip", endpoint="127.0.0.1:5061", slot="server", leaf="e" * 64)
    waiting = Waiting(consumer="sip", since_s=NOW_S, reason="window", message="02:00-04:00")
    serving = (*report_of(opaque_bundle()).serving, stale)
    assert facts.apply_report(report_of(opaque_bundle(), serving=serving, waiting=(waiting,)), NOW_S)
    assert facts.state() == "reload_waiting"
    assert view_of(facts, NOW_S).waiting == (waiting,)
    assert conditions_of_nodes([view_of(facts, NOW_S)]) == []
    again = node(opaque_bundle())
    restore(again, record_of(facts, NOW_S))
    assert again.state() == "reload_waiting"

    facts.apply_report(report_of(opaque_bundle(), serving=serving), NOW_S)
    assert facts.state() == "not_serving"


def test_what_was_seen_at_a_failure_is_kept_until_the_next_success():
    bad, good = opaque_bundle("bad", generation=2), opaque_bundle()
    facts = node(bad)
    facts.offer("p", facts.desired, NOW_S)
    failed = report_of(good, last_failed=failure_of(bad))
    shown = replace(outcome_of(bad, "p", failed, "rolled_back"), diagnostics="exit status 1")
    assert facts.conclude(shown, NOW_S)
    facts.apply_report(failed, NOW_S + 60)
    assert facts.diagnostics == "exit status 1"
    again = node(bad)
    restore(again, record_of(facts, NOW_S))
    assert again.diagnostics == "exit status 1"

    facts.apply_report(report_of(bad), NOW_S + 120)
    assert facts.diagnostics == ""


def test_a_drifted_tree_is_told_apart():
    facts = node(opaque_bundle())
    facts.apply_report(report_of(opaque_bundle(), disk="0" * 64), NOW_S)
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
    assert facts.apply_report(report_of(opaque_bundle()), NOW_S)
    later = tuple(replace(each, at_s=NOW_S + 60) for each in report_of(opaque_bundle()).serving)
    again = report_of(opaque_bundle(), serving=later, clock_s=NOW_S + 61)
    assert not facts.apply_report(again, NOW_S + 60)
    assert facts.apply_report(replace(again, drifts=1), NOW_S + 61)


def test_what_the_store_kept_of_a_node_comes_back():
    facts = node(opaque_bundle())
    facts.apply_report(
        report_of(opaque_bundle(), last_failed=failure_of(opaque_bundle("bad", generation=2))), NOW_S
    )
    again = node(opaque_bundle(), connected=False)
    restore(again, record_of(facts, NOW_S))
    assert (again.applied, again.last_failed, again.serving) == (
        facts.applied,
        facts.last_failed,
        facts.serving,
    )


def test_a_bundle_that_is_installed_in_part_is_not_in_sync_and_the_alarm_names_file_and_certificate():
    facts = node(opaque_bundle("new", generation=2))
    text = "trust/ca-certificates.pem, certificate 3 (Phone CA): OpenSSL refuses to load it"
    failed = replace(failure_of(opaque_bundle("new", generation=2)), message=text)
    part = PartRefused(part="trust", digest="", reason="parse", certificate="certificate 3 (Phone CA)")
    held = opaque_bundle("new", generation=2, trust="former")
    facts.apply_report(report_of(held, last_failed=failed, refused=(part,)), NOW_S)
    view = view_of(facts, NOW_S)
    assert (view.state, view.refused) == ("failed", (part,))
    assert view.slots["server"].desired == view.slots["server"].applied, "the good part is told as applied"
    (alarm,) = conditions_of_nodes([view])
    assert alarm.subject.kind is AlarmKind.INSTALL_FAILED
    assert "Generation 2 is installed in part (verify_mismatch)" in alarm.details
    assert "certificate 3 (Phone CA)" in alarm.details
    facts.apply_report(report_of(opaque_bundle("new", generation=2)), NOW_S)
    assert view_of(facts, NOW_S).refused == ()


def test_a_retry_of_what_failed_does_not_lower_its_alarm():
    facts = node(opaque_bundle("new", generation=2))
    facts.apply_report(
        report_of(opaque_bundle("old"), last_failed=failure_of(opaque_bundle("new", generation=2))), NOW_S
    )
    before = conditions_of_nodes([view_of(facts, NOW_S)])
    assert [one.subject.kind for one in before] == [AlarmKind.INSTALL_FAILED]
    facts.offer("again", facts.desired, NOW_S + 60)
    assert facts.state() == "installing"
    assert conditions_of_nodes([view_of(facts, NOW_S + 60)]) == before


def test_an_acknowledged_failure_stays_one_alarm_through_other_content_and_a_lost_connection_until_it_is_over():
    facts = node(opaque_bundle("new", generation=2))
    facts.apply_report(
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
    facts.connect(address="", agent_version="1", since_s=NOW_S, now_s=NOW_S)
    facts.apply_report(report_of(opaque_bundle("new", generation=3, trust="fewer")), NOW_S)
    assert changes().lowered == [alarm]
