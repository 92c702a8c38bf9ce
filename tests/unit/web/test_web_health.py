import asyncio
import time
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request
from prometheus_client.parser import text_string_to_metric_families

from common.errors import StorageError
from common.wire.messages import Serving
from manager.domain.view import NodeView, PushView
from manager.web import health as subject
from manager.web.health import REMEMBERED_S, Check, Health, Metrics

ASKED = make_mocked_request("GET", "/health/ready")


class Probe:
    """A check that says what it is told to, and counts."""

    def __init__(self, found: str = "") -> None:
        self.found = found
        self.raises: Exception | None = None
        self.made = 0

    async def __call__(self) -> str:
        self.made += 1
        if self.raises is not None:
            raise self.raises
        return self.found


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def store() -> Probe:
    return Probe()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def health(store: Probe, clock: Clock) -> Health:
    return Health([Check("store", store), Check("other", Probe())], clock=clock)


async def asked(answer) -> tuple[int, dict[str, Any]]:
    response = await answer
    return response.status, msgspec.json.decode(response.body)


async def test_ready_says_of_each_check_whether_it_holds(health: Health, store: Probe, clock: Clock):
    status, said = await asked(health.ready(ASKED))
    assert (status, said["status"]) == (200, "ok")
    store.found = "the disk is full"
    clock.now_s += REMEMBERED_S
    status, said = await asked(health.ready(ASKED))
    assert (status, said["status"]) == (503, "failing")
    assert said["checks"] == [
        {"name": "store", "ok": False, "message": "the disk is full"},
        {"name": "other", "ok": True, "message": "ok"},
    ]


@pytest.mark.parametrize("error", [StorageError("the store failed"), RuntimeError("a secret of ours")])
async def test_a_check_that_fails_itself_is_a_check_that_does_not_hold(
    health: Health, store: Probe, error: Exception
):
    store.raises = error
    status, said = await asked(health.ready(ASKED))
    assert status == 503
    assert said["checks"][0]["message"]
    assert "secret" not in said["checks"][0]["message"]


async def test_a_check_that_hangs_does_not_hold(health: Health, store: Probe, monkeypatch):
    monkeypatch.setattr(subject, "CHECK_TIMEOUT_S", 0.0)
    store.raises = None

    async def hang() -> str:
        await asyncio.Event().wait()
        return ""

    hanging = Health([Check("store", hang)])
    status, said = await asked(hanging.ready(ASKED))
    assert status == 503
    assert "no answer" in said["checks"][0]["message"]


async def test_many_who_ask_at_once_cost_one_check(health: Health, store: Probe, clock: Clock):
    await asyncio.gather(*(health.ready(ASKED) for _ in range(50)))
    assert store.made == 1
    clock.now_s += REMEMBERED_S
    await health.ready(ASKED)
    assert store.made == 2


async def test_live_asks_nothing(health: Health, store: Probe):
    store.found = "the disk is full"
    assert (await asked(health.live(ASKED)))[0] == 200
    assert store.made == 0


async def test_startup_is_over_once_all_checks_have_held_and_stays_over(
    health: Health, store: Probe, clock: Clock
):
    store.found = "not yet"
    for _ in range(2):
        assert (await asked(health.startup(ASKED)))[0] == 503
        clock.now_s += REMEMBERED_S
    store.found, clock.now_s = "", clock.now_s + REMEMBERED_S
    assert (await asked(health.startup(ASKED)))[0] == 200
    store.found, clock.now_s = "the disk is full", clock.now_s + REMEMBERED_S
    assert (await asked(health.startup(ASKED)))[0] == 200
    assert (await asked(health.ready(ASKED)))[0] == 503


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
        connected_s=1,
        heard_s=1,
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
        changed_s=100.0,
        offered_s=100.5,
        concluded_s=None if seconds is None else 100.0 + seconds,
        phase=None,
        result=result,
        reason="",
        message="",
    )


async def scrape(metrics: Metrics) -> dict[tuple[str, str], float]:
    text = (await metrics.show(ASKED)).body.decode()
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


async def test_metrics_tell_of_nodes_pushes_and_the_gauges_that_were_given():
    metrics = Metrics(
        nodes=lambda: {"in_sync": 3, "offline": 1}, gauges={"reconcile_age_seconds": lambda: 7.5}
    )
    metrics.observe("n1", push("applied", 1.5))
    metrics.observe("n1", push("applied", 0.05))
    metrics.observe("n2", push("rolled_back", 2.0))
    said = await scrape(metrics)
    assert said["certcast_nodes", "in_sync"] == 3
    assert said["certcast_nodes", "offline"] == 1
    assert said["certcast_reconcile_age_seconds", ""] == 7.5
    assert said["certcast_pushes_total", "applied"] == 2
    assert said["certcast_pushes_total", "rolled_back"] == 1
    assert said["certcast_change_to_applied_seconds_count", ""] == 2
    assert said["certcast_change_to_applied_seconds_bucket", "0.1"] == 1


async def test_metrics_tell_when_what_is_served_expires():
    views = [node("n1", 0.5, 20), node("n2", -1), node("n3", 300), node("n4")]
    said = await scrape(Metrics(nodes=dict, gauges={}, views=lambda: views))
    counts = {days: said["certcast_served_expiring", days] for days in ("0", "7", "30", "60")}
    assert counts == {"0": 1, "7": 2, "30": 3, "60": 3}
    assert abs(said["certcast_served_expiry_timestamp_seconds", ""] - (time.time() - 86400)) < 60


async def test_without_anything_served_no_expiry_is_told():
    said = await scrape(Metrics(nodes=dict, gauges={}, views=lambda: [node("n1")]))
    assert ("certcast_served_expiry_timestamp_seconds", "") not in said


async def test_no_metric_names_a_node():
    metrics = Metrics(nodes=lambda: {"in_sync": 1}, gauges={}, views=lambda: [node("a-node", 1)])
    metrics.observe("a-node", push("applied", 1))
    assert b"a-node" not in (await metrics.show(ASKED)).body
