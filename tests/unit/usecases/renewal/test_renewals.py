"""Renewals as people switch them on, try, change, pause and end them."""

from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from common.challenge import CHALLENGES_MAX
from common.codes import KeyKind
from common.errors import ConflictError, InvalidInputError, NotFoundError
from common.ids import NodeName
from manager.domain.renewal.records import ChallengeKind, OrderState, Problem, Terms
from manager.domain.renewal.schedule import RATE_LIMITED
from manager.store.engine import Database
from manager.usecases.renewal.ports import wake_nobody
from manager.usecases.renewal.proving import SHOWN_WITHIN_S
from manager.usecases.renewal.renewals import RenewalUseCases
from manager.usecases.renewal.terms import NAMES_MAX
from tests.pki import DAY_S
from tests.renewals import Renewing

HOUR_S = 3600.0


async def test_names_are_prefilled_from_the_certificate_and_its_nodes(world: Renewing):
    account = await world.account()
    number = await world.certificate(["n1", "n2"], names=["n1.example.com", "meet.example.com"])
    terms = await world.renewals.terms_for(number, account, ChallengeKind.HTTP)
    assert terms.names == ("n1.example.com", "meet.example.com", "n2.example.com")
    assert terms.key is KeyKind.ECDSAP256


@pytest.mark.parametrize(
    "names",
    [("localhost",), ("n1",), ("a..b",), ("http://a.example.com",), ("*.example.com",), ("a.example.com;",)],
)
async def test_a_name_that_no_ca_can_prove_by_http_is_refused(world: Renewing, names: tuple[str, ...]):
    account, number = await world.account(), await world.certificate(["n1"])
    with pytest.raises(InvalidInputError) as caught:
        await world.renewals.switch_on(number, world.terms(account, *names), actor="ada")
    assert caught.value.field == "names"
    assert await world.renewals.list() == []


async def test_each_name_that_cannot_be_ordered_is_told_with_what_is_wrong_with_it(world: Renewing):
    account, number = await world.account(), await world.certificate(["n1"])
    names = ("10.0.0.999", "ok.example.com", "xn--a.example.com", "b\xfccher.example.com", "n1.example.com.")
    with pytest.raises(InvalidInputError) as caught:
        await world.renewals.switch_on(number, world.terms(account, *names), actor="ada")
    assert caught.value.field == "names"
    assert caught.value.message.split("; ") == [
        "'10.0.0.999' ends in a number, as only an IPv4 address does, and is none, so no CA can prove it",
        "'xn--a.example.com' has a part ('xn--a') that stands for no international name, so no CA can prove it",
        "'b\xfccher.example.com' has characters that names in DNS do not have",
        "write it as 'xn--bcher-kva.example.com', so no CA can prove it",
        "'n1.example.com.' ends with a dot, which is to be left out, so no CA can prove it",
    ]


async def test_a_wildcard_is_proven_by_dns_and_an_address_by_http(world: Renewing):
    account = await world.account()
    first, second = await world.certificate(["n1"]), await world.certificate(["n2"])
    dns = Terms(account_id=account, challenge=ChallengeKind.DNS, names=("*.example.com",))
    assert (await world.renewals.switch_on(first, dns, actor="ada")).renewal.terms == dns
    with pytest.raises(InvalidInputError):
        await world.renewals.switch_on(
            second, Terms(account_id=account, challenge=ChallengeKind.DNS, names=("192.0.2.1",)), actor="ada"
        )
    await world.renewals.switch_on(second, world.terms(account, "192.0.2.1"), actor="ada")


async def test_no_certificate_has_more_names_than_cas_sign(world: Renewing):
    account, number = await world.account(), await world.certificate(["n1"])
    names = [f"n{each}.example.com" for each in range(NAMES_MAX + 1)]
    with pytest.raises(InvalidInputError):
        await world.renewals.switch_on(number, world.terms(account, *names), actor="ada")


