"""A server that took over from another one and lacks what that kept last: no number is given again, and all is read anew."""

import contextlib
from dataclasses import dataclass

import pytest

from common.codes import Role
from common.ids import NodeName
from manager.store.numbers import CHANGE, RIGHTS, read_counters, revision_of
from manager.store.postgresql import Postgresql
from manager.store.sqlite import Sqlite
from manager.store.store import Store
from manager.store.tables.content import meta
from manager.store.timelines import IDS_LEAP, NUMBERS_A_SECOND, TIMELINE, leap_from
from tests.unit.store.given import N1, N2, add_nodes, new_certificate, new_generation, publish, second_member

M1, M2 = NodeName("management"), NodeName("management-2")


@dataclass(slots=True)
class Server:
    """Which history the server of this test goes on with."""

    timeline: str = "00000001"

    async def take_over(self, *stores: Store) -> None:
        """Let another one take its place: every connection is made anew."""
        self.timeline = f"{int(self.timeline, 16) + 1:08X}"
        for each in stores:
            await each._database._pool.dispose()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server that is shared, whatever the engine."""
    made = Server()
    monkeypatch.setattr(Sqlite, "is_shared", True)
    for engine in (Sqlite, Postgresql):
        monkeypatch.setattr(engine, "timeline", lambda _engine, _connection: made.timeline)
    return made


@pytest.fixture
async def other(server, clock, store, again):
    """A second member of a store, which has two nodes."""
    return await second_member(store, again)


async def numbers(store: Store) -> tuple[int, int, int]:
    """Return how far changes, content and rights have come; read past the feed, which lets them leap when it is due."""
    async with store._database.read() as connection:
        come_to = await read_counters(connection)
        return come_to.get(CHANGE, 0), await revision_of(connection), come_to.get(RIGHTS, 0)


async def test_the_first_write_notes_the_timeline_and_lets_nothing_leap(server, store):
    await add_nodes(store, N1)
    assert max(await numbers(store)) < 100
    assert await kept(store) == b"00000001"


async def kept(store: Store) -> bytes | None:
    async with store._database.read() as connection:
        rows = (await connection.execute(meta.select().where(meta.c.name == TIMELINE))).all()
    return rows[0].value if rows else None


async def test_the_first_write_on_another_timeline_lets_every_counter_leap_once(server, store, other, clock):
    await store.certificates.add(new_certificate(), now_s=1.0)
    await store.users.add("ann", Role.OPERATOR, password_hash="", now_s=1.0)
    before = await numbers(store)
    await server.take_over(store, other)
    assert await numbers(store) == before
    await publish(store, new_generation(1))
    after = await numbers(other)
    assert min(after) > clock.now_s * NUMBERS_A_SECOND > max(before)
    await publish(other, new_generation(2))
    change, content, rights = await numbers(store)
    assert (change, content, rights) == (after[0] + 1, after[1], after[2])
    assert await kept(store) == server.timeline.encode()


async def test_a_look_lets_every_counter_leap_where_nobody_has_written_yet(server, store, other):
    """What a manager knows of lost changes is forgotten also while nobody changes anything."""
    before = await numbers(store)
    mark = (await other.feed.since(0)).number
    await server.take_over(store, other)
    changes = await other.feed.since(mark)
    assert changes.is_anew
    assert min(await numbers(store)) > max(before)
    assert not (await store.feed.since(changes.number)).is_anew


@pytest.mark.usefixtures("clock")
async def test_ids_that_may_have_been_given_are_not_given_again(server, store, other):
    known = {each.node: each.id for each in await store.members.list()}
    await server.take_over(store, other)
    assert await store.members.join(M1) == max(known.values()) + IDS_LEAP + 1
    assert await other.members.join(M2) == max(known.values()) + IDS_LEAP + 2


async def test_a_number_from_before_means_everything_and_one_from_after_only_what_is_newer(
    server, store, other
):
    mark = (await other.feed.since(0)).number
    await server.take_over(store, other)
    await publish(store, new_generation(1))
    changes = await other.feed.since(mark)
    assert changes.is_anew
    assert {state.record.name for state in changes.nodes} == {N1, N2}
    assert changes.present == {state.record.id for state in changes.nodes}
    assert not await other.feed.is_all_own(mark)
    later = await other.feed.since(changes.number)
    assert (later.is_anew, later.nodes, later.present) == (False, [], None)
    assert not (await other.feed.since(0)).is_anew


async def test_what_leapt_goes_on_above_it_when_another_server_takes_over(server, store, other, clock):
    await server.take_over(store, other)
    await add_nodes(store, NodeName("n3"))
    first = await numbers(store)
    clock.now_s -= 3600  # its clock is behind
    await server.take_over(store, other)
    await add_nodes(other, NodeName("n4"))
    assert min(await numbers(store)) > max(first)


async def test_a_leap_that_is_undone_is_made_by_the_next_writer(server, store, other):
    before = await numbers(store)
    await server.take_over(store, other)
    with contextlib.suppress(ZeroDivisionError):
        async with store.transaction():
            raise ZeroDivisionError
    assert await numbers(store) == before
    await add_nodes(store, NodeName("n3"))
    assert min(await numbers(store)) > max(before)


async def test_rights_and_content_are_read_anew_after_a_leap_by_whoever_has_read_them(server, store, other):
    await store.feed.since(0)
    await other.feed.since(0)
    before, content = other.rights_revision, await other.meta.revision()
    await server.take_over(store, other)
    await add_nodes(store, NodeName("n3"))
    await other.feed.since(1)
    assert other.rights_revision > before
    assert await other.meta.revision() != content


async def test_a_connection_is_asked_once(server, store, other, monkeypatch):
    asked = 0

    def timeline(_engine: object, _connection: object) -> str:
        nonlocal asked
        asked += 1
        return server.timeline

    for engine in (Sqlite, Postgresql):
        monkeypatch.setattr(engine, "timeline", timeline)
    await server.take_over(store, other)
    for number in range(5):
        await add_nodes(store, NodeName(f"more{number}"))
    assert asked == 1


async def test_where_one_manager_is_alone_nothing_is_noted(local):
    await add_nodes(local, N1)
    assert await kept(local) is None


@pytest.mark.parametrize(
    ("counters", "revision", "least"),
    [({}, 0, 5_000_000), ({"change": 9_000_000}, 7, 9_000_000), ({}, 8_000_000, 8_000_000)],
)
def test_a_leap_ends_above_the_clock_and_all_that_was_given(counters, revision, least):
    assert leap_from(counters, revision, 5.0) == least + 1
