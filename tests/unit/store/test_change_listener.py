"""Other managers hear of a change once it is kept; what is lost with a connection is made good by what is heard when it is back."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from common.codes import Role
from common.ids import NodeName
from manager.domain.alarms import AlarmChanges, AlarmKind, Condition, Subject
from manager.domain.tallies import Tally
from manager.store import change_listener
from manager.store.backend import NoticeHandlers
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED
from tests.unit.store.given import N1, N2, NOW_S, add_nodes, new_certificate
from tests.unit.store.test_reports import report

M1, M2 = NodeName("management"), NodeName("management-2")

on_server = pytest.mark.parametrize("place", [pytest.param("postgresql", marks=NEEDED)], indirect=True)


async def tell_tallies(store) -> None:
    store.tallies.count(Tally.FAILED, "ada", "192.0.2.9")
    await store.tallies.tell()


ALARM = Condition(subject=Subject(AlarmKind.OFFLINE, "node:n1"), label="n1", details="away", node="n1")

QUIET = {
    "tallies": tell_tallies,
    "audit": lambda store: store.audit.append(at_s=NOW_S, actor="ann", action="done", subject="x"),
    "moment": lambda store: store.meta.check(now_s=NOW_S),
    "renewal": lambda store: store.members.renew(store._database.member),
}
CHANGES = {
    "node": lambda store: add_nodes(store, N2),
    "removal": lambda store: store.nodes.remove(N1),
    "content": lambda store: store.certificates.add(new_certificate(), now_s=NOW_S),
    "rights": lambda store: store.users.set_role("ann", Role.OPERATOR),
    "report": lambda store: store.reports.record([report()]),
    "alarm": lambda store: store.alarms.apply(
        AlarmChanges(raised=[ALARM], lowered=[], updated={}), now_s=NOW_S
    ),
    "membership": lambda store: store.members.leave(store._database.member),
    "newcomer": lambda store: store.members.join(M1),
}


@asynccontextmanager
async def listening(store):
    """Let a store listen, once what is heard at the beginning was heard."""
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(store.change_listener.run())
        await store.change_listener.wait()
        yield store.change_listener
        task.cancel()


@pytest.fixture
async def other(store, again):
    await add_nodes(store, N1)
    await store.users.add("ann", Role.READ_ONLY, password_hash="x", now_s=NOW_S)
    store.act_as(await store.members.join(M1))
    made = again()
    made.act_as(await made.members.join(M2))
    return made


@on_server
@pytest.mark.parametrize("how", CHANGES)
async def test_what_another_manager_changes_is_heard(store, other, how):
    async with listening(other) as listener:
        await CHANGES[how](store)
        await listener.wait()


@on_server
@pytest.mark.parametrize("how", QUIET)
async def test_what_is_nobodys_concern_is_not_told(store, other, again, how):
    """Notices come in order: had it been told, that would be heard before the next change, which is by nobody in particular."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    handlers = NoticeHandlers(change=heard.put_nowait, tallies=other.tallies.receive)
    async with asyncio.timeout(PATIENCE_S), other._database.listening(handlers):
        assert await heard.get() == ""
        await QUIET[how](store)
        await add_nodes(again(), N2)
        assert await heard.get() == ""


@on_server
async def test_ones_own_changes_are_not_heard_and_those_of_who_is_no_member_are(store, other, again):
    async with listening(other) as listener:
        await add_nodes(other, N2)
        offline = again()
        await add_nodes(offline, NodeName("n3"))
        await listener.wait()
        assert not listener._notified.is_set()


@on_server
async def test_who_listens_again_hears_that_something_may_have_been_missed(
    store, other, monkeypatch, cluster
):
    monkeypatch.setattr(change_listener, "AGAIN_S", 0.05)
    async with listening(other) as listener:
        ended = cluster.sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query LIKE '%LISTEN%' AND pid <> pg_backend_pid()"
        )
        assert int(ended) >= 1
        await listener.wait()
        await add_nodes(store, N2)
        await listener.wait()


@on_server
async def test_a_change_that_is_undone_is_not_heard(store, other):
    async with listening(other) as listener:
        with pytest.raises(ZeroDivisionError):
            await _change_and_fail(store)
        await add_nodes(store, N2)
        await listener.wait()
        assert not listener._notified.is_set()


async def _change_and_fail(store) -> None:
    async with store.transaction():
        await add_nodes(store, N2)
        raise ZeroDivisionError


async def test_where_one_manager_is_alone_nothing_is_ever_heard(local):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(local.change_listener.run())
        waiting = tasks.create_task(local.change_listener.wait())
        await add_nodes(local, N1)
        await local.certificates.add(new_certificate(), now_s=NOW_S)
        for _ in range(10):
            await asyncio.sleep(0)
        assert not waiting.done()
        running.cancel()
        waiting.cancel()
