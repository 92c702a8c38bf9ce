"""A renewed certificate that no node has any more, since somebody gave them another one: nothing renews that, which is said."""

from common.ids import CertificateId, NodeName
from manager.domain.alarms import AlarmKind
from manager.domain.renewal.records import OrderState, RenewalRecord
from manager.usecases.uploads import Edit
from tests.pki import DAY_S
from tests.renewals import Renewing
from tests.unit.usecases.renewal.looking import alarms_of

HOUR_S = 3600.0


async def give(world: Renewing, number: CertificateId, *nodes: str) -> None:
    await world.use_cases.certificates.edit(
        number, Edit(nodes=[NodeName(each) for each in nodes]), actor="ada"
    )


async def brought(world: Renewing, renewal: RenewalRecord) -> CertificateId:
    number = (await world.renewal(renewal)).certificate_id
    assert number not in {None, renewal.certificate_id}
    return number


async def rolled_back(world: Renewing) -> RenewalRecord:
    """Give the node of a renewal its former certificate again before it serves the new one."""
    renewal = await world.renewing("n1", age_days=31)
    world.fleet.is_held = lambda _name: True
    await world.pass_time(HOUR_S, step_s=60)
    assert await world.states(renewal) == [OrderState.TAKEN_OVER]
    await give(world, renewal.certificate_id, "n1")
    world.fleet.is_held = lambda _name: False
    await world.pass_time(HOUR_S, step_s=60)
    return renewal


async def test_an_order_whose_certificate_was_taken_from_every_node_again_is_not_served(world: Renewing):
    renewal = await rolled_back(world)
    (order,) = await world.orders(renewal)
    assert order.state is OrderState.FAILED
    assert order.problem.message == "No node has the certificate any more that it has brought."
    kept = await world.renewal(renewal)
    assert (kept.failures, len(await world.store.certificates.list())) == (0, 2)


async def test_that_nothing_renews_what_nodes_have_in_its_place_is_said_until_one_has_it_again(
    world: Renewing,
):
    renewal = await rolled_back(world)
    number = await brought(world, renewal)
    for _ in range(2):
        (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_UNSERVED)
        assert alarm.subject.key == f"certificate:{number}"
        assert (
            "no node uses it: its nodes kept the certificate it replaces, were given another one since"
            in alarm.details
        )
        assert alarm.details.endswith("It is not assigned to any node.")
        await world.pass_time(10 * DAY_S)
    await give(world, number, "n1")
    assert await alarms_of(world, AlarmKind.RENEWAL_UNSERVED) == []


async def test_it_is_said_also_if_it_was_served_before_and_until_its_renewal_is_removed(world: Renewing):
    renewal = await world.renewing("n1", age_days=31)
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    await give(world, renewal.certificate_id, "n1")
    assert len(await alarms_of(world, AlarmKind.RENEWAL_UNSERVED)) == 1
    # renewed for nobody, it is there for none of them
    await world.pass_time(40 * DAY_S)
    assert (await world.states(renewal))[1:] == [OrderState.FAILED]
    (alarm,) = await alarms_of(world, AlarmKind.RENEWAL_UNSERVED)
    assert alarm.subject.key == f"certificate:{await brought(world, renewal)}"
    await world.renewals.remove(renewal.id, actor="ada")
    assert await alarms_of(world, AlarmKind.RENEWAL_UNSERVED) == []


async def test_what_some_nodes_still_have_is_served_there(world: Renewing):
    renewal = await world.renewing("n1", "n2", age_days=31)
    world.fleet.is_held = lambda _name: True
    await world.pass_time(HOUR_S, step_s=60)
    await give(world, renewal.certificate_id, "n1")
    world.fleet.is_held = lambda _name: False
    await world.pass_time(HOUR_S, step_s=60)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert await alarms_of(world, AlarmKind.RENEWAL_UNSERVED) == []


async def test_a_certificate_that_was_never_on_a_node_is_renewed_without_a_word(world: Renewing):
    number = await world.certificate([], names=["away.example.com"], age_days=31)
    terms = world.terms(await world.account())
    renewal = (await world.renewals.switch_on(number, terms, actor="ada")).renewal
    await world.pass_time(HOUR_S)
    assert await world.states(renewal) == [OrderState.SERVED]
    assert await alarms_of(world, AlarmKind.RENEWAL_UNSERVED) == []


async def test_a_first_certificate_whose_nodes_were_all_removed_meanwhile_is_told_to_be_nobodys(
    world: Renewing,
):
    for name in ("n1", "n2"):
        names = [f"{name}.example.com"]
        await world.store.nodes.add(NodeName(name), "node", names=names, addresses=[], now_s=world.now[0])
    terms = world.terms(await world.account(), "n1.example.com", "n2.example.com")
    nodes = [NodeName("n1"), NodeName("n2")]
    made = await world.renewals.order_new(terms, nodes=nodes, slot="server", actor="ada")
    world.server.processing_s = HOUR_S
    await world.pass_time(60, step_s=5)
    assert await world.states(made.renewal) == [OrderState.FINALISED]
    await world.use_cases.nodes.remove(*nodes, actor="ada")
    await world.pass_time(DAY_S)
    (order,) = await world.orders(made.renewal)
    assert order.problem.message == "No node has the certificate any more that it has brought."
    assert len(await alarms_of(world, AlarmKind.RENEWAL_UNSERVED)) == 1
