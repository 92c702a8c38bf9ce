"""When the reconcile runs: each minute, and soon again after the store failed a pass."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import pytest

from common.errors import StorageError
from manager.domain.inventory import Inventory, Trust
from manager.fleet.reconcile import RECONCILE_S, RETRY_RECONCILE_S, Reconciler

PASSES = 4


class FailingPublisher:
    """With nobody to publish to; the first `failures` times that it is to read the store, that is away."""

    recheck_at_s = float("inf")

    def __init__(self, failures: int) -> None:
        self.left = failures

    async def inventory(self) -> Inventory:
        """Return one that holds nothing."""
        self.left -= 1
        if self.left >= 0:
            raise StorageError("the server is down")
        return Inventory(revision=1, entries={}, trusted_cas={}, nodes={}, slots={}, trust=Trust({}, ()))


async def test_a_pass_that_the_store_failed_is_repeated_within_seconds_and_then_each_minute(monkeypatch):
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == PASSES:
            raise asyncio.CancelledError

    async def catch_up() -> None:
        """Find nothing that others changed."""

    async def pursue_each(nodes: Sequence[object]) -> Sequence[object]:
        """Push to nobody."""
        return nodes

    monkeypatch.setattr("manager.fleet.reconcile.asyncio", SimpleNamespace(sleep=sleep))
    reconciler = Reconciler(
        [],
        changes=None,
        publisher=FailingPublisher(2),
        follower=SimpleNamespace(catch_up=catch_up, note_reports_elsewhere=lambda _now_s: None),
        pushes=SimpleNamespace(pursue_each=pursue_each),
        clock=lambda: 0.0,
    )
    with pytest.raises(asyncio.CancelledError):
        await reconciler.run()
    assert waits == [
        pytest.approx(each, rel=0.11)
        for each in (RECONCILE_S, RETRY_RECONCILE_S, RETRY_RECONCILE_S, RECONCILE_S)
    ]