async def test_a_long_list_is_read_as_often_as_a_short_one(world: Renewing, monkeypatch: pytest.MonkeyPatch):
    reads, read = [0], Database.read

    def counted(database: Database) -> AbstractAsyncContextManager[AsyncConnection]:
        reads[0] += 1
        return read(database)

    async def listed() -> int:
        # what changed since is read into the inventory once
        await world.use_cases.inventory()
        reads[0] = 0
        assert all(each.orders for each in await world.renewals.list())
        return reads[0]

    monkeypatch.setattr(Database, "read", counted)
    first = await world.renewing("n1")
    await world.renewals.order_now(first.id, actor="ada")
    short = await listed()
    for node in ("n2", "n3", "n4"):
        await world.renewals.order_now((await world.renewing(node)).id, actor="ada")
    assert await listed() == short


async def test_more_names_than_a_node_can_show_proofs_of_are_refused_before_anything_is_ordered(
    world: Renewing,
):
    account, number = await world.account(), await world.certificate(["n1"])
    terms = world.terms(account, *(f"n{each}.example.com" for each in range(CHALLENGES_MAX + 1)))
    with pytest.raises(InvalidInputError, match="there are 65 names, and a node shows the proofs of 64"):
        await world.renewals.switch_on(number, terms, actor="ada")
    by_dns = replace(terms, challenge=ChallengeKind.DNS)
    assert (await world.renewals.switch_on(number, by_dns, actor="ada")).renewal.terms == by_dns


async def test_a_certificate_is_renewed_in_one_way(world: Renewing):
    renewal = await world.renewing("n1")
    with pytest.raises(ConflictError):
        await world.renewals.switch_on(renewal.certificate_id, renewal.terms, actor="ada")
    with pytest.raises(NotFoundError):
        await world.renewals.switch_on(99, renewal.terms, actor="ada")


async def test_an_account_that_is_not_there_is_refused(world: Renewing):
    number = await world.certificate(["n1"])
    with pytest.raises(NotFoundError):
        await world.renewals.switch_on(number, world.terms(99), actor="ada")


async def test_an_account_that_was_deactivated_is_refused_for_a_new_renewal_and_a_changed_one(
    world: Renewing,
):
    renewal, account = await world.renewing("n1"), await world.account("ended")
    await world.accounts.deactivate(account, actor="ada")
    number = await world.certificate(["n2"])
    with pytest.raises(ConflictError, match="'ended' was deactivated"):
        await world.renewals.switch_on(number, world.terms(account), actor="ada")
    with pytest.raises(ConflictError, match="'ended' was deactivated"):
        await world.renewals.change(renewal.id, world.terms(account), actor="ada")
    assert [each.renewal for each in await world.renewals.list()] == [renewal]


@pytest.mark.parametrize(
    ("challenge", "message"),
    [
        (ChallengeKind.DNS_PERSIST, "dns-persist-01 is not switched on"),
        (ChallengeKind.DNS, r"no zone in this manager's settings covers n1.example.com: add a \[\[dns.zone"),
    ],
)
async def test_a_challenge_that_cannot_be_shown_here_is_refused(
    world: Renewing, challenge: ChallengeKind, message: str
):
    account, number = await world.account(), await world.certificate(["n1"])
    alone = RenewalUseCases(world.context, wake=wake_nobody, challenges=[ChallengeKind.HTTP])
    with pytest.raises(InvalidInputError, match=message) as caught:
        await alone.switch_on(number, Terms(account_id=account, challenge=challenge), actor="ada")
    assert caught.value.field == "challenge"


async def test_a_new_certificate_is_ordered_at_once_for_a_slot_of_nodes_and_then_renewed(world: Renewing):
    account = await world.account()
    await world.store.nodes.add(
        NodeName("n5"), "node", names=["n5.example.com"], addresses=[], now_s=world.now[0]
    )
    made = await world.renewals.order_new(
        world.terms(account, "n5.example.com"), nodes=[NodeName("n5")], slot="server", actor="ada"
    )
    renewal = made.renewal
    await world.pass_time(HOUR_S)
    kept = await world.renewal(renewal)
    assert (kept.is_new, kept.nodes, await world.states(renewal)) == (False, (), [OrderState.SERVED])
    inventory = await world.context.inventories.current()
    assert inventory.slots[NodeName("n5"), "server"] == kept.certificate_id
    await world.pass_time(40 * DAY_S, step_s=HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED, OrderState.SERVED]
    assert len(await world.store.certificates.list()) == 1


