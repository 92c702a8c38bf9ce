"""Orders of two renewals for the same names: a CA answers both with one order, which only one of them could finish."""

import pytest

from common.errors import ConflictError
from manager.domain.renewal.records import OrderState, RenewalRecord
from tests.renewals import Renewing


@pytest.fixture
async def twins(world: Renewing) -> tuple[RenewalRecord, RenewalRecord]:
    """Two renewals with one account, of certificates for the same name on two nodes."""
    account = await world.account()
    made = []
    for node in ("n1", "n2"):
        number = await world.certificate([node], names=["meet.example.com"])
        made.append((await world.renewals.switch_on(number, world.terms(account), actor="ada")).renewal)
    return made[0], made[1]


async def test_a_second_test_order_is_refused_until_the_first_has_ended(world: Renewing, twins):
    one, other = twins
    world.staging.validation_s = 5
    order = await world.renewals.test(one.id, actor="ada")
    with pytest.raises(ConflictError) as refused:
        await world.renewals.test(other.id, actor="ada")
    assert refused.value.message == (
        f"test order {order.id} of renewal {one.id} for the same names is under way, and a CA answers both with one order; "
        "try again once it has ended"
    )
    await world.pass_time(60, step_s=5)
    await world.renewals.test(other.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(one) == await world.states(other) == [OrderState.TESTED]


async def test_a_second_order_by_hand_is_refused_until_the_first_has_ended(world: Renewing, twins):
    one, other = twins
    world.server.validation_s = 5
    await world.renewals.order_now(one.id, actor="ada")
    with pytest.raises(ConflictError, match=f"of renewal {one.id} for the same names is under way"):
        await world.renewals.order_now(other.id, actor="ada")
    await world.pass_time(60, step_s=5)
    await world.renewals.order_now(other.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert await world.states(one) == await world.states(other) == [OrderState.SERVED]
    assert all(each.is_right for each in world.server.issued)


async def test_a_test_order_does_not_wait_for_a_real_one_which_asks_another_directory(world: Renewing, twins):
    one, other = twins
    await world.renewals.order_now(one.id, actor="ada")
    await world.renewals.test(other.id, actor="ada")
    await world.pass_time(60, step_s=5)
    assert (await world.states(one), await world.states(other)) == ([OrderState.SERVED], [OrderState.TESTED])
