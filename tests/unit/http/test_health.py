import asyncio
from typing import Any

import msgspec
import pytest
from aiohttp.test_utils import make_mocked_request

from common.errors import StorageError
from manager.http import health as subject
from manager.http.health import REMEMBERED_S, Check, Health

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


async def test_a_manager_that_is_about_to_stop_is_not_ready_and_lives(health: Health, store: Probe):
    assert (await health.ready(None)).status == 200
    health.drain()
    answer = await health.ready(None)
    assert (answer.status, b'"draining"' in answer.body) == (503, True)
    assert (await health.live(None)).status == (await health.startup(None)).status == 200
