"""A long log is verified a page at a time, and a flood of attempts is one entry."""

import asyncio
import json
import resource
from pathlib import Path

import pytest

from manager.domain.attempts import NAMED_MAX, PAIRS_MAX, Attempt, Attempts
from manager.store.audit import PAGE
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.attacks.audit_log.conftest import act


@pytest.mark.slow
async def test_verifying_a_long_log_holds_a_page_of_it_and_leaves_the_loop_to_others(
    directory: Path, keyring: Keyring, record_property
):
    store = await Store.open(StorePlace(directory, None), keyring)
    for _ in range(10):
        await act(store, 500)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        found = await store.audit.verify()
        ticking.cancel()
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    record_property(
        "measured", f"{found.count} entries, {ticks} turns of the loop meanwhile, {grown_kib} KiB"
    )
    assert found.count == 5005
    assert ticks > found.count / PAGE
    assert grown_kib < 16 * 1024
    await store.close()


def test_two_hundred_thousand_failed_attempts_are_one_entry_of_bounded_size(record_property):
    attempts = Attempts()
    for number in range(20_000):
        attempts.count(Attempt.SIGN_IN_FAILED, name=f"{number}" * 40, source=f"address {number}", now_s=1.0)
    for _ in range(180_000):
        attempts.count(Attempt.SIGN_IN_FAILED, name="admin", source="192.0.2.1", now_s=2.0)
    assert sum(len(pairs) for pairs in attempts._counts.values()) == PAIRS_MAX
    (summary,) = attempts.take()
    written = len(json.dumps(summary.detail))
    record_property("written_bytes", written)
    assert summary.detail["attempts"] == 200_000
    assert len(summary.detail["by"]) == NAMED_MAX
    assert sum(each["attempts"] for each in summary.detail["by"]) + summary.detail["more"] == 200_000
    assert written < 8 * 1024
    assert attempts.take() == []
