from dataclasses import replace

import pytest

from common.wire.messages import Serving
from nodeagent.core.services import Consumer, Window
from nodeagent.core.timing import hold_back

NOW_S = 1_000_000.0
DAY_S = 86_400
NIGHT = Window(start=2 * 60, end=4 * 60)
MIDNIGHT = Window(start=23 * 60, end=60)
SIP = Consumer(
    name="sip",
    uses=("server",),
    reload=("/x",),
    timeout_s=1,
    verify_timeout_s=1,
    endpoints=(),
    impact="drops_calls",
    window=NIGHT,
    min_interval_s=3600,
    urgent_s=DAY_S,
)


def showing(days: float, *, consumer: str = "sip", leaf: str = "ab", reason: str = "") -> Serving:
    not_after_s = int(NOW_S + days * DAY_S) if leaf else 0
    return Serving(
        consumer=consumer, endpoint="h:1", slot="server", leaf=leaf, not_after_s=not_after_s, reason=reason
    )


def held(consumer=SIP, *serving: Serving, minute: int = 720, reloaded_s: float | None = None) -> str:
    wait = hold_back(consumer, serving or [showing(30)], now_s=NOW_S, minute=minute, reloaded_s=reloaded_s)
    return wait.reason if wait is not None else ""


@pytest.mark.parametrize(
    ("window", "minute", "reason"),
    [
        (NIGHT, 119, "window"),
        (NIGHT, 120, ""),
        (NIGHT, 239, ""),
        (NIGHT, 240, "window"),
        (MIDNIGHT, 22 * 60 + 59, "window"),
        (MIDNIGHT, 23 * 60, ""),
        (MIDNIGHT, 0, ""),
        (MIDNIGHT, 60, "window"),
        (None, 720, ""),
    ],
)
def test_a_reload_waits_for_its_window(window, minute, reason):
    assert held(replace(SIP, window=window), minute=minute) == reason


@pytest.mark.parametrize(("ago_s", "reason"), [(10, "interval"), (3599, "interval"), (3600, ""), (-100, "")])
def test_a_reload_waits_until_the_last_one_is_long_ago_but_not_for_a_clock_that_was_set_back(ago_s, reason):
    assert held(minute=130, reloaded_s=NOW_S - ago_s) == reason


@pytest.mark.parametrize(
    ("serving", "reason"),
    [
        (showing(1.1), "window"),
        (showing(0.9), ""),
        (showing(-3), ""),
        (showing(0, leaf="", reason="verify_unreachable"), ""),
        (showing(0, leaf="", reason="verify_timeout"), "window"),
        (showing(-3, consumer="other"), "window"),
    ],
)
def test_nothing_waits_while_what_is_served_is_or_soon_will_be_invalid(serving, reason):
    assert held(SIP, serving) == reason
    assert held(SIP, showing(30), serving) == reason
    assert held(replace(SIP, window=None), serving, reloaded_s=NOW_S - 10) == reason.replace(
        "window", "interval"
    )


def test_a_wait_says_for_what():
    wait = hold_back(SIP, [], now_s=NOW_S, minute=0, reloaded_s=None)
    assert wait.message == "it waits for its window, 02:00-04:00 local time"
