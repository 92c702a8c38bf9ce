"""What a node says of its own configuration and services, as facts and alarms."""

from dataclasses import replace

import pytest

from common.ids import NodeName
from manager.domain.alarms import ALARM_SPECS, AlarmKind, conditions_of_nodes, evaluation_silent
from manager.domain.desired import desired_from
from manager.domain.facts import NodeFacts
from manager.domain.node_records import record_of, restore
from manager.domain.report import Applied, ConfigurationFault, Failure, PartRefused, Report, Serving, Waiting
from manager.domain.view import SERVICE_WAIT_S
from manager.domain.view_of_facts import view_of
from tests.bundles import opaque_bundle

NOW_S = 100_000.0
LEAF = "ab" * 32


def received(report: Report) -> NodeFacts:
    facts = NodeFacts(name=NodeName("n1"), kind="node", joined=True)
    facts.connect(address="", agent_version="1", since_s=NOW_S, now_s=NOW_S)
    facts.apply_report(report, NOW_S)
    return facts


def alarms(facts: NodeFacts) -> dict[AlarmKind, str]:
    return {each.subject.kind: each.details for each in conditions_of_nodes([view_of(facts, NOW_S)])}


def test_mistakes_in_a_nodes_configuration_are_an_alarm_with_their_text():
    mistake = ConfigurationFault(code="services_invalid", message="/etc/x: line 3: relaod: no such key")
    facts = received(Report(configuration=(mistake,), clock_s=NOW_S))

    assert alarms(facts)[AlarmKind.SERVICES_INVALID] == "/etc/x: line 3: relaod: no such key."
    assert ALARM_SPECS[AlarmKind.SERVICES_INVALID].number == 17
    assert view_of(facts, NOW_S).configuration == (mistake,)
    facts.apply_report(Report(clock_s=NOW_S), NOW_S)
    assert AlarmKind.SERVICES_INVALID not in alarms(facts)


def test_a_trust_store_that_a_node_refuses_beside_another_part_is_told_by_the_alarm():
    bundle = opaque_bundle("new", generation=2)
    failed = Failure(
        epoch=1,
        generation=2,
        digest=bundle.manifest.digest,
        result="rejected",
        phase="check",
        reason="key_mismatch",
        message="the key is another's",
        at_s=NOW_S,
        attempts=1,
        retry_after_s=60.0,
    )
    guarded = PartRefused(part="trust", digest="ab" * 32, reason="shrink_guard", message="from 9 to 2")
    facts = NodeFacts(name=NodeName("n1"), kind="node", joined=True)
    facts.desired = desired_from(bundle.manifest, NOW_S)
    facts.connect(address="", agent_version="1", since_s=NOW_S, now_s=NOW_S)
    facts.apply_report(Report(last_failed=failed, refused=(guarded,), clock_s=NOW_S), NOW_S)

    shown = alarms(facts)[AlarmKind.INSTALL_FAILED]
    assert "key_mismatch" in shown
    assert shown.endswith("It refuses trust (shrink_guard): from 9 to 2.")


def test_mistakes_outlive_a_restart_of_the_manager():
    mistake = ConfigurationFault(code="services_invalid", message="line 3")
    again = NodeFacts(name=NodeName("n1"), kind="node", joined=True)
    restore(again, record_of(received(Report(configuration=(mistake,))), NOW_S))
    assert again.configuration == (mistake,)


def test_a_port_that_does_not_staple_what_its_certificate_demands_is_an_alarm():
    seen = Serving(consumer="web", endpoint="h:443", slot="server", leaf=LEAF, stapled=False)
    found = alarms(received(Report(serving=(seen,))))
    assert "web at h:443" in found[AlarmKind.MUST_STAPLE_UNPROVEN]
    assert ALARM_SPECS[AlarmKind.MUST_STAPLE_UNPROVEN].number == 20


@pytest.mark.parametrize("stapled", [True, None])
def test_a_port_that_staples_or_need_not_is_none(stapled):
    seen = Serving(consumer="web", endpoint="h:443", slot="server", leaf=LEAF, stapled=stapled)
    assert AlarmKind.MUST_STAPLE_UNPROVEN not in alarms(received(Report(serving=(seen,))))


@pytest.mark.parametrize(
    ("reason", "age_s", "excused"),
    [
        ("service", 0.0, True),
        ("service", SERVICE_WAIT_S - 1, True),
        ("service", SERVICE_WAIT_S + 1, False),
        ("window", 40 * 3600.0, True),
    ],
)
@pytest.mark.parametrize("skew_s", [0.0, 900.0])
def test_a_service_that_does_not_run_is_waited_for_an_hour_by_the_managers_clock(
    reason, age_s, excused, skew_s
):
    waiting = Waiting(
        consumer="web", since_s=NOW_S + skew_s - age_s, reason=reason, message="w.service is stopped"
    )
    dark = Serving(consumer="web", endpoint="h:443", slot="server", leaf="", reason="verify_unreachable")
    facts = received(
        Report(
            applied=Applied(epoch=1, generation=1, digest=LEAF, leaves={"server": LEAF}),
            serving=(dark,),
            waiting=(waiting,),
            clock_s=NOW_S + skew_s,
        )
    )
    assert (facts.stale_endpoints() == []) == excused
    assert view_of(facts, NOW_S).excused == ({"web"} if excused else frozenset())


def test_the_alarm_of_a_service_that_stays_stopped_says_so():
    dark = Serving(consumer="web", endpoint="h:443", slot="server", leaf="", reason="verify_unreachable")
    stopped = Waiting(
        consumer="web", since_s=NOW_S - 2 * SERVICE_WAIT_S, reason="service", message="w is stopped"
    )
    facts = received(
        Report(
            applied=Applied(epoch=1, generation=1, digest=LEAF, leaves={"server": LEAF}),
            serving=(dark,),
            waiting=(stopped,),
            clock_s=NOW_S,
        )
    )
    facts.desired = desired_from(opaque_bundle(generation=1).manifest, NOW_S)
    facts.applied = Applied(
        epoch=1, generation=1, digest=facts.desired.version.digest, leaves={"server": LEAF}
    )
    assert facts.state() == "not_serving"
    assert (
        alarms(facts)[AlarmKind.NOT_SERVING]
        == "web at h:443 does not serve the installed certificate. w is stopped."
    )


def test_the_alarm_of_services_that_show_another_certificate_says_so():
    other = Serving(consumer="web", endpoint="h:443", slot="server", leaf="cd" * 32)
    facts = received(
        Report(
            applied=Applied(epoch=1, generation=1, digest=LEAF, leaves={"server": LEAF}),
            serving=(other, replace(other, consumer="sip", endpoint="h:5061")),
            clock_s=NOW_S,
        )
    )
    facts.desired = desired_from(opaque_bundle(generation=1).manifest, NOW_S)
    facts.applied = Applied(
        epoch=1, generation=1, digest=facts.desired.version.digest, leaves={"server": LEAF}
    )
    assert (
        alarms(facts)[AlarmKind.NOT_SERVING]
        == "web at h:443, sip at h:5061 serve a different certificate from the one installed."
    )


def test_the_alarm_that_nothing_was_evaluated_says_how_long_ago_it_was():
    assert evaluation_silent.condition(130.4).details == (
        "The last alarm evaluation was 130 s ago; the other alarms are equally old."
    )
