"""Renewals whose account was deactivated: nothing is ordered for them, and whoever tries is told why, until they have another account."""

from dataclasses import replace

import pytest

from common.errors import ConflictError
from manager.domain.alarms import AlarmKind
from manager.domain.renewal.records import OrderState, RenewalRecord
from manager.usecases.renewal.ports import CaError
from tests.pki import DAY_S, NOW_S
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of


async def stopped(world: Renewing, *, age_days: float = 20) -> RenewalRecord:
    renewal = await world.renewing("n1", age_days=age_days)
    await world.accounts.register(renewal.terms.account_id, actor="ada")
    ended = await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    assert (ended.deactivated_s, world.server.accounts) == (NOW_S, {})
    return renewal


async def test_nothing_is_ordered_with_an_account_that_was_deactivated_and_an_alarm_says_so(world: Renewing):
    renewal = await stopped(world)
    await world.pass_time(20 * DAY_S)
    kept = await world.renewal(renewal)
    assert (await world.orders(renewal), kept.failures, kept.problem) == ([], 0, None)
    assert (await world.renewals.show(renewal.id)).next_at_s is None
    assert len(await alarms_of(world, AlarmKind.RENEWAL_STOPPED)) == 1
    assert len(await alarms_of(world, AlarmKind.RENEWAL_OVERDUE)) == 1


async def test_whoever_orders_or_tries_it_by_hand_is_told_that_the_account_was_deactivated(world: Renewing):
    renewal = await stopped(world)
    for act in (world.renewals.order_now, world.renewals.test):
        with pytest.raises(ConflictError) as refused:
            await act(renewal.id, actor="ada")
        assert refused.value.message == "the account 'le' was deactivated; choose another one"
    with pytest.raises(ConflictError):
        await world.accounts.change_key(renewal.terms.account_id, actor="ada")
    assert await world.orders(renewal) == []


async def test_an_account_that_is_deactivated_as_an_order_begins_gets_none(world: Renewing):
    renewal = await stopped(world, age_days=40)
    with pytest.raises(ConflictError, match="account of this renewal has been deactivated"):
        await world.renewals._creation.begin(renewal.id, is_test=False, asked_by=None)


async def test_with_another_account_it_is_ordered_at_once_if_it_is_due(world: Renewing):
    renewal = await stopped(world, age_days=40)
    await world.pass_time(DAY_S)
    terms = replace(renewal.terms, account_id=await world.account("second"))
    changed = await world.renewals.change(renewal.id, terms, actor="ada")
    assert changed.next_at_s <= world.now[0]
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_what_had_failed_before_is_not_said_to_be_tried_again(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.to_fail.append(("order", CaError("no", is_final=True)))
    await world.pass_time(60, step_s=5)
    await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert "tried again" not in alarm.details
    await world.pass_time(5 * DAY_S)
    assert await world.states(renewal) == [OrderState.FAILED]
