"""Of each thing that a manager knows of a node, somebody has decided how the other managers come to know it."""

from dataclasses import fields, replace

import pytest

from manager.domain.alarms.clock_skew import CLOCK_SKEW_S
from manager.domain.clocks import SKEW_KEPT_S
from manager.domain.contact import Contact
from manager.domain.facts import NodeFacts
from manager.domain.model import NodeReportRecord
from manager.domain.node_records import record_of, restore
from manager.domain.report import ConfigurationFault, PartRefused, Rejected, Waiting
from manager.domain.view_of_facts import view_of
from tests.bundles import opaque_bundle
from tests.unit.domain.planning import NOW_S, failure_of, node, report_of

KNOWN_BY = {
    # the node's own row, which roster.py follows
    "name": "node",
    "kind": "node",
    "joined": "node",
    "node_id": "node",
    "enrolled_s": "node",
    "key_change": "node",
    # what is published
    "desired": "generation",
    # kept with the report
    "awaiting_first_report": "record",
    "applied": "record",
    "reported_failed": "record",
    "refused": "record",
    "serving": "record",
    "disk": "record",
    "drifts": "record",
    "clock_skew_s": "record",
    "waiting": "record",
    "configuration": "record",
    "refused_parts": "record",
    "contact": "record",
    "diagnostics": "record",
    "reported_retry_s": "record",
    "refused_retry_s": "record",
    "last_report_s": "record",
    "address": "record",
    "agent_version": "record",
    "push": "record",
    # of the session, which the hold has; when the last one ended, and who greeted, the seat
    "connected_s": "hold",
    "seats": "seat",
    # what any manager may notice
    "flood": "sighting",
    "turned_away": "sighting",
    # of this manager alone, and no matter to another
    "session": "own",
    "session_s": "own",
    "elsewhere": "own",
    "kept_s": "own",
    "kept_skew_s": "own",
    "running": "own",
    "sightings": "own",
    "told": "own",
}


def known() -> NodeFacts:
    """Facts in which nothing is as it is by default, of a node that refuses what is desired."""
    facts = node(opaque_bundle("new", generation=2))
    facts.enrolled_s, facts.awaiting_first_report = NOW_S - 1, True
    report = report_of(
        opaque_bundle("old"),
        last_failed=failure_of(opaque_bundle("bad", generation=3)),
        clock_s=NOW_S + 7,
        drifts=3,
        waiting=(Waiting(consumer="web", since_s=NOW_S, reason="window"),),
        configuration=(ConfigurationFault(code="services_invalid", message="?"),),
        refused=(PartRefused(part="trust", digest="d", reason="parse"),),
        contact=Contact(addresses=("192.0.2.1:9422",)),
    )
    facts.apply_report(report, NOW_S)
    facts.offer("p", facts.desired, NOW_S)
    facts.conclude(
        Rejected(push_id="p", reason="stale_generation", message="?", retry_after_s=9.0), NOW_S + 1
    )
    facts.diagnostics = "exit status 1"
    return facts


def test_somebody_decided_of_each_field_how_other_managers_come_to_know_it():
    assert set(KNOWN_BY) == {each.name for each in fields(NodeFacts)}


@pytest.mark.parametrize("name", [name for name, by in KNOWN_BY.items() if by == "record"])
def test_what_is_kept_with_the_report_comes_back(name: str):
    facts = known()
    again = node(opaque_bundle("new", generation=2), connected=False)
    again.enrolled_s = facts.enrolled_s
    assert getattr(again, name) != getattr(facts, name), "it is shown nowhere that this was kept"
    restore(again, record_of(facts, NOW_S + 2))
    assert getattr(again, name) == getattr(facts, name)


def test_every_part_of_a_record_is_made_of_what_is_known():
    bare = record_of(NodeFacts(name="n1", kind="node", joined=True), NOW_S)
    record = record_of(replace(known(), node_id=3), NOW_S)
    same = {"node", "at_s"} | {each.name for each in fields(NodeReportRecord)}
    differ = {name for name in same if getattr(record, name) != getattr(bare, name)}
    assert same - differ == {"node", "at_s"}


def test_a_refusal_that_only_the_manager_keeps_outlasts_the_reports_after_it():
    facts = known()
    assert facts.last_failed.reason == "stale_generation"
    again = node(opaque_bundle("new", generation=2))
    again.enrolled_s = facts.enrolled_s
    restore(again, record_of(facts, NOW_S + 2))
    again.apply_report(report_of(opaque_bundle("old"), clock_s=NOW_S + 10), NOW_S + 3)
    assert again.last_failed.reason == "stale_generation"
    assert again.retry_in_s(NOW_S + 3) == facts.retry_in_s(NOW_S + 3) > 0


def test_what_a_former_release_kept_is_read_as_it_meant_it():
    record = replace(
        record_of(known(), NOW_S),
        last_report_s=None,
        enrolled_s=None,
        reported_retry_s=None,
        refused=None,
        awaiting_first_report=False,
        last_failed=failure_of(opaque_bundle("new", generation=2), retry_after_s=60.0),
    )
    again = node(opaque_bundle("new", generation=2))
    restore(again, record)
    assert again.retry_in_s(NOW_S + 10) == 50.0
    assert again.last_report_s == NOW_S
    assert not again.awaiting_first_report


def test_what_was_kept_in_an_earlier_life_is_no_first_report():
    record = record_of(node(opaque_bundle()), NOW_S)
    again = replace(node(opaque_bundle()), enrolled_s=NOW_S + 5)
    restore(again, replace(record, enrolled_s=NOW_S - 5))
    assert again.awaiting_first_report


@pytest.mark.parametrize(
    ("before_s", "after_s", "is_kept"),
    [
        (0.0, SKEW_KEPT_S - 1, False),
        (0.0, SKEW_KEPT_S + 1, True),
        (CLOCK_SKEW_S - 1, CLOCK_SKEW_S + 1, True),
        (-CLOCK_SKEW_S - 1, -CLOCK_SKEW_S + 1, True),
    ],
)
def test_a_clock_is_kept_again_once_it_would_be_judged_otherwise(
    before_s: float, after_s: float, is_kept: bool
):
    facts = node(opaque_bundle())
    facts.apply_report(report_of(opaque_bundle(), clock_s=NOW_S + before_s), NOW_S)
    record_of(facts, NOW_S)
    report = report_of(opaque_bundle(), clock_s=NOW_S + after_s)
    assert facts.apply_report(report, NOW_S) is is_kept
    assert view_of(facts, NOW_S).clock_skew_s == after_s
