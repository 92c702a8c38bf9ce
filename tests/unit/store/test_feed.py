"""The feed tells what changed since a number, exactly as the store has it; where one manager is alone nothing is counted."""

import pytest

from common.codes import Role
from common.errors import ConflictError
from common.ids import NodeName
from manager.domain.callers import Maker
from manager.domain.model import KeyChange, NodeDescription
from manager.store.holds import EndedSession
from manager.store.members import LEASE_S
from manager.store.sqlite import Sqlite
from manager.store.tables.content import counter
from manager.store.tables.running import node_change
from tests.unit.store.given import (
    N1,
    N2,
    NOW_S,
    add_nodes,
    new_certificate,
    new_generation,
    publish,
    second_member,
)
from tests.unit.store.test_holds import greeting
from tests.unit.store.test_reports import report

M1, M2 = NodeName("management"), NodeName("management-2")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIa"


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SQLite draw numbers as if it had several managers."""
    monkeypatch.setattr(Sqlite, "is_shared", True)


@pytest.fixture
async def other(shared, clock, store, again):
    """A second member of a store, which has two nodes."""
    return await second_member(store, again)


async def join_by_token(store) -> None:
    await store.nodes.add_join_token(
        N1, secret_hash="s", created_by="ann", maker=Maker(), expires_s=NOW_S + 1, now_s=NOW_S
    )
    await store.nodes.redeem_join_token(N1, secret_hash="s", public_key=KEY, now_s=NOW_S)


CHANGES = {
    "key": lambda store: store.nodes.pin(N1, KEY, former_key=""),
    "key by token": join_by_token,
    "key's history": lambda store: store.nodes.keep_key_change(
        N1, KeyChange(how="joined", at_s=1.0, address="192.0.2.1", fingerprint="SHA256:x")
    ),
    "description": lambda store: store.catalogue.describe(
        N1, NodeDescription(names=["x"], addresses=["192.0.2.7"])
    ),
    "generation": lambda store: publish(store, new_generation(1)),
    "report": lambda store: store.reports.record([report()]),
    "session": lambda store: store.holds.take([greeting()]),
}


@pytest.mark.parametrize("how", CHANGES)
async def test_what_changes_of_a_node_is_told_and_nothing_of_the_others(store, other, how):
    before = await other.feed.since(0)
    await CHANGES[how](store)
    changes = await other.feed.since(before.number)
    assert changes.number > before.number
    assert [state.record.name for state in changes.nodes] == [N1]
    whole = {state.record.name: state for state in (await other.feed.since(0)).nodes}
    assert whole[N1] == changes.nodes[0] != before.nodes[0]
    assert whole[N2] == before.nodes[1]
    assert changes.present is None
    assert (await other.feed.since(changes.number)).nodes == []


async def test_a_session_that_ends_is_told_however_it_ends(store, other, clock):
    number = (await other.feed.since(0)).number

    async def told() -> list[tuple[NodeName, bool]]:
        nonlocal number
        changes = await other.feed.since(number)
        number = changes.number
        return [(state.record.name, state.hold is not None) for state in changes.nodes]

    held = (await store.holds.take([greeting()]))[N1]
    assert await told() == [(N1, True)]
    await store.holds.release({N1: EndedSession(held.number, 0.0)})
    assert await told() == [(N1, False)]
    await store.holds.take([greeting(N2)])
    assert await told() == [(N2, True)]
    clock.now_s += LEASE_S + 1
    await other.members.expire()
    assert await told() == [(N2, False)]
    store.act_as(await store.members.join(M1))
    await store.holds.take([greeting()])
    assert await told() == [(N1, True)]
    await store.members.leave(store._database.member)
    assert await told() == [(N1, False)]


async def test_a_node_that_is_removed_is_missing_from_those_that_there_are(store, other):
    number = (await other.feed.since(0)).number
    await store.nodes.remove(N1)
    changes = await other.feed.since(number)
    (left,) = await store.nodes.list()
    assert (changes.nodes, changes.present) == ([], {left.id})
    await add_nodes(store, N1)
    changes = await other.feed.since(number)
    added = await store.nodes.get(N1)
    assert [state.record for state in changes.nodes] == [added]
    assert changes.present == {left.id, added.id}
    assert (await other.feed.since(changes.number)).present is None


async def test_content_and_rights_have_revisions_of_their_own(store, other):
    before = await other.feed.since(0)
    await store.certificates.add(new_certificate(), now_s=NOW_S)
    content = await other.feed.since(before.number)
    assert (content.content, content.rights) == (before.content + 1, before.rights)
    seen = other.rights_revision
    await store.users.add("ann", Role.OPERATOR, password_hash="x", now_s=NOW_S)
    await store.users.set_role("ann", Role.READ_ONLY)
    assert other.rights_revision == seen
    changes = await other.feed.since(content.number)
    assert changes.rights > before.rights
    assert other.rights_revision > seen
    seen = other.rights_revision
    await other.feed.since(changes.number)
    assert other.rights_revision == seen


async def test_what_is_undone_is_not_told_and_leaves_no_number(store, other):
    before = await other.feed.since(0)

    async def change() -> None:
        async with store.transaction():
            await publish(store, new_generation(1))
            await store.nodes.remove(N2)
            await add_nodes(store, NodeName("n3"), N1)

    with pytest.raises(ConflictError):
        await change()
    assert await other.feed.since(before.number) == _nothing_since(before)


def _nothing_since(before):
    return type(before)(
        number=before.number,
        content=before.content,
        rights=before.rights,
        alarms=before.alarms,
        challenges=before.challenges,
        nodes=[],
        present=None,
        is_anew=False,
    )


async def test_a_transaction_has_one_number_however_much_it_changes(store, other):
    before = (await other.feed.since(0)).number
    async with store.transaction():
        await publish(store, new_generation(1))
        await store.reports.record([report(N2)])
        await add_nodes(store, NodeName("n3"))
    changes = await other.feed.since(before)
    assert changes.number == before + 1
    assert len(changes.nodes) == 3


async def test_a_number_that_the_store_has_not_come_to_means_all_there_is(store, other):
    """A server that took over from another one may lack what that kept last."""
    number = (await other.feed.since(0)).number
    changes = await other.feed.since(number + 1)
    assert [state.record.name for state in changes.nodes] == [N1, N2]
    assert changes.present == {state.record.id for state in changes.nodes}


async def test_a_change_by_who_is_no_member_is_told_as_well(other, again):
    number = (await other.feed.since(0)).number
    await publish(again(), new_generation(1))
    assert [state.record.name for state in (await other.feed.since(number)).nodes] == [N1]


async def test_where_one_manager_is_alone_no_number_is_drawn_for_what_it_changes(local):
    await add_nodes(local, N1, N2)
    before = await local.feed.since(0)
    assert [state.record.name for state in before.nodes] == [N1, N2]
    await publish(local, new_generation(1))
    await local.reports.record([report()])
    await local.nodes.remove(N2)
    await local.users.add("ann", Role.OPERATOR, password_hash="x", now_s=NOW_S)
    await local.users.remove("ann")
    assert await local.feed.since(before.number) == type(before)(
        number=before.number,
        content=before.content + 1,
        rights=0,
        alarms=0,
        challenges=0,
        nodes=[],
        present=None,
        is_anew=False,
    )
    async with local._database.read() as connection:
        assert (await connection.execute(node_change.select())).all() == []
        assert [tuple(row) for row in await connection.execute(counter.select())] == [("change", 1)]


async def test_whether_others_changed_anything_is_known_without_reading_what(store, other):
    start = (await other.feed.since(0)).number
    assert await other.feed.is_all_own(start)
    await other.holds.take([greeting()])
    await other.nodes.pin(N1, KEY, former_key="")
    assert await other.feed.is_all_own(start)
    assert not await store.feed.is_all_own(start)
    await publish(store, new_generation(1))
    assert not await other.feed.is_all_own(start)
    now = (await other.feed.since(start)).number
    assert await other.feed.is_all_own(now)
    assert not await other.feed.is_all_own(now + 1), "the store has not come to this number"