async def test_what_is_paused_orders_nothing_until_it_is_resumed(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(HOUR_S)
    assert await world.orders(renewal) == []
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_what_no_node_is_to_have_is_served_by_none_and_its_last_step_says_so(world: Renewing):
    terms = world.terms(await world.account(), "new.example.com")
    made = await world.renewals.order_new(terms, nodes=[], slot="server", actor="ada")
    await world.pass_time(60, step_s=5)
    (order,) = await world.orders(made.renewal)
    assert (order.state, order.steps[-1].message) == (OrderState.SERVED, "no node has it yet")


async def test_an_order_rests_while_its_renewal_is_paused_but_what_the_ca_signed_comes_in(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = HOUR_S / 4
    await world.pass_time(60)
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(HOUR_S / 2)
    assert await world.states(renewal) == [OrderState.PLACED]
    world.server.processing_s = HOUR_S
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.pass_time(HOUR_S / 2)
    assert await world.states(renewal) == [OrderState.FINALISED]
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.pass_time(2 * HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_other_terms_end_the_order_that_was_begun_with_the_former_and_try_at_once(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.unprovable.add("wrong.example.com")
    wrong = world.terms(renewal.terms.account_id, "wrong.example.com", "n1.example.com")
    await world.renewals.change(renewal.id, wrong, actor="ada")
    world.server.validation_s = 600.0
    await world.pass_time(60)
    assert await world.states(renewal) == [OrderState.PLACED]
    await world.renewals.change(renewal.id, world.terms(renewal.terms.account_id), actor="ada")
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
    assert (await world.renewal(renewal)).failures == 0


async def test_an_order_of_another_profile_is_not_gone_on_with(world: Renewing):
    world.server.lists_orders = True
    world.server.validation_s = 600.0
    renewal = await world.renewing("n1", age_days=40)
    plain = world.terms(renewal.terms.account_id)
    await world.renewals.change(renewal.id, replace(plain, profile="shortlived"), actor="ada")
    await world.pass_time(60)
    await world.renewals.change(renewal.id, plain, actor="ada")
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.FAILED, OrderState.SERVED]
    assert [each.profile for each in world.server.orders.values()] == ["shortlived", ""]


async def test_what_is_removed_is_not_listed_and_its_order_is_ended_with_all_that_was_shown(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    world.server.validation_s = HOUR_S
    await world.pass_time(60)
    assert world.showing.placed
    await world.renewals.remove(renewal.id, actor="ada")
    assert await world.renewals.list() == []
    again = await world.renewals.switch_on(renewal.certificate_id, renewal.terms, paused=True, actor="ada")
    await world.pass_time(60)
    assert (world.showing.placed, world.server.issued) == ({}, [])
    assert [each.renewal.id for each in await world.renewals.list()] == [again.id]
    assert [each.id for each in await world.store.renewals.list()] == [again.id]


async def test_the_key_is_kept_where_that_was_chosen_and_new_otherwise(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    first = await world.store.certificates.private_key(renewal.certificate_id)
    keeps = Terms(account_id=renewal.terms.account_id, challenge=ChallengeKind.HTTP, keeps_key=True)
    await world.renewals.change(renewal.id, keeps, actor="ada")
    await world.pass_time(HOUR_S)
    second = (await world.renewal(renewal)).certificate_id
    assert await world.store.certificates.private_key(second) == first
    fresh = Terms(account_id=renewal.terms.account_id, challenge=ChallengeKind.HTTP, key=KeyKind.ECDSAP384)
    await world.renewals.change(renewal.id, fresh, actor="ada")
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(HOUR_S)
    entry = (await world.context.inventories.current()).entries[(await world.renewal(renewal)).certificate_id]
    assert entry.leaf.key_type == "EC P-384"


async def test_an_order_that_rests_after_a_failure_goes_on_when_somebody_says_so(world: Renewing):
    renewal = await world.renewing("n1", age_days=30)
    world.showing.missing_at = lambda _name: "n1"
    await world.pass_time(SHOWN_WITHIN_S + 60, step_s=10)
    (order,) = await world.orders(renewal)
    world.showing.missing_at = lambda _name: ""
    assert (await world.renewals.order_now(renewal.id, actor="ada")).id == order.id
    await world.pass_time(30, step_s=10)
    assert await world.states(renewal) == [OrderState.SERVED]


async def test_nothing_is_ordered_now_that_is_paused_or_whose_ca_asked_to_wait(world: Renewing):
    renewal = await world.renewing("n1")
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    with pytest.raises(ConflictError, match="is paused; resume it first"):
        await world.renewals.order_now(renewal.id, actor="ada")
    shown = await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    now_s = world.now[0]
    limited = Problem(at_s=now_s, type=RATE_LIMITED, message="too many", detail="")
    await world.store.renewals.keep(replace(shown.renewal, problem=limited, retry_at_s=now_s + HOUR_S))
    with pytest.raises(ConflictError, match="the CA asked to wait"):
        await world.renewals.order_now(renewal.id, actor="ada")
    assert await world.orders(renewal) == []


async def test_what_is_shown_of_a_renewal_has_its_orders_the_latest_first(world: Renewing):
    renewal = await world.renewing("n1", age_days=40)
    await world.pass_time(HOUR_S)
    await world.renewals.order_now(renewal.id, actor="ada")
    shown = await world.renewals.show(renewal.id)
    assert [each.state for each in shown.orders] == [OrderState.CREATED, OrderState.SERVED]
    assert shown.entry.id == shown.renewal.certificate_id


async def test_an_address_is_ordered_as_nodes_have_it_however_it_was_written(world: Renewing):
    account = await world.account()
    made = await world.renewals.order_new(
        world.terms(account, "2001:DB8:0::1"), nodes=[], slot="server", actor="ada"
    )
    assert made.renewal.terms.names == ("2001:db8::1",)
    with pytest.raises(InvalidInputError, match="'fe80::1%eth0' has a zone"):
        await world.renewals.order_new(
            world.terms(account, "fe80::1%eth0"), nodes=[], slot="server", actor="ada"
        )


async def test_an_order_that_was_refused_is_not_in_the_audit_log(world: Renewing):
    renewal = await world.renewing("n1")
    await world.renewals.order_now(renewal.id, actor="ada")
    for ask in (world.renewals.order_now, world.renewals.test):
        with pytest.raises(ConflictError, match="is running; wait until"):
            await ask(renewal.id, actor="bob")
    assert "bob" not in {act.actor for act in await world.store.audit.list()}


async def test_every_act_is_in_the_audit_log(world: Renewing):
    renewal = await world.renewing("n1")
    await world.renewals.set_paused(renewal.id, paused=True, actor="ada")
    await world.renewals.set_paused(renewal.id, paused=False, actor="ada")
    await world.renewals.change(renewal.id, renewal.terms, actor="ada")
    await world.renewals.order_now(renewal.id, actor="ada")
    await world.pass_time(HOUR_S)
    await world.renewals.test(renewal.id, actor="ada")
    await world.pass_time(HOUR_S)
    await world.renewals.remove(renewal.id, actor="ada")
    acts = [(act.actor, act.action) for act in await world.store.audit.list()][::-1]
    assert [each for each in acts if each[1].startswith("renewal.")] == [
        ("ada", "renewal.added"),
        ("ada", "renewal.paused"),
        ("ada", "renewal.resumed"),
        ("ada", "renewal.changed"),
        ("ada", "renewal.ordered"),
        ("renewal", "renewal.taken_over"),
        ("ada", "renewal.tested"),
        ("ada", "renewal.removed"),
    ]
