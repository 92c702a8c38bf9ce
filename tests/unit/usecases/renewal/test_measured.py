"""What the runner of renewals counts, for the metrics."""

import pytest

from manager.domain.renewal.moments import LADDER_S
from manager.domain.renewal.records import OrderState
from manager.usecases.renewal.ports import CaError
from tests.renewals import Renewing


async def test_what_is_served_is_told_with_the_seconds_that_it_took_and_failures_are_counted(
    world: Renewing,
):
    seconds: list[float] = []
    world.runner.observers.append(seconds.append)
    renewal = await world.renewing("n1", age_days=40)
    world.server.to_fail = [("order", CaError("the CA is down"))]
    await world.pass_time(60)
    assert (seconds, world.runner.failures) == ([], 1)
    await world.pass_time(LADDER_S[0])
    (order,) = await world.orders(renewal)
    assert seconds == [order.reached_s(OrderState.SERVED) - order.created_s]
    assert seconds[0] >= LADDER_S[0]
    assert world.runner.failures == 1


async def test_all_renewals_are_read_once_a_look_whatever_there_is_to_do(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    ordered, read, by_request = (
        await world.renewing("n1", age_days=40),
        world.store.renewals.list,
        await world.certificate(["n2"], age_days=40),
    )
    await world.renewals.switch_on(by_request, None, send_to="pki@example.com", actor="ada")
    reads = 0

    async def counted() -> object:
        nonlocal reads
        reads += 1
        return await read()

    monkeypatch.setattr(world.store.renewals, "list", counted)
    await world.once()
    # a look that asks, one that begins, and when to look again
    assert reads == 3
    assert len(await world.orders(ordered)) == 1
    kept = await world.store.renewals.of_certificate(by_request)
    assert kept is not None
    assert kept.request_id is not None
