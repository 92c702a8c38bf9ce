"""Reload timing: when a consumer that is due may be reloaded.

Decides from the consumer's window and interval, and from the certificates on its ports. Leaves the clock to the
caller: `minute` is the minute of the local day. Invariant: a reload is never held back while a port shows no
certificate, or one that is expired or about to expire.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from common.codes import WaitReason
from common.errors import Reason
from common.wire.messages import Serving
from nodeagent.core.services import Consumer

PROOF_SETTLE_S: Final = 2.0
"""How long new handshakes must succeed after a reload that does not change the leaf. nginx reloads gracefully:
the command returns at once, the master reads its files, and the old workers accept connections until the new ones
have started (nginx.org/en/docs/control.html). With 1,000 client CAs this took half a second."""

WAIT_MAX_CHARS: Final = 200
"""A report carries one for each of up to 16 services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why a reload waits: for its time, or for something that the service lacks."""

    reason: WaitReason
    message: str


def hold_back(
    consumer: Consumer, serving: Iterable[Serving], *, now_s: float, minute: int, reloaded_s: float | None
) -> Wait | None:
    """Return why the consumer must not be reloaded now, None if it may. `reloaded_s` is when it last was."""
    if is_urgent(consumer, serving, now_s=now_s):
        return None
    if consumer.window is not None and not consumer.window.is_open(minute):
        return Wait(reason="window", message=f"it waits for its window, {consumer.window} local time")
    # a clock that was set back must not prolong the wait beyond the interval
    if reloaded_s is not None and 0 <= now_s - reloaded_s < consumer.min_interval_s:
        left_s = consumer.min_interval_s - (now_s - reloaded_s)
        return Wait(
            reason="interval",
            message=f"it was reloaded {now_s - reloaded_s:.0f} s ago and waits another {left_s:.0f} s",
        )
    return None


def is_urgent(consumer: Consumer, serving: Iterable[Serving], *, now_s: float) -> bool:
    """Whether one of its ports refuses, or its certificate is expired or about to be. A slow answer is no sign."""
    return any(
        _is_ending(one, now_s + consumer.urgent_s) if one.leaf else one.reason == Reason.VERIFY_UNREACHABLE
        for one in serving
        if one.consumer == consumer.name
    )


def _is_ending(seen: Serving, before_s: float) -> bool:
    """Whether clients refuse a leaf by then. They refuse one with an unreadable end at any time."""
    return seen.ends_s is None or seen.ends_s < before_s
