"""What a member noticed of a node, who greeted lately and until when a node was heard is what every member finds, on either engine."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event, select

from common.ids import NodeName
from manager.domain.duplicate_identity import RIVALS_FOR_S
from manager.domain.members import NodeState, Sighting
from manager.store.holds import EndedSession
from manager.store.members import LEASE_S
from manager.store.sqlite import Sqlite
from manager.store.tables.running import node_change, seat
from tests.unit.store.given import N1, N2, add_nodes
from tests.unit.store.test_holds import greeting

M1, M2 = NodeName("management"), NodeName("management-2")


@pytest.fixture
async def other(monkeypatch, clock, store, again):
    """A second member of a store, which has two nodes."""
    monkeypatch.setattr(Sqlite, "is_shared", True)
    await add_nodes(store, N1, N2)
    store.act_as(await store.members.join(M1))
    made = again()
    made.act_as(await made.members.join(M2))
    return made


async def state_of(store, name: NodeName = N1) -> NodeState:
    changes = await store.feed.since(0)
    return next(each for each in changes.nodes if each.record.name == name)


def noticed(store, **what: str) -> Sighting:
    return Sighting(member=store._database.member, **what)


@contextmanager
def statements(store) -> Iterator[list[str]]:
    """Note what is executed in the block."""
    found: list[str] = []
    engine = store._database._pool.sync_engine

    def note(_connection, _cursor, statement, *_) -> None:
        found.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield found
    event.remove(engine, "before_cursor_execute", note)


async def test_what_a_member_noticed_takes_the_place_of_what_it_noticed_before(store, other):
    await store.sightings.tell({N1: noticed(store, flood="bytes", turned_away="old")})
    await other.sightings.tell({N1: noticed(other, flood="connections")})
    found = (await state_of(other)).sightings
    assert found == (noticed(store, flood="bytes", turned_away="old"), noticed(other, flood="connections"))
    number = (await other.feed.since(0)).number
    await store.sightings.tell({N1: noticed(store)})
    assert (await state_of(other)).sightings == (noticed(other, flood="connections"),)
    assert [each.record.name for each in (await other.feed.since(number)).nodes] == [N1]
    assert (await state_of(other, N2)).sightings == ()


async def test_what_a_member_noticed_goes_with_it_and_others_hear_of_that(store, other, clock):
    await store.sightings.tell({N1: noticed(store, flood="bytes")})
    number = (await other.feed.since(0)).number
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    assert (await state_of(other)).sightings == ()
    assert [each.record.name for each in (await other.feed.since(number)).nodes] == [N1]


async def test_why_an_agent_was_sent_away_is_not_kept_of_a_node_that_is_welcome(store, other):
    await store.sightings.tell({N1: noticed(store, flood="bytes", turned_away="old")})
    held = (await other.holds.take([greeting()]))[N1]
    assert held.state.sightings == (noticed(store, flood="bytes"),)
    await store.sightings.tell({N1: noticed(store, turned_away="old")})
    assert (await state_of(store)).sightings == ()


async def test_agents_that_displace_each_other_at_two_members_are_seen_by_a_third(store, other, again, clock):
    for count, (where, agent) in enumerate([(store, "a"), (other, "b"), (store, "a")]):
        clock.now_s += 30
        address = f"192.0.2.{1 if agent == 'a' else 2}"
        held = (await where.holds.take([greeting(instance=agent, address=address)]))[N1]
        assert bool(held.state.seats.rivals(clock.now_s)) is (count == 2)
    assert (await state_of(again())).seats.rivals(clock.now_s) == ("192.0.2.1", "192.0.2.2")
    assert (await state_of(again())).seats.rivals(clock.now_s + RIVALS_FOR_S + 1) == ()


async def test_an_agent_that_only_reconnects_writes_nothing_of_itself(store, other):
    await store.holds.take([greeting()])
    with statements(other) as executed:
        await other.holds.take([greeting()])
    assert not [each for each in executed if each.startswith(f"INSERT INTO {seat.name} ")]


async def test_when_a_node_was_heard_last_is_kept_with_the_end_of_its_session(store, other, clock):
    held = (await store.holds.take([greeting(), greeting(N2)]))[N1]
    assert (await state_of(other)).left_s is None
    await store.holds.release({N1: EndedSession(held.number + 1, 5.0)})
    assert (await state_of(other)).left_s is None
    await store.holds.release({N1: EndedSession(held.number, 7.0)})
    assert (await state_of(other)).left_s == 7.0
    clock.now_s += 3
    await store.members.renew(store._database.member)
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    assert (await state_of(other, N2)).left_s == clock.now_s - LEASE_S - 1


async def test_hundreds_of_nodes_are_marked_by_one_statement(store, other):
    names = [NodeName(f"node-{number}") for number in range(600)]
    async with store.transaction():
        await add_nodes(store, *names)
    ids = [each.id for each in await store.nodes.list()]
    async with store._database.write() as connection:
        with statements(store) as executed:
            await store._database.changed(connection, ids)
        marks = [each for each in executed if each.startswith(f"INSERT INTO {node_change.name} ")]
        assert len(marks) == 1
        numbers = set((await connection.execute(select(node_change.c.number))).scalars())
        assert len(numbers) == 1
