"""Health and metrics, for machines that ask every few seconds.

Decides nothing: the composition root says what to check. Invariant: ready means that the store answers, the reconcile
advances, and the own certificate is the one that was installed and has not expired.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from common.errors import CertcastError
from manager.domain.view import NodeView, PushView

log = structlog.get_logger(__name__)

CHECK_TIMEOUT_S: Final = 5.0
REMEMBERED_S: Final = 1.0
"""How long answers are given again: anybody may ask, and a check writes to the disk."""

EXPIRING_DAYS: Final = (0, 7, 30, 60)
"""0 has expired; 30 raises an alarm and 60 shows in lists (`common.pki.status`)."""

BUCKETS_S: Final = (0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300)


@dataclass(frozen=True, slots=True)
class Check:
    """One condition: `probe` returns "" if it holds, else why it does not."""

    name: str
    probe: Callable[[], Awaitable[str]]


class CheckAnswer(msgspec.Struct, frozen=True):
    """How one check came out."""

    name: str
    ok: bool
    message: str


class HealthAnswer(msgspec.Struct, frozen=True):
    """All checks, and whether all hold."""

    status: str
    checks: list[CheckAnswer]


class Health:
    """The three health endpoints. `ready` are the checks; startup is over once all have held."""

    def __init__(self, ready: Sequence[Check], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._ready = ready
        self._clock = clock
        self._started = False
        self._checking = asyncio.Lock()
        self._answers: list[CheckAnswer] = []
        self._until_s = float("-inf")

    async def live(self, _request: web.Request) -> web.Response:
        """Answer, which is all that this asks."""
        return _answer([])

    async def ready(self, _request: web.Request) -> web.Response:
        """Answer 200 if every check holds, else 503 with the reasons."""
        return _answer(await self.check())

    async def startup(self, _request: web.Request) -> web.Response:
        """Answer 503 until every check has held once."""
        return _answer([] if self._started else await self.check())

    async def check(self) -> list[CheckAnswer]:
        """Make every check, all at once; who asks meanwhile or right after is given the same answers."""
        async with self._checking:
            if self._clock() >= self._until_s:
                self._answers = list(await asyncio.gather(*(_check(each) for each in self._ready)))
                self._until_s = self._clock() + REMEMBERED_S
                self._started = self._started or all(each.ok for each in self._answers)
            return self._answers


class Metrics(Collector):
    """What Prometheus reads. Labels have few values: never a node's name."""

    def __init__(
        self,
        *,
        nodes: Callable[[], Mapping[str, int]],
        gauges: Mapping[str, Callable[[], float]],
        views: Callable[[], Iterable[NodeView]] = tuple,
    ) -> None:
        self._nodes = nodes
        self._views = views
        self._gauges = gauges
        self.registry = CollectorRegistry()
        self._pushes = Counter("certcast_pushes", "Pushes that ended.", ["result"], registry=self.registry)
        self._served = Histogram(
            "certcast_change_to_applied_seconds",
            "From a change in the store until a node proved that it serves it.",
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.registry.register(self)

    def observe(self, _node: str, push: PushView) -> None:
        """Count a push that ended."""
        self._pushes.labels(push.result or "unknown").inc()
        if push.result == "applied" and push.concluded_s is not None:
            self._served.observe(max(0.0, push.concluded_s - push.changed_s))

    def collect(self) -> list[Metric]:
        """Return the gauges as they stand."""
        nodes = GaugeMetricFamily("certcast_nodes", "Nodes by state.", labels=["state"])
        for state, count in self._nodes().items():
            nodes.add_metric([state], count)
        others = [
            GaugeMetricFamily(f"certcast_{name}", name.replace("_", " "), value=read())
            for name, read in self._gauges.items()
        ]
        return [nodes, *others, *_expiries(self._views(), time.time())]

    async def show(self, _request: web.Request) -> web.Response:
        """Answer in Prometheus' text format."""
        return web.Response(
            body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )


def add_routes(app: web.Application, health: Health, metrics: Metrics) -> None:
    """Mount all of it."""
    app.router.add_get("/health/live", health.live)
    app.router.add_get("/health/ready", health.ready)
    app.router.add_get("/health/startup", health.startup)
    app.router.add_get("/metrics", metrics.show)


def _expiries(views: Iterable[NodeView], now_s: float) -> list[Metric]:
    """Return when what ports serve expires: the earliest moment, and how many endpoints are close to theirs."""
    ends = [seen.not_after_s for view in views for seen in view.serving if seen.leaf]
    soon = GaugeMetricFamily(
        "certcast_served_expiring", "Endpoints whose served certificate expires within days.", labels=["days"]
    )
    for days in EXPIRING_DAYS:
        soon.add_metric([str(days)], sum(end_s - now_s <= days * 86400 for end_s in ends))
    if not ends:
        return [soon]
    first = GaugeMetricFamily(
        "certcast_served_expiry_timestamp_seconds",
        "When the first of the served certificates expires (unix time).",
        value=min(ends),
    )
    return [first, soon]


async def _check(check: Check) -> CheckAnswer:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            found = await check.probe()
    except TimeoutError:
        found = f"no answer within {CHECK_TIMEOUT_S:g} s"
    except CertcastError as error:
        found = error.message
    except Exception:
        log.exception("request.failed", path=f"/health, {check.name}")
        found = "the check itself failed; the log says why"
    return CheckAnswer(check.name, not found, found or "ok")


def _answer(checks: list[CheckAnswer]) -> web.Response:
    healthy = all(check.ok for check in checks)
    body = HealthAnswer("ok" if healthy else "failing", checks)
    return web.Response(
        status=200 if healthy else 503,
        body=msgspec.json.encode(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
