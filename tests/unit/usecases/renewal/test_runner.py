"""A certificate from the moment when it is due to ports that serve its successor."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.renewal.capacity import ORDERS_AT_ONCE
from manager.domain.renewal.moments import LADDER_S, ari_id
from manager.domain.renewal.records import OrderState
from manager.domain.renewal.schedule import moment_of
from manager.usecases.renewal.ports import CaError
from manager.usecases.uploads import Edit, NewKey
from tests.fakes.ca_server import moved
from tests.pki import DAY_S, NOW_S
from tests.renewals import Renewing

HOUR_S = 3600.0
STEPS = [
    OrderState.CREATED,
    OrderState.ORDERED,
    OrderState.PLACED,
    OrderState.VALIDATED,
    OrderState.FINALISED,
    OrderState.DOWNLOADED,
    OrderState.TAKEN_OVER,
    OrderState.SERVED,
]


async def moment(world: Renewing, number: int) -> float:
    entry = (await world.context.inventories.current()).entries[number]
    return moment_of(await world.store.renewals.of_certificate(number), entry)


async def test_a_certificate_is_renewed_at_its_moment_step_by_step_and_served(world: Renewing):
    renewal = await world.renewing("n1", "n2")
    due_s = await moment(world, renewal.certificate_id) - NOW_S
    assert 28 * DAY_S < due_s < 30.1 * DAY_S
    await world.pass_time(due_s - 1)
    assert await world.orders(renewal) == []
    await world.pass_time(HOUR_S)
    (order,) = await world.orders(renewal)
    assert [each.state for each in order.steps] == STEPS
    assert (await world.renewal(renewal)).certificate_id == order.answer_id != renewal.certificate_id
    inventory = await world.context.inventories.current()
    assert {place.node for place in inventory.entries[order.answer_id].places} == {"n1", "n2"}
    assert inventory.entries[renewal.certificate_id].places == ()
    assert inventory.entries[order.answer_id].leaf.subject_alt_names == ("n1.example.com", "n2.example.com")
    assert world.fleet.changes[-1] == {"n1", "n2"}
    assert (world.server.offences, world.showing.placed) == ([], {})


async def test_the_order_names_to_the_ca_what_it_replaces(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(HOUR_S)
    ((order,), (issued,)) = await world.orders(renewal), world.server.issued
    leaf = (await world.context.inventories.current()).entries[renewal.certificate_id].leaf
    assert issued.replaces == order.replaces == ari_id(leaf.issuer_key_id, leaf.serial_no)
    assert order.replaces_leaf == leaf.fingerprint


async def test_what_a_renewal_brought_goes_once_its_successor_is_served_and_what_people_gave_stays(
    world: Renewing,
):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(HOUR_S)
    second = (await world.renewal(renewal)).certificate_id
    await world.pass_time(40 * DAY_S, step_s=HOUR_S)
    third = (await world.renewal(renewal)).certificate_id
    assert sorted(each.id for each in await world.store.certificates.list()) == [
        renewal.certificate_id,
        third,
    ]
    assert second not in {renewal.certificate_id, third}


async def test_the_window_of_the_ca_is_obeyed_and_one_that_it_moves_at_once(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(HOUR_S)
    (issued,) = world.server.issued
    window = world.server.windows[issued.identifier]
    await world.pass_time(window.start_s - world.now[0] - 1, step_s=HOUR_S)
    assert len(await world.orders(renewal)) == 1
    world.server.windows[issued.identifier] = moved(window, world.now[0] - DAY_S)
    await world.pass_time(12 * HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED, OrderState.SERVED]
    assert (await world.renewal(renewal)).window_of is not None


async def test_a_ca_is_asked_for_its_window_at_least_twice_a_day_and_no_more_often_than_it_says(
    world: Renewing,
):
    await world.renewing("n1", age_days=40)
    await world.pass_time(HOUR_S)
    world.server.asked.clear()
    await world.pass_time(10 * DAY_S)
    assert 20 <= world.server.asked["suggested"] <= 23


async def test_a_ca_that_cannot_be_asked_for_its_window_holds_nothing_up(world: Renewing):
    renewal = await world.renewing("n1")
    world.server.is_down = lambda: True
    await world.pass_time(DAY_S)
    assert 3 <= world.server.asked["register"] <= 5
    kept = await world.renewal(renewal)
    assert (kept.window, kept.failures) == (None, 0)


async def test_a_name_that_the_ca_cannot_verify_ends_the_order_and_another_one_follows(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.unprovable.add("n1.example.com")
    await world.pass_time(60, step_s=5)
    kept = await world.renewal(renewal)
    assert await world.states(renewal) == [OrderState.FAILED]
    assert (kept.failures, kept.problem.type) == (1, "unauthorized")
    assert "what was found for n1.example.com is not the proof" in kept.problem.detail
    assert world.showing.placed == {}
    world.server.unprovable.clear()
    await world.pass_time(LADDER_S[0] - 61)
    assert len(await world.orders(renewal)) == 1
    await world.pass_time(120)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
    assert world.server.offences == []


@pytest.mark.parametrize("spoilt", ["names", "key"])
async def test_a_certificate_that_does_not_match_the_request_is_a_failure_and_is_not_served(
    world: Renewing, spoilt: str
):
    renewal = await world.renewing("n1", age_days=40)
    world.server.to_spoil.append(spoilt)
    await world.pass_time(120, step_s=5)
    kept = await world.renewal(renewal)
    assert await world.states(renewal) == [OrderState.FAILED]
    assert "does not match the request" in kept.problem.message
    assert kept.certificate_id == renewal.certificate_id
    assert len(await world.store.certificates.list()) == 1
    await world.pass_time(LADDER_S[-1] + 120)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
    assert world.server.duplicates() == 0


async def test_a_chain_that_clients_refuse_is_a_failure_and_the_old_certificate_stays(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    inventory = await world.context.inventories.current()
    assert inventory.entries[renewal.certificate_id].places
    world.server.issuer = world.staging.issuer  # whose root nobody trusts
    await world.pass_time(120, step_s=5)
    kept = await world.renewal(renewal)
    assert await world.states(renewal) == [OrderState.FAILED]
    assert "is refused here" in kept.problem.message
    inventory = await world.context.inventories.current()
    assert [place.node for place in inventory.entries[renewal.certificate_id].places] == ["n1"]


async def test_an_order_that_stays_processing_for_an_hour_is_waited_for(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.processing_s = HOUR_S
    await world.pass_time(HOUR_S - 60)
    assert await world.states(renewal) == [OrderState.FINALISED]
    assert (await world.renewal(renewal)).failures == 0
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert world.server.asked["finalize"] == 1
    assert world.server.asked["look"] < 60


async def test_a_rate_limit_is_rested_for_as_long_as_the_ca_says(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    limited = CaError("the CA refused", type="rateLimited", detail="too many", retry_after_s=7 * HOUR_S)
    world.server.to_fail.append(("order", limited))
    await world.pass_time(7 * HOUR_S - 60)
    kept = await world.renewal(renewal)
    assert (kept.problem.type, kept.failures, world.server.asked["order"]) == ("rateLimited", 1, 1)
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_a_ca_that_is_down_is_asked_less_and_less_often_and_the_same_order_goes_on(world: Renewing):
    renewal = await world.renewing("n1", age_days=30)
    up_s = NOW_S + DAY_S
    world.server.is_down = lambda: world.now[0] < up_s
    await world.pass_time(DAY_S)
    assert (await world.renewal(renewal)).failures == 4
    assert await world.states(renewal) == [OrderState.CREATED]
    await world.pass_time(DAY_S)
    assert await world.states(renewal) == [OrderState.SERVED]


@pytest.mark.parametrize("lost", ["order", "answer", "finalize", "download", "look", "register"])
async def test_an_answer_of_the_ca_that_is_lost_makes_no_second_order(world: Renewing, lost: str):
    renewal = await world.renewing("n1", age_days=40)
    world.server.to_lose.append(lost)
    await world.pass_time(2 * HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert (len(world.server.orders), len(world.server.issued)) == (1, 1)


async def test_a_node_that_does_not_serve_it_keeps_the_order_open_and_is_named(world: Renewing):
    renewal = await world.renewing("n1", "n2", age_days=40)
    world.fleet.is_held = lambda name: name == "n2"
    await world.pass_time(HOUR_S)
    (order,) = await world.orders(renewal)
    assert order.state is OrderState.TAKEN_OVER
    assert order.problem.message == "n2 does not serve it (offline)."
    world.fleet.is_held = lambda _name: False
    await world.pass_time(700)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_a_node_that_never_serves_it_does_not_keep_the_next_renewal_from_the_others(world: Renewing):
    renewal = await world.renewing("n1", "n2", age_days=40)
    world.server.lifetime_s = lambda _names: 2 * DAY_S
    world.fleet.is_held = lambda name: name == "n2"
    await world.pass_time(1.3 * DAY_S)
    states = await world.states(renewal)
    assert states == [OrderState.FAILED, OrderState.TAKEN_OVER]
    assert world.fleet.serving[NodeName("n1")][1] > world.now[0]


async def test_few_orders_of_an_account_begin_at_once_and_never_two_for_the_same_names(world: Renewing):
    world.server.validation_s = 1200.0
    for number in range(ORDERS_AT_ONCE + 2):
        await world.renewing(f"n{number}", age_days=40)
    await world.pass_time(60)
    assert len(world.server.orders) == ORDERS_AT_ONCE
    await world.pass_time(4 * HOUR_S)
    assert len(world.server.issued) == ORDERS_AT_ONCE + 2


async def test_certificates_of_the_same_names_are_ordered_one_after_the_other(world: Renewing):
    first = await world.renewing("n1", age_days=40)
    number = await world.certificate(["n2"], names=["n1.example.com"], age_days=40)
    second = (await world.renewals.switch_on(number, first.terms, actor="ada")).renewal
    await world.pass_time(1, step_s=1)
    assert len(await world.orders(first)) + len(await world.orders(second)) == 1
    await world.pass_time(HOUR_S)
    assert await world.states(first) == await world.states(second) == [OrderState.SERVED]
    assert len({each.url for each in (*await world.orders(first), *await world.orders(second))}) == 2


async def test_a_certificate_deleted_meanwhile_ends_its_order_and_its_renewal(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = HOUR_S
    await world.pass_time(60)
    assert await world.states(renewal) == [OrderState.PLACED]
    await world.use_cases.certificates.delete([renewal.certificate_id], force=True, actor="ada")
    await world.pass_time(60)
    assert await world.store.renewals.list() == []
    assert world.showing.placed == {}
    assert len(world.server.issued) == 0
    acts = [act.action for act in await world.store.audit.list()]
    assert "renewal.ended" in acts


async def test_a_renewal_whose_certificate_is_gone_stays_while_an_order_of_it_is_found_to_be_under_way(
    world: Renewing,
):
    renewal = await world.renewing("n1")
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.use_cases.certificates.delete([renewal.certificate_id], force=True, actor="ada")
    before = replace(await world.runner._read(world.lead), orders=())
    await world.runner._begin(before, world.lead)
    assert (await world.renewal(renewal)).is_over
    await world.pass_time(60)
    assert (await world.store.renewals.list(), await world.store.orders.unfinished()) == ([], [])


async def test_no_order_begins_for_a_certificate_that_is_deleted_while_its_key_is_made(
    world: Renewing, monkeypatch: pytest.MonkeyPatch
):
    renewal = await world.renewing("n1")
    run = world.context.workers.run

    async def slow(*given: Any) -> Any:
        await world.use_cases.certificates.delete([renewal.certificate_id], force=True, actor="ada")
        return await run(*given)

    monkeypatch.setattr(world.context.workers, "run", slow)
    with pytest.raises(ConflictError, match="this renewal has been removed"):
        await world.renewals.order_now(renewal.id, actor="ada")
    assert await world.orders(renewal) == []


async def test_a_certificate_replaced_by_hand_meanwhile_ends_the_order_without_a_failure(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.processing_s = HOUR_S
    await world.pass_time(60)
    other = await world.certificate(["n9"], names=["n1.example.com"])
    record = await world.store.certificates.get(other)
    key = await world.store.certificates.private_key(other)
    await world.use_cases.certificates.delete([other], force=True, actor="ada")
    await world.use_cases.certificates.edit(
        renewal.certificate_id, Edit(certificate=record.text, key=NewKey(pem=key)), actor="ada"
    )
    await world.pass_time(2 * HOUR_S)
    (order,) = await world.orders(renewal)
    assert order.state is OrderState.FAILED
    assert "another certificate was put in the place" in order.problem.message
    assert (await world.renewal(renewal)).failures == 0
    assert len(await world.store.certificates.list()) == 1


async def test_a_manager_that_does_not_lead_does_nothing(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.lead.is_ours = False
    async with asyncio.TaskGroup() as group:
        task = group.create_task(world.runner.run(world.lead))
        await asyncio.sleep(0)
        world.runner.wake()
        await asyncio.sleep(0)
        task.cancel()
    assert await world.orders(renewal) == []


async def test_a_renewal_has_one_order_at_a_time(world: Renewing):
    renewal = await world.renewing("n1")
    await world.renewals.order_now(renewal.id, actor="ada")
    with pytest.raises(ConflictError):
        await world.renewals.order_now(renewal.id, actor="ada")
    with pytest.raises(ConflictError):
        await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
