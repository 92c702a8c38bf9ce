"""Metrics of the manager, in Prometheus' text format.

Decides which metrics there are; the composition root supplies their sources. Anyone may read this page, so no
label is the name of a node or certificate. Names follow Prometheus' conventions: `_total` counts,
`_timestamp_seconds` is unix time, the rest are gauges. Invariant: when the store is unavailable, its metrics
are omitted and all others are still present.
"""

import asyncio
import platform
from bisect import bisect_right
from collections import Counter as Tally
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from common.errors import CertcastError
from common.ids import NodeName
from manager.domain.alarms import ALARM_SPECS, AlarmRecord
from manager.domain.brief import NodeBrief
from manager.domain.inventory import Inventory
from manager.domain.renewal.records import RenewalRecord
from manager.domain.renewal.schedule import begins_at_s, entry_of
from manager.domain.view import PushView

log = structlog.get_logger(__name__)

STORE_TIMEOUT_S: Final = 5.0

EXPIRING_DAYS: Final = (0, 7, 30, 60)
"""0 counts expired ones; the others are the specification's limits, and a week."""

CERTIFICATES_MAX: Final = 100
"""How many certificates get a series: the certificates in use that expire first."""

BUCKETS_S: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300)
RENEWAL_BUCKETS_S: Final = (10, 30, 60, 120, 300, 900, 3600, 6 * 3600, 86_400)
"""A CA signs within seconds, waits for nodes and name servers take minutes, and an order that rested after a
failure takes hours.
"""

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class MetricReading:
    """One number read at each scrape. A `name` ending in `_total` only ever grows."""

    name: str
    meaning: str
    read: Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The sources of the numbers.

    `nodes` counts nodes by state; `alarms`, `inventory` and `renewals` query the store.
    """

    version: str
    nodes: Callable[[], Mapping[str, int]]
    briefs: Callable[[], Mapping[NodeName, NodeBrief]]
    alarms: Callable[[], Awaitable[Sequence[AlarmRecord]]]
    inventory: Callable[[], Awaitable[Inventory]]
    renewals: Callable[[], Awaitable[Sequence[RenewalRecord]]]
    clock: Callable[[], float]


class Metrics:
    """The metrics page, and the counters that grow with each push."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self.readings: list[MetricReading] = []
        """Further readings. The composition root adds them once the objects they read exist."""
        self._counts = CollectorRegistry()
        self._pushes = Counter(
            "certcast_pushes",
            "Finished pushes, by result.",
            ["result"],
            registry=self._counts,
        )
        self._applied = Histogram(
            "certcast_change_to_applied_seconds",
            "Time from a change in the store until a node proved that it serves it.",
            buckets=BUCKETS_S,
            registry=self._counts,
        )
        self._renewed = Histogram(
            "certcast_renewal_served_seconds",
            "Time from the beginning of an order until every node proved that it serves the new certificate.",
            buckets=RENEWAL_BUCKETS_S,
            registry=self._counts,
        )

    def observe(self, _node: str, push: PushView) -> None:
        """Count a finished push."""
        self._pushes.labels(push.result or "unknown").inc()
        if push.result == "applied" and push.concluded_at_s is not None:
            self._applied.observe(max(0.0, push.concluded_at_s - push.changed_at_s))

    def observe_renewal(self, seconds: float) -> None:
        """Count an order whose certificate is served."""
        self._renewed.observe(max(0.0, seconds))

    async def show(self, _request: web.Request) -> web.Response:
        """Answer with all current values."""
        served = await asyncio.to_thread(
            _served_metrics, self._sources.briefs().values(), self._sources.clock()
        )
        page = _Page([*self._counts.collect(), *self._live(), *served, *await self._stored_metrics()])
        return web.Response(body=generate_latest(page), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _live(self) -> list[Metric]:
        """Return the metrics of the running manager."""
        sources = self._sources
        build = InfoMetricFamily("certcast_build", "The version that is running.")
        build.add_metric([], {"version": sources.version, "python": platform.python_version()})
        nodes = GaugeMetricFamily("certcast_nodes", "Nodes, by their state.", labels=["state"])
        for state, count in sources.nodes().items():
            nodes.add_metric([state], count)
        readings = [_family(each) for each in self.readings]
        return [build, nodes, *readings]

    async def _stored_metrics(self) -> list[Metric]:
        """Return the store's metrics, or nothing while it is unavailable."""
        sources = self._sources
        try:
            async with asyncio.timeout(STORE_TIMEOUT_S):
                alarms, inventory = await sources.alarms(), await sources.inventory()
                renewals = await sources.renewals()
        except (CertcastError, TimeoutError) as error:
            log.warning(
                "http.request_failed", path="/metrics", message=str(error) or "the store did not answer"
            )
            return []
        certificates = await asyncio.to_thread(_certificates, inventory, sources.clock())
        return [
            _alarms(alarms),
            *certificates,
            *_trusted_cas(inventory),
            *_renewals(renewals, inventory),
        ]


class _Page(Collector):
    """Metric families read for one scrape."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def _family(reading: MetricReading) -> Metric:
    kind = CounterMetricFamily if reading.name.endswith("_total") else GaugeMetricFamily
    return kind(f"certcast_{reading.name}", reading.meaning, value=reading.read())


def _served_metrics(briefs: Iterable[NodeBrief], now_s: float) -> list[Metric]:
    """Return the expiry metrics of served certificates: endpoints close to it, and the earliest moment."""
    ends = [seen.ends_s for brief in briefs for seen in brief.serving if seen.ends_s is not None]
    soon = _expiring(
        "certcast_served_expiring",
        "Endpoints whose served certificate expires within so many days; 0 counts those that have expired.",
        ends,
        now_s,
    )
    first = GaugeMetricFamily(
        "certcast_served_expiry_timestamp_seconds",
        "When the first of the served certificates expires.",
    )
    if ends:
        first.add_metric([], min(ends))
    return [soon, first]


def _alarms(active: Sequence[AlarmRecord]) -> Metric:
    family = GaugeMetricFamily(
        "certcast_alarms", "Active alarms, by their kind and level.", labels=["kind", "level"]
    )
    counts = Tally(record.subject.kind for record in active)
    for kind, spec in ALARM_SPECS.items():
        family.add_metric([kind, spec.level], counts[kind])
    return family


def _certificates(inventory: Inventory, now_s: float) -> list[Metric]:
    """Return the expiry metrics of certificates on nodes.

    The first ones are labelled by their number in the store.
    """
    assigned = [entry for entry in inventory.entries.values() if entry.places]
    in_use = sorted(
        (entry.leaf.not_after_s, entry.id) for entry in assigned if entry.leaf.not_after_s is not None
    )
    each = GaugeMetricFamily(
        "certcast_certificate_expiry_timestamp_seconds",
        f"When a certificate that a node has expires, by its number; the {CERTIFICATES_MAX} that expire first.",
        labels=["certificate"],
    )
    for end_s, number in in_use[:CERTIFICATES_MAX]:
        each.add_metric([str(number)], end_s)
    soon = _expiring(
        "certcast_certificates_expiring",
        "Certificates that a node has and that expire within so many days; 0 counts those that have expired.",
        [end_s for end_s, _ in in_use],
        now_s,
    )
    stored = GaugeMetricFamily(
        "certcast_certificates", "Certificates in the store.", value=len(inventory.entries)
    )
    unreadable = GaugeMetricFamily(
        "certcast_certificates_unreadable_validity",
        "Certificates on a node whose validity cannot be read; their expiry is unknown, and clients refuse them.",
        value=sum(entry.leaf.not_before_s is None or entry.leaf.not_after_s is None for entry in assigned),
    )
    return [stored, soon, each, unreadable]


def _trusted_cas(inventory: Inventory) -> list[Metric]:
    records = inventory.trusted_cas.values()
    stored = GaugeMetricFamily("certcast_trusted_cas", "Custom trusted CAs in the store.", value=len(records))
    first = GaugeMetricFamily(
        "certcast_trusted_ca_expiry_timestamp_seconds", "When the first of the custom trusted CAs expires."
    )
    ends = [record.not_after_s for record in records if record.not_after_s is not None]
    if ends:
        first.add_metric([], min(ends))
    return [stored, first]


def _renewals(renewals: Sequence[RenewalRecord], inventory: Inventory) -> list[Metric]:
    """Return how many certificates renew automatically, how many of these failed, and the next order's time."""
    stored = GaugeMetricFamily(
        "certcast_renewals",
        "Certificates that renew automatically; paused ones and those renewed by request are not counted.",
        value=sum(each.terms is not None and not each.is_paused for each in renewals),
    )
    failing = GaugeMetricFamily(
        "certcast_renewals_failing",
        "Renewals whose last attempt failed.",
        value=sum(each.failures > 0 for each in renewals),
    )
    following = GaugeMetricFamily(
        "certcast_renewal_next_timestamp_seconds",
        "When the next renewal begins, or when it should have begun.",
    )
    begins = [begins_at_s(each, entry_of(each, inventory.entries)) for each in renewals]
    if known := [each for each in begins if each is not None]:
        following.add_metric([], min(known))
    return [stored, failing, following]


def _expiring(name: str, meaning: str, ends_s: Sequence[float], now_s: float) -> Metric:
    family, ordered = GaugeMetricFamily(name, meaning, labels=["days"]), sorted(ends_s)
    for days in EXPIRING_DAYS:
        family.add_metric([str(days)], bisect_right(ordered, now_s + days * _DAY_S))
    return family
