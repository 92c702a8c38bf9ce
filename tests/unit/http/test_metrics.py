"""The numbers that Prometheus reads."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import structlog
from aiohttp.test_utils import make_mocked_request
from prometheus_client.parser import text_string_to_metric_families

from common.errors import StorageError
from manager.domain.alarms import AlarmKind
from manager.domain.renewal.records import AccountId, ChallengeKind, RenewalId, RenewalRecord, Terms
from manager.domain.report import Serving
from manager.domain.view import NodeView, PushView
from manager.http.metrics import CERTIFICATES_MAX, MetricReading, Metrics, Sources

ASKED = make_mocked_request("GET", "/metrics")
NOW_S = time.time()
NOTHING = SimpleNamespace(entries={}, trusted_cas={})


def node(name: str, *ends_in_days: float) -> NodeView:
    serving = tuple(
        Serving(
            consumer="nginx",
            endpoint=f"{name}:443",
            slot="server",
            leaf="ab" * 32,
            not_after_s=int(time.time() + days * 86400),
            at_s=0,
            reason="",
            message="",
        )
        for days in ends_in_days
    )
    return NodeView(
        name=name,
        kind="node",
        state="in_sync",
        joined=True,
        connected_at_s=1,
        last_report_at_s=1,
        address="",
        agent_version="",
        desired=None,
        offered=None,
        applied=None,
        slots={},
        serving=serving,
        last_failed=None,
        drifted=False,
        drifts=0,
        clock_skew_s=0,
        waiting=(),
        push=None,
    )


def push(result: str, seconds: float | None) -> PushView:
    return PushView(
        push_id="p",
        generation=1,
        changed_at_s=100.0,
        offered_at_s=100.5,
        concluded_at_s=None if seconds is None else 100.0 + seconds,
        phase=None,
        result=result,
        reason="",
        message="",
    )


class Given:
    """What the metrics are told."""

    def __init__(self) -> None:
        self.nodes: Mapping[str, int] = {}
        self.views: Sequence[NodeView] = ()
        self.alarms: Sequence[object] = ()
        self.inventory = NOTHING
        self.renewals: Sequence[object] = ()
        self.readings: Sequence[MetricReading] = ()
        self.fails = False

    async def active(self):
        if self.fails:
            raise StorageError("the disk is gone")
        return self.alarms

    async def current(self):
        return self.inventory

    async def renewed(self):
        return self.renewals

    def metrics(self) -> Metrics:
        metrics = Metrics(
            Sources(
                version="1.2.3",
                nodes=lambda: self.nodes,
                briefs=lambda: {view.name: view for view in self.views},
                alarms=self.active,
                inventory=self.current,
                renewals=self.renewed,
                clock=lambda: NOW_S,
            )
        )
        metrics.readings.extend(self.readings)
        return metrics


async def scrape(metrics: Metrics) -> dict[tuple[str, str], float]:
    text = (await metrics.show(ASKED)).body.decode()
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def entry(number: int, days: float, *, is_assigned: bool = True):
    leaf = SimpleNamespace(not_before_s=0, not_after_s=int(NOW_S + days * 86400))
    return SimpleNamespace(id=number, leaf=leaf, places=("somewhere",) if is_assigned else ())


async def test_nodes_and_pushes_are_counted_and_readings_are_read_at_each_scrape():
    given, age_s = Given(), [7.5]
    given.nodes = {"in_sync": 3, "offline": 1}
    given.readings = [
        MetricReading("reconcile_age_seconds", "An age.", lambda: age_s[0]),
        MetricReading("report_write_failures_total", "Failures.", lambda: 2.0),
    ]
    metrics = given.metrics()
    metrics.observe("n1", push("applied", 1.5))
    metrics.observe("n1", push("applied", 0.05))
    metrics.observe("n2", push("rolled_back", 2.0))
    said = await scrape(metrics)
    assert said["certcast_nodes", "in_sync"] == 3
    assert said["certcast_nodes", "offline"] == 1
    assert said["certcast_reconcile_age_seconds", ""] == 7.5
    assert said["certcast_report_write_failures_total", ""] == 2
    assert said["certcast_pushes_total", "applied"] == 2
    assert said["certcast_pushes_total", "rolled_back"] == 1
    assert said["certcast_change_to_applied_seconds_count", ""] == 2
    assert said["certcast_change_to_applied_seconds_bucket", "0.1"] == 1
    age_s[0] = 8.0
    assert (await scrape(metrics))["certcast_reconcile_age_seconds", ""] == 8


async def test_what_ports_serve_is_counted_by_when_it_expires():
    given = Given()
    given.views = [node("n1", 0.5, 20), node("n2", -1), node("n3", 300), node("n4")]
    said = await scrape(given.metrics())
    counts = {days: said["certcast_served_expiring", days] for days in ("0", "7", "30", "60")}
    assert counts == {"0": 1, "7": 2, "30": 3, "60": 3}
    assert said["certcast_served_expiry_timestamp_seconds", ""] == given.views[1].serving[0].not_after_s


async def test_without_anything_served_no_expiry_is_told():
    given = Given()
    given.views = [node("n1")]
    said = await scrape(given.metrics())
    assert ("certcast_served_expiry_timestamp_seconds", "") not in said
    assert said["certcast_served_expiring", "60"] == 0


async def test_certificates_that_nodes_have_are_told_by_number_the_first_to_expire_first():
    given = Given()
    found = [entry(1, 5), entry(2, 1, is_assigned=False), *(entry(n, 100 + n) for n in range(10, 200))]
    given.inventory = SimpleNamespace(
        entries={each.id: each for each in found},
        trusted_cas={1: SimpleNamespace(not_after_s=5000), 2: SimpleNamespace(not_after_s=4000)},
    )
    said = await scrape(given.metrics())
    each = {number for name, number in said if name == "certcast_certificate_expiry_timestamp_seconds"}
    assert each == {"1", *(str(number) for number in range(10, 9 + CERTIFICATES_MAX))}
    assert said["certcast_certificates_expiring", "7"] == 1
    assert said["certcast_certificates", ""] == 192
    assert said["certcast_trusted_ca_expiry_timestamp_seconds", ""] == 4000


async def test_active_alarms_are_counted_by_kind_and_those_that_are_not_are_0():
    given = Given()
    record = SimpleNamespace(subject=SimpleNamespace(kind=AlarmKind.OFFLINE))
    given.alarms = [record, record]
    said = await scrape(given.metrics())
    assert said["certcast_alarms", "offline,warning"] == 2
    assert said["certcast_alarms", "conflict,error"] == 0
    assert len([name for name, _ in said if name == "certcast_alarms"]) == len(AlarmKind)


TERMS = Terms(account_id=AccountId(1), challenge=ChallengeKind.HTTP)


def renewal(number: int, **changes: Any) -> RenewalRecord:
    """A renewal of a certificate that is not there yet, which is due since it was made."""
    made = RenewalRecord(
        id=RenewalId(number),
        certificate_id=None,
        terms=TERMS,
        is_new=True,
        created_s=NOW_S + number,
        changed_s=NOW_S,
    )
    return replace(made, **changes)


async def test_renewals_tell_how_many_there_are_which_failed_last_and_when_the_next_one_begins():
    given = Given()
    given.renewals = [renewal(1, failures=2, retry_at_s=NOW_S + 300), renewal(7), renewal(9)]
    metrics = given.metrics()
    for seconds in (20.0, 4000.0):
        metrics.observe_renewal(seconds)
    said = await scrape(metrics)
    assert said["certcast_renewals", ""] == 3
    assert said["certcast_renewals_failing", ""] == 1
    assert said["certcast_renewal_next_timestamp_seconds", ""] == NOW_S + 7
    assert said["certcast_renewal_served_seconds_count", ""] == 2
    assert said["certcast_renewal_served_seconds_bucket", "30.0"] == 1


async def test_what_is_paused_or_renewed_by_request_needs_somebody_and_is_not_counted():
    given = Given()
    given.renewals = [
        renewal(1),
        renewal(2, is_paused=True),
        renewal(3, terms=None, send_to="pki@example.com"),
    ]
    assert (await scrape(given.metrics()))["certcast_renewals", ""] == 1


async def test_without_any_renewal_no_moment_is_told():
    said = await scrape(Given().metrics())
    assert said["certcast_renewals", ""] == said["certcast_renewals_failing", ""] == 0
    assert ("certcast_renewal_next_timestamp_seconds", "") not in said


async def test_a_store_that_does_not_answer_takes_only_its_own_numbers_away():
    given = Given()
    given.nodes, given.fails = {"in_sync": 1}, True
    with structlog.testing.capture_logs() as lines:
        said = await scrape(given.metrics())
    assert said["certcast_nodes", "in_sync"] == 1
    assert [name for name, _ in said if name.startswith(("certcast_alarms", "certcast_cert"))] == []
    assert [line["event"] for line in lines] == ["http.request_failed"]


async def test_no_metric_names_a_node():
    given = Given()
    given.nodes, given.views = {"in_sync": 1}, [node("a-node", 1)]
    metrics = given.metrics()
    metrics.observe("a-node", push("applied", 1))
    assert b"a-node" not in (await metrics.show(ASKED)).body
