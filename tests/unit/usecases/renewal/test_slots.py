"""Slots that a first certificate is ordered for, and that another certificate has."""

import json
from dataclasses import replace

import pytest

from common.errors import ConflictError, NotFoundError
from common.ids import CertificateId, NodeName
from manager.domain.alarms import AlarmKind
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.model import NodeDescription
from manager.domain.renewal.records import ChallengeKind, OrderState, Terms
from manager.usecases.renewal.shown import ShownRenewal
from manager.usecases.uploads import Edit, NewKey
from tests.pki import DAY_S, make_leaf
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of

MEET = "meet.example.com"


async def order(world: Renewing, *names: str, confirm: str | None, nodes: tuple[str, ...]) -> ShownRenewal:
    account = await world.account(f"le{len(await world.accounts.list())}")
    terms = Terms(account_id=account, challenge=ChallengeKind.DNS, names=names)
    return await world.renewals.order_new(
        terms,
        nodes=[NodeName(each) for each in nodes],
        slot="server",
        confirm=confirm,
        actor="ada",
    )


async def asked(
    world: Renewing, *names: str, confirm: str = "", nodes: tuple[str, ...]
) -> ConfirmationNeededError:
    with pytest.raises(ConfirmationNeededError) as caught:
        await order(world, *names, confirm=confirm, nodes=nodes)
    assert await world.renewals.list() == []
    return caught.value


async def at(world: Renewing, node: str) -> CertificateId | None:
    return (await world.context.inventories.current()).slots.get((NodeName(node), "server"))


async def test_an_order_that_takes_a_slot_from_a_certificate_asks_and_says_which_and_what_the_new_one_lacks(
    world: Renewing,
):
    await world.certificate(["n1", "n2"], names=["n1.example.com", MEET])
    error = await asked(world, MEET, nodes=("n1", "n2"))
    (told,) = error.consequences
    assert (told.code, told.nodes) == ("slot_taken", ("n1", "n2"))
    assert "n1, n2 lose certificate 1 (" in told.message
    assert "The new one lacks n1.example.com: " in told.message


async def test_what_was_confirmed_is_ordered_and_the_slot_keeps_what_it_has_meanwhile(world: Renewing):
    before = await world.certificate(["n1"])
    token = (await asked(world, "n1.example.com", nodes=("n1",))).token
    made = await order(world, "n1.example.com", confirm=token, nodes=("n1",))
    assert (await at(world, "n1"), made.renewal.nodes) == (before, ("n1",))


async def test_a_certificate_that_came_into_the_slot_meanwhile_is_asked_about_anew(world: Renewing):
    await world.certificate(["n1"])
    token = (await asked(world, "n1.example.com", nodes=("n1",))).token
    second = await world.certificate(["n1"])
    assert f"certificate {second} (" in (await asked(world, MEET, confirm=token, nodes=("n1",))).message


async def test_a_program_that_does_not_want_to_be_asked_is_not_held_up(world: Renewing):
    await world.certificate(["n1"])
    assert (await order(world, MEET, confirm=None, nodes=("n1",))).renewal.nodes == ("n1",)


async def test_a_wildcard_lacks_none_of_the_names_that_it_stands_for(world: Renewing):
    await world.certificate(["n1"], names=["N1.example.com", "example.com"])
    (told,) = (await asked(world, "*.example.com", "n9.example.com", nodes=("n1",))).consequences
    assert "lacks example.com:" in told.message


async def test_a_temporary_certificate_and_an_empty_slot_are_taken_without_a_question(world: Renewing):
    described = NodeDescription(names=["n7.example.com"], addresses=[])
    await world.use_cases.nodes.add_without_token(NodeName("n7"), described, actor="ada")
    await world.certificate(["n1"])
    await world.use_cases.assignments.unassign(NodeName("n1"), "server", actor="ada")
    assert (await at(world, "n7") is None, await at(world, "n1")) == (False, None)
    await order(world, MEET, confirm="", nodes=("n1", "n7"))


@pytest.mark.parametrize("confirm", [None, ""])
async def test_a_slot_whose_certificate_another_renewal_renews_is_refused_with_both_names(
    world: Renewing, confirm: str | None
):
    renewal = await world.renewing("n1")
    with pytest.raises(ConflictError) as caught:
        await order(world, MEET, confirm=confirm, nodes=("n1",))
    assert not isinstance(caught.value, ConfirmationNeededError)
    assert "the server slot of node 'n1' has certificate 1 (" in caught.value.message
    assert f"which renewal {renewal.id} renews" in caught.value.message
    assert [each.id for each in await world.renewals.list()] == [renewal.id]


async def test_a_slot_that_another_first_certificate_is_ordered_for_is_refused_until_that_is_removed(
    world: Renewing,
):
    await world.certificate(["n1"])
    first = await order(world, MEET, confirm=None, nodes=("n1",))
    with pytest.raises(ConflictError, match=f"renewal {first.id} orders a certificate for the server slot"):
        await order(world, MEET, confirm=None, nodes=("n1",))
    await world.renewals.remove(first.id, actor="ada")
    await order(world, MEET, confirm=None, nodes=("n1",))


async def put(world: Renewing, node: str) -> CertificateId:
    """Give a node's slot a certificate by hand."""
    return await world.certificate([node], names=[f"{node}.example.com", "by-hand.example.com"])


async def new_one(world: Renewing) -> ShownRenewal:
    """Order a certificate that takes the slot of another one, as was confirmed."""
    await world.certificate(["n1"])
    account = await world.account()
    return await world.renewals.order_new(
        world.terms(account, "n1.example.com"), nodes=[NodeName("n1")], slot="server", actor="ada"
    )


