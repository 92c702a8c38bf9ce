"""Attacks on what is remembered of failed sign-ins: filling it, and having a lock-out forgotten by it."""

import tracemalloc

import pytest

from manager.http.middleware import STRANGERS
from manager.usecases.failure_counters import ALIKE, REMEMBERED_MAX, FailureCounts
from manager.usecases.passwords import NAME_MAX
from manager.usecases.throttle import DELAY_MAX_S, FREE_FAILURES

REMEMBERED_MAX_BYTES = 12 * 1024 * 1024
"""As it is named beside the limit."""

VICTIM = ("ada", "192.0.2.9")


def frozen() -> float:
    return 0.0


def test_what_is_remembered_takes_no_more_memory_than_is_named(record_property):
    tracemalloc.start()
    try:
        counts: FailureCounts[tuple[str, str]] = FailureCounts(frozen)
        for number in range(2 * REMEMBERED_MAX):
            counts.count((f"{number:0{NAME_MAX}}", f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::/64"))
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    line = f"{used / 2**20:.1f} MiB for {len(counts)} entries of the longest names, {REMEMBERED_MAX_BYTES / 2**20:.0f} are named"
    print(line)
    record_property("memory", line)
    assert len(counts) == REMEMBERED_MAX
    assert used < REMEMBERED_MAX_BYTES


@pytest.mark.parametrize("each", [1, ALIKE])
def test_to_have_a_lock_out_forgotten_costs_a_guesser_more_than_it_gives(each: int, record_property):
    """Whoever was locked out has others fail, each so often, until the lock-out is the oldest of the largest kind."""
    counts: FailureCounts[tuple[str, str]] = FailureCounts(frozen)
    for _ in range(FREE_FAILURES):
        counts.count(VICTIM)
    failures, number = 0, 0
    while counts.get(VICTIM) is not None and number <= 2 * REMEMBERED_MAX:
        number += 1
        for _ in range(each):
            counts.count((f"invented{number}", "198.51.100.1"))
            failures += 1
    # no attempt is counted that a stranger's turn did not come for
    took_s = failures / STRANGERS.per_s
    by_waiting = took_s / DELAY_MAX_S
    what = "is never forgotten" if counts.get(VICTIM) is not None else "is forgotten"
    line = (
        f"{each} failures of each: the lock-out {what} after {failures} failures, {took_s:.0f} s at the strangers' pace; "
        f"waiting gives {by_waiting:.0f} guesses meanwhile, forgetting {FREE_FAILURES}"
    )
    print(line)
    record_property("forgetting", line)
    assert counts.get(VICTIM) is not None or by_waiting > FREE_FAILURES
