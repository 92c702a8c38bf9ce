"""Nodes that do not show what proves a name: for how long they are waited for, and what is told of them."""

import pytest

from manager.domain.renewal.moments import LADDER_S, Window
from manager.domain.renewal.records import OrderState
from manager.usecases.renewal.proving import SHOWN_WITHIN_S
from tests.pki import DAY_S
from tests.renewals import Renewing

HOUR_S = 3600.0


async def test_names_are_not_proven_by_nodes_that_do_not_show_it_and_they_are_named(world: Renewing):
    renewal = await world.renewing("n1", "n2", age_days=30)
    world.showing.missing_at = lambda name: "n2" if name.startswith("n2") else ""
    await world.pass_time(SHOWN_WITHIN_S + 60, step_s=10)
    kept = await world.renewal(renewal)
    assert kept.failures == 1
    assert "n2 does not show the proof for n2.example.com (it does not answer)" in kept.problem.message
    assert world.server.asked["answer"] == 0
    assert await world.states(renewal) == [OrderState.ORDERED]
    world.showing.missing_at = lambda _name: ""
    await world.pass_time(LADDER_S[0] + 60)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert (await world.renewal(renewal)).failures == 0


@pytest.mark.parametrize(("told_s", "is_told"), [(2.0, False), (600.0, True)])
async def test_nodes_that_are_being_told_of_a_proof_are_asked_again_at_once_and_for_seconds_that_is_no_news(
    world: Renewing, told_s: float, is_told: bool
):
    renewal = await world.renewing("n1", age_days=30)
    world.showing.told_until_s = world.now[0] + told_s
    waits: list[str] = []

    async def look() -> None:
        waits.extend(each.waits_for for each in await world.orders(renewal))

    await world.pass_time(15.0, step_s=1.0, look=look)
    (order,) = await world.orders(renewal)
    assert any("n1 does not show the proof for" in each for each in waits) is is_told
    placed = [each.at_s for each in order.steps if each.state is OrderState.PLACED]
    assert [at_s <= world.showing.told_until_s + 1.0 for at_s in placed] == ([] if is_told else [True])


async def test_once_half_of_the_time_is_gone_the_ca_is_asked_without_a_node_that_is_down(world: Renewing):
    renewal = await world.renewing("n1", "n2", age_days=30)
    world.showing.missing_at = lambda name: "n2" if name.startswith("n2") else ""
    await world.pass_time(9 * DAY_S, step_s=HOUR_S)
    (order,) = await world.orders(renewal)
    assert order.state is OrderState.SERVED
    assert any("There is no time left to wait" in each.message for each in order.steps)
    ends_s = (await world.context.inventories.current()).entries[renewal.certificate_id].leaf.not_after_s
    assert ends_s - order.reached_s(OrderState.SERVED) > 6 * DAY_S


async def test_a_name_that_leads_to_a_dead_node_alone_is_told_with_the_node_and_what_to_do(world: Renewing):
    renewal = await world.renewing("n1", "n2", age_days=38)
    world.showing.missing_at = lambda name: "node 'n2', port 80" if name.startswith("n2") else ""
    world.server.unprovable.add("n2.example.com")
    await world.pass_time(HOUR_S, step_s=30)
    kept = await world.renewal(renewal)
    assert (
        "node 'n2', port 80 does not show the proof for n2.example.com (it does not answer)"
        in kept.problem.message
    )
    assert "remove that name until these do, or use dns-01" in kept.problem.message


async def test_a_certificate_that_is_not_there_yet_does_not_wait_for_a_dead_node_for_longer_than_an_hour(
    world: Renewing,
):
    account = await world.account()
    made = await world.renewals.order_new(
        world.terms(account, "n1.example.com"), nodes=[], slot="server", actor="ada"
    )
    world.showing.missing_at = lambda _name: "node 'n2', port 80"
    await world.pass_time(1200, step_s=30)
    assert (
        "from 2027-01-15 09:00 UTC on it will be asked anyway"
        in (await world.renewal(made.renewal)).problem.message
    )
    await world.pass_time(2 * HOUR_S, step_s=60)
    assert (await world.renewal(made.renewal)).certificate_id is not None


async def test_a_window_that_moves_along_does_not_keep_the_ca_from_being_asked_without_a_node_that_is_down(
    world: Renewing,
):
    renewal = await world.renewing("n1", "n2", age_days=40)
    await world.pass_time(HOUR_S)
    (issued,) = world.server.issued
    world.showing.missing_at = lambda name: "n2" if name.startswith("n2") else ""

    async def revoke() -> None:
        past = Window(start_s=world.now[0] - HOUR_S, end_s=world.now[0])
        world.server.windows[issued.identifier] = past

    await revoke()
    await world.pass_time(30 * DAY_S, step_s=HOUR_S, look=revoke)
    order = (await world.orders(renewal))[1]
    assert any("There is no time left to wait" in each.message for each in order.steps)
    assert issued.ends_s - order.reached_s(OrderState.SERVED) > 20 * DAY_S