@pytest.mark.parametrize("when", ["before it begins", "while it is proven"])
async def test_no_order_takes_a_slot_from_a_certificate_that_came_there_after_it_was_confirmed(
    world: Renewing, when: str
):
    new = await new_one(world)
    if when == "while it is proven":
        world.server.validation_s = 600.0
        await world.pass_time(60, step_s=5)
        assert await world.states(new.renewal) == [OrderState.PLACED]
    by_hand = await put(world, "n1")
    await world.pass_time(3 * 3600.0, step_s=60)
    assert (await at(world, "n1"), world.server.issued) == (by_hand, [])
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_FAILED)
    assert "The server slot of node 'n1' has certificate 2 (" in alarm.details
    assert "which was not there when this was ordered; empty that slot" in alarm.details
    await world.use_cases.assignments.unassign(NodeName("n1"), "server", actor="ada")
    await world.pass_time(DAY_S, step_s=600)
    assert (await world.states(new.renewal))[-1] is OrderState.SERVED


async def replace_in_place(world: Renewing, number: CertificateId) -> str:
    """Upload another certificate under a number that is known, and return its fingerprint."""
    by_hand = make_leaf(world.server.issuer, ["n1.example.com", "by-hand.example.com"])
    text = by_hand.certificate_pem + world.server.issuer.certificate_pem
    edit = Edit(certificate=text, key=NewKey(pem=by_hand.key_pem))
    await world.use_cases.certificates.edit(number, edit, actor="ada")
    return (await world.context.inventories.current()).entries[number].leaf.fingerprint


async def test_no_order_takes_a_slot_from_a_certificate_that_was_replaced_under_its_number_after_it_was_confirmed(
    world: Renewing,
):
    new = await new_one(world)
    number = await at(world, "n1")
    by_hand = await replace_in_place(world, number)
    assert by_hand not in new.renewal.takes_leaves
    await world.pass_time(3 * 3600.0, step_s=60)
    assert (await at(world, "n1"), world.server.issued) == (number, [])
    assert "which was not there when this was ordered" in (await world.renewal(new.renewal)).problem.message


async def test_what_was_ordered_when_only_numbers_were_kept_takes_the_slots_of_these(world: Renewing):
    new = await new_one(world)
    await world.store.renewals.keep(replace(new.renewal, takes_leaves=()))
    await world.pass_time(60, step_s=5)
    assert await world.states(new.renewal) == [OrderState.SERVED]


async def test_what_the_ca_has_signed_meanwhile_takes_no_such_slot_either(world: Renewing):
    world.server.processing_s = 600.0
    new = await new_one(world)
    await world.pass_time(60, step_s=5)
    assert await world.states(new.renewal) == [OrderState.FINALISED]
    by_hand = await put(world, "n1")
    await world.pass_time(1200.0, step_s=60)
    assert await at(world, "n1") == by_hand
    kept = await world.renewal(new.renewal)
    assert (kept.problem.is_signed, kept.is_new) == (True, True)
    assert "which was not there when this was ordered" in kept.problem.message


async def test_what_was_confirmed_is_replaced(world: Renewing):
    new = await new_one(world)
    await world.pass_time(60, step_s=5)
    assert await world.states(new.renewal) == [OrderState.SERVED]


async def add_node(world: Renewing, name: str, dns_name: str) -> None:
    described = NodeDescription(names=[dns_name], addresses=[])
    await world.use_cases.nodes.add_without_token(NodeName(name), described, actor="ada")


async def test_a_first_certificate_is_for_no_node_that_was_added_under_the_name_of_a_removed_one(
    world: Renewing,
):
    for number in (1, 2, 3):
        await add_node(world, f"n{number}", f"n{number}.example.com")
    terms = world.terms(await world.account(), "n1.example.com")
    nodes = [NodeName("n1"), NodeName("n2"), NodeName("n3")]
    made = await world.renewals.order_new(
        terms, nodes=nodes, slot="server", paused=True, confirm="", actor="ada"
    )
    await world.use_cases.nodes.remove(NodeName("n1"), NodeName("n3"), actor="bob")
    assert (await world.renewal(made.renewal)).nodes == ("n2",)
    (act,) = [each for each in await world.store.audit.list() if each.action == "renewal.changed"]
    assert (act.actor, act.subject) == ("bob", f"renewal {made.id}")
    assert json.loads(act.detail)["nodes"] == ["n2"]
    await add_node(world, "n1", "stranger.example.com")
    strangers = await at(world, "n1")
    await world.renewals.set_paused(made.id, paused=False, actor="ada")
    await world.pass_time(DAY_S)
    assert await world.states(made.id) == [OrderState.SERVED]
    assert (await at(world, "n1"), await at(world, "n2")) == (
        strangers,
        (await world.renewal(made.renewal)).certificate_id,
    )


async def test_a_node_that_no_first_certificate_is_for_changes_no_renewal_when_it_is_removed(world: Renewing):
    await add_node(world, "n1", "n1.example.com")
    await add_node(world, "n2", "n2.example.com")
    made = await order(world, "n1.example.com", confirm="", nodes=("n1",))
    await world.use_cases.nodes.remove(NodeName("n2"), actor="ada")
    assert await world.renewal(made.renewal) == made.renewal


async def test_a_first_certificate_is_for_nodes_that_are_there_when_it_is_kept(world: Renewing):
    with pytest.raises(NotFoundError, match="n1"):
        await order(world, "n1.example.com", confirm="", nodes=("n1",))
    assert await world.renewals.list() == []
