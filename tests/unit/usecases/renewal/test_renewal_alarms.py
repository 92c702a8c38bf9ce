"""Alarms of renewals: raised with the CA's words, and lowered by what mends them."""

import pytest

from common.words import date
from manager.domain.alarms import AlarmKind, renewal_overdue
from manager.domain.renewal.capacity import Occupancy
from manager.domain.renewal.moments import LADDER_S
from manager.domain.renewal.records import OrderState
from manager.domain.renewal.schedule import moment_of
from manager.usecases.renewal.ports import CaError
from tests.pki import DAY_S, NOW_S
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0


async def test_a_failure_is_told_with_the_words_of_the_ca_and_lowered_once_it_is_renewed(world: Renewing):
    renewal = await world.renewing("n1", age_days=31)
    world.server.unprovable.add("n1.example.com")
    await world.pass_time(60, step_s=5)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert alarm.subject.key == f"certificate:{renewal.certificate_id}"
    assert "what was found for n1.example.com is not the proof" in alarm.details
    assert "tried again on 2027-01-15 08:0" in alarm.details
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert "It is being tried again." in alarm.details
    world.server.unprovable.clear()
    await world.pass_time(LADDER_S[0] + 60)
    assert await alarms_of(world, AlarmKind.RENEWAL_FAILED) == []


async def test_an_order_before_its_time_that_failed_for_good_is_tried_again_at_its_time_or_when_resumed(
    world: Renewing,
):
    renewal = await world.renewing("n1")
    world.server.unprovable.add("n1.example.com")
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(HOUR_S, step_s=60)
    assert await world.states(renewal) == [OrderState.FAILED]
    shown = await world.renewals.show(renewal.id)
    due_s = moment_of(shown.renewal, shown.entry)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert f"It is tried again on {date(due_s)}." in alarm.details
    assert shown.next_at_s == due_s > NOW_S + 28 * DAY_S
    world.server.unprovable.clear()
    resumed = await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    assert resumed.next_at_s == world.now[0]
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert f"It is tried again on {date(due_s)}." not in alarm.details
    await world.pass_time(60, step_s=5)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    assert len(await world.orders(renewal)) == 2


async def test_an_order_before_its_time_that_rests_goes_on_after_its_rest(world: Renewing):
    renewal = await world.renewing("n1")
    world.server.to_fail.append(("order", CaError("the CA could not be reached")))
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(60, step_s=5)
    shown = await world.renewals.show(renewal.id)
    again_s = shown.renewal.retry_at_s
    assert shown.next_at_s == again_s <= NOW_S + HOUR_S
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert f"It is tried again on {date(again_s)}." in alarm.details


async def test_what_is_not_renewed_once_half_of_the_time_is_gone_is_an_error(world: Renewing):
    await world.renewing("n1", age_days=30)
    world.server.is_down = lambda: True
    await world.pass_time(6 * DAY_S, step_s=HOUR_S)
    assert await alarms_of(world, AlarmKind.RENEWAL_OVERDUE) == []
    await world.pass_time(3 * DAY_S, step_s=HOUR_S)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_OVERDUE)
    assert "expires on 2027-01-30" in alarm.details
    world.server.is_down = lambda: False
    await world.pass_time(2 * DAY_S, step_s=HOUR_S)
    assert await alarms_of(world, AlarmKind.RENEWAL_OVERDUE) == []


async def test_what_is_set_up_late_is_overdue_once_half_of_the_time_is_gone_since(world: Renewing):
    world.server.is_down = lambda: True
    await world.renewing("n1", age_days=40)
    assert await alarms_of(world, AlarmKind.RENEWAL_OVERDUE) == []
    await world.pass_time(2 * DAY_S, step_s=HOUR_S)
    assert await alarms_of(world, AlarmKind.RENEWAL_OVERDUE) == []
    await world.pass_time(DAY_S, step_s=HOUR_S)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_OVERDUE)
    assert f"It was due for renewal on {date(NOW_S)}, is not renewed yet, and expires on" in alarm.details


async def test_what_was_resumed_late_is_given_a_while_before_it_is_overdue(world: Renewing):
    renewal = await world.renewing("n1", age_days=20)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(22 * DAY_S, step_s=DAY_S)
    assert await alarms_of(world, AlarmKind.RENEWAL_OVERDUE) == [], "who paused it knows"
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    assert await alarms_of(world, AlarmKind.RENEWAL_OVERDUE) == []
    world.now[0] += renewal_overdue.GRACE_S
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_OVERDUE)
    assert "waits until" not in alarm.details


async def test_who_is_overdue_and_waits_for_others_of_the_account_is_told_for_what(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1", age_days=43)
    monkeypatch.setattr(Occupancy, "waits_until", lambda *_given, **_more: "order 7 is over")
    await world.pass_time(1.5 * DAY_S)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_OVERDUE)
    assert alarm.subject.key == f"certificate:{renewal.certificate_id}"
    assert "An order waits until order 7 is over." in alarm.details
    assert (await world.renewals.show(renewal.id)).waits_until == "order 7 is over"
    assert [each.waits_until for each in await world.renewals.list()] == ["order 7 is over"]


async def test_a_renewal_is_stopped_as_soon_as_its_account_ends_until_it_has_another(world: Renewing):
    renewal = await world.renewing("n1")
    paused = await world.renewing("n2")
    await world.renewals.set_paused(paused.id, paused=True, actor="ada")
    other, changed = await world.account("other"), world.context.content_changed
    changed.clear()
    await world.accounts.deactivate(renewal.terms.account_id, actor="ada")
    assert changed.is_set()
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_STOPPED)
    assert alarm.subject.key == f"certificate:{renewal.certificate_id}"
    assert alarm.details.startswith(
        f"Its account 'le' was deactivated, so nothing is ordered: give renewal {renewal.id} another account. It expires on 2027-03-01"
    )
    await world.renewals.change(renewal.id, world.terms(other), actor="ada")
    assert await alarms_of(world, AlarmKind.RENEWAL_STOPPED) == []


async def test_nodes_that_do_not_serve_what_was_renewed_are_named(world: Renewing):
    await world.renewing("n1", "n2", age_days=40)
    world.fleet.is_held = lambda name: name == "n2"
    await world.pass_time(300, step_s=30)
    assert await alarms_of(world, AlarmKind.RENEWAL_UNSERVED) == []
    await world.pass_time(HOUR_S)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_UNSERVED)
    assert "n2 does not serve it (offline)" in alarm.details
    world.fleet.is_held = lambda _name: False
    await world.pass_time(700)
    assert await alarms_of(world, AlarmKind.RENEWAL_UNSERVED) == []


async def test_a_certificate_that_is_ordered_anew_is_named_by_its_names_until_it_is_there(world: Renewing):
    account = await world.account()
    world.server.unprovable.add("new.example.com")
    made = await world.renewals.order_new(
        world.terms(account, "new.example.com"), nodes=[], slot="server", actor="ada"
    )
    renewal = made.renewal
    await world.pass_time(60, step_s=5)
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert (alarm.subject.key, alarm.label) == (
        f"renewal:{renewal.id}",
        f"new.example.com (renewal {renewal.id})",
    )
    assert alarm.nodes(await world.context.inventories.current()) == ()
    await world.renewals.remove(renewal.id, actor="ada")
    assert await alarms_of(world, AlarmKind.RENEWAL_FAILED) == []
    assert world.now[0] > NOW_S
