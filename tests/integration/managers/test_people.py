"""Whoever asks, asks all managers: links, clocks, the audit log, sessions, rights, streams and pages are the same at each of them."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.api.codes import Role
from common.codes import Fault
from common.errors import AccessError, CertcastError, ConflictError
from common.ids import MANAGEMENT_NODE, NodeName
from manager.domain.alarms import AlarmChanges, AlarmKind, Condition, Subject
from manager.store.address import ServerAddress
from tests.integration.api import PASSWORD
from tests.integration.managers.people import NAME, Manager, manager_over, one, two, until
from tests.integration.web import Visitor
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED

__all__ = ["one", "two"]  # fixtures

pytestmark = NEEDED

HERE = "192.0.2.9"


# -- the set-up link


async def test_managers_that_start_at_once_offer_one_set_up_link_that_makes_one_user_anywhere(
    store_database: ServerAddress, tmp_path
):
    async with manager_over(store_database, tmp_path) as one, manager_over(store_database, tmp_path) as two:
        links = await asyncio.gather(one.use_cases.setup.open(), two.use_cases.setup.open())
        assert links[0] is not None
        assert links[0] == links[1]
        outcomes = await asyncio.gather(
            *(
                each.use_cases.setup.create(links[0], name=name, password=PASSWORD)
                for each in (one, two)
                for name in ("ann", "bob")
            ),
            return_exceptions=True,
        )
        made = [each for each in outcomes if not isinstance(each, BaseException)]
        assert len(made) == 1
        assert all(isinstance(each, CertcastError) for each in outcomes if each not in made)
        for each in (one, two):
            with pytest.raises(AccessError):
                await each.use_cases.setup.check(links[0])
            assert await each.use_cases.setup.open() is None


# -- clocks


@pytest.mark.parametrize("wrong_s", [-7200.0, 7200.0])
async def test_a_manager_whose_own_clock_is_wrong_ends_nobodys_session_and_lets_none_live_longer(
    one: Manager, store_database: ServerAddress, tmp_path, monkeypatch, wrong_s: float
):
    ada = await one.use_cases.users.get(NAME)
    token = await one.use_cases.sessions.start(ada, address=HERE)
    await one.use_cases.sessions.distrust_clock()
    right = one.store.clock()
    monkeypatch.setattr("time.time", lambda: right + wrong_s)
    async with manager_over(store_database, tmp_path) as two:
        await two.use_cases.sessions.distrust_clock()
        assert await two.use_cases.sessions.find(token) is not None
        assert await two.use_cases.sessions.is_confirmed(token)
        later = await two.use_cases.sessions.start(ada, address=HERE)
        await one.use_cases.sessions.distrust_clock()
        for each in (one, two):
            assert await each.use_cases.sessions.find(later) is not None
            assert len(await each.use_cases.sessions.list(NAME)) == 2
            # nobody is half an hour wrong
            assert abs(each.use_cases.now_s - right) < 1800


# -- the audit log


async def test_two_managers_append_to_one_chain_and_one_that_is_killed_between_leaves_it_whole(
    one: Manager, two: Manager
):
    async def append(manager: Manager, name: str) -> None:
        for number in range(30):
            async with manager.store.transaction():
                await manager.use_cases.audit._context.audit(name, "test", f"act {number}")

    async def be_killed() -> None:
        async with two.store._database.write() as connection:
            await two.use_cases.audit._context.audit("two", "test", "never kept")
            raw = await connection.get_raw_connection()
            raw.driver_connection.terminate()
            await two.use_cases.audit._context.audit("two", "test", "never kept")

    async with asyncio.TaskGroup() as group:
        group.create_task(append(one, "one"))
        group.create_task(append(two, "two"))
        with pytest.raises(CertcastError):
            await be_killed()
    for each in (one, two):
        found = await each.use_cases.audit.verify(noted=None, kept=None)
        assert (found.fault, found.broken_at) == (Fault.NONE, None), found
    acts = [each for each in await one.store.audit.list(limit=1000) if each.action == "test"]
    assert sorted(each.actor for each in acts) == ["one"] * 30 + ["two"] * 30


@pytest.mark.parametrize("is_first_alone", [True, False])
async def test_a_witness_that_one_manager_misses_is_an_alarm_about_that_manager_whoever_leads(
    one: Manager, store_database: ServerAddress, tmp_path, is_first_alone: bool
):
    second = NodeName("management-2")
    for name in (MANAGEMENT_NODE, second):
        await one.store.nodes.add(name, "management", names=[], addresses=[], now_s=0)

    async def faults() -> dict[str, str]:
        await one.use_cases.alarms.evaluator.evaluate(one.parts.fleet)
        active = await one.use_cases.alarms.active()
        return {
            each.subject.key: each.details
            for each in active
            if each.subject.kind is AlarmKind.AUDIT_LOG_BROKEN
        }

    async def ship(manager: Manager, witness: Path) -> None:
        audit = manager.use_cases.audit
        audit.keep_heads_in(witness, None)
        await audit.ship(witness, None, shipped=None)
        await audit.tell_fault()

    here, there = tmp_path / "one", tmp_path / "two"
    async with manager_over(store_database, tmp_path, node=second) as two:
        await ship(one, here)
        await ship(two, there)
        assert await faults() == {}
        (here if is_first_alone else there).unlink()
        await ship(one, here)
        await ship(two, there)
        found = await faults()
        assert list(found) == ["manager" if is_first_alone else f"node:{second}"]
        assert ("Manager 'management-2' found" in str(found)) is not is_first_alone
    # it is known after that manager has ended, until it finds otherwise
    assert list(await faults()) == list(found)
    if not is_first_alone:
        async with manager_over(store_database, tmp_path, node=second) as two:
            await ship(two, tmp_path / "one")
            assert await faults() == {}


# -- sessions, tokens, roles


async def test_a_session_that_is_ended_at_one_manager_is_refused_at_the_other_at_once(
    one: Manager, two: Manager
):
    two.parts.hear_nothing()
    browser = Visitor(two.url, two.session)
    assert (await browser.post("/sign-in", {"name": NAME, "password": PASSWORD})).path == "/"
    (session,) = await one.use_cases.sessions.list(NAME)
    await one.use_cases.sessions.end_of(NAME, only=session.id, actor=NAME)
    assert (await browser.get("/nodes")).path.startswith("/sign-in")


async def test_a_token_that_is_revoked_and_a_role_that_is_taken_at_one_manager_count_at_the_other_at_once(
    one: Manager, two: Manager
):
    two.parts.hear_nothing()
    await one.use_cases.users.add("bob", role=Role.ADMINISTRATOR, password=PASSWORD, actor="console")
    token, _ = await one.use_cases.users.new_token("bob", label="ci", days=1, scope=None, actor="bob")
    bearer = {"Authorization": f"Bearer {token}"}
    assert await two.status("users", **bearer) == 200
    (record,) = await one.use_cases.users.tokens("bob")
    await one.use_cases.users.remove_token(record.id, name="bob", actor="bob")
    assert await two.status("users", **bearer) == 401
    token, _ = await one.use_cases.users.new_token("bob", label="ci", days=1, scope=None, actor="bob")
    bearer = {"Authorization": f"Bearer {token}"}
    await one.use_cases.users.set_role("bob", role=Role.READ_ONLY, actor=NAME)
    assert await two.status("users", **bearer) in {401, 403}


async def test_nothing_is_changed_with_a_right_that_was_taken_at_another_manager_however_late_that_is_heard(
    one: Manager, two: Manager
):
    two.parts.hear_nothing()
    await one.use_cases.users.add("bob", role=Role.ADMINISTRATOR, password=PASSWORD, actor="console")
    caller = await two.use_cases.callers.by_password("bob", PASSWORD, address=HERE, connection=None)
    rights = two.use_cases.callers.rights(caller, Role.ADMINISTRATOR)
    await rights.check()
    await one.use_cases.users.set_role("bob", role=Role.READ_ONLY, actor=NAME)
    with rights.enforced(), pytest.raises(AccessError):
        await two.use_cases.users.add("eve", role=Role.ADMINISTRATOR, password=PASSWORD, actor="bob")
    assert {user.name for user in await one.use_cases.users.list()} == {NAME, "bob"}


# -- streams and pages


async def events(manager: Manager, *, since: str | None = None) -> AsyncIterator[tuple[str, str]]:
    """Return (mark, what was told) one after the other."""
    headers = {} if since is None else {"Last-Event-ID": since}
    async with manager.ask("GET", "events", headers=headers) as stream:
        mark = ""
        async for line in stream.content:
            kind, _, value = line.decode().rstrip("\n").partition(": ")
            if not kind and value == "listening":
                yield "", value
            elif kind == "id":
                mark = value
            elif kind == "data":
                yield mark, json.loads(value)["name"]


async def test_a_stream_at_one_manager_tells_of_what_is_changed_at_the_other_and_goes_on_there_with_every_node(
    one: Manager, two: Manager
):
    async with asyncio.timeout(PATIENCE_S):
        stream = events(two)
        assert (await anext(stream))[1] == "listening"
        await one.parts.add("n1", "n2")
        told = set()
        while told != {"n1", "n2"}:
            mark, name = await anext(stream)
            told.add(name)
        await stream.aclose()
        await until(lambda: one.parts.fleet.names() == [NodeName("n1"), NodeName("n2")])
        assert mark
        again = events(one, since=mark)
        assert (await anext(again))[1] == "listening"
        assert {(await anext(again))[1], (await anext(again))[1]} == {"n1", "n2"}
        await again.aclose()


async def test_a_node_that_was_added_at_one_manager_a_moment_ago_is_shown_by_the_other_that_has_not_heard_of_it(
    one: Manager, two: Manager
):
    two.parts.hear_nothing()
    await one.parts.add("n1", "n2")
    assert two.parts.fleet.names() == []
    assert await two.status("nodes/n1") == 200
    await one.parts.add("n3")
    async with two.ask("POST", "push", json={"nodes": ["n3"], "dry_run": True}) as answer:
        assert answer.status == 200, await answer.text()
    assert await two.status("nodes/n4") == 404


ALARM = Condition(subject=Subject(AlarmKind.OFFLINE, "node:n1"), label="n1", details="It is away.", node="n1")


async def test_an_open_page_is_told_of_alarms_that_another_manager_raises_and_that_somebody_has_seen_there(
    one: Manager, two: Manager
):
    browser = Visitor(two.url, two.session)
    assert (await browser.post("/sign-in", {"name": NAME, "password": PASSWORD})).path == "/"
    async with asyncio.timeout(PATIENCE_S), two.session.get(f"{two.url}/live/alarms") as stream:
        assert stream.status == 200
        await until(lambda: bool(two.use_cases.alarms._watching))
        await one.store.alarms.apply(AlarmChanges(raised=[ALARM], lowered=[], updated={}), now_s=1.0)
        await _is_told(stream)
        (alarm,) = await two.use_cases.alarms.active()
        await one.use_cases.alarms.acknowledge([alarm.id], actor=NAME)
        await _is_told(stream)


async def _is_told(stream) -> None:
    while await stream.content.readline() != b"event: changed\n":
        pass


async def test_a_page_that_hears_nothing_is_told_of_alarms_at_the_next_reconcile(one: Manager, two: Manager):
    two.parts.hear_nothing()
    woken = asyncio.Event()
    with two.use_cases.alarms.watch(woken.set) as news:
        await two.parts.fleet.reconciler.reconcile()
        news.take()
        woken.clear()
        await one.store.alarms.apply(AlarmChanges(raised=[ALARM], lowered=[], updated={}), now_s=1.0)
        assert await two.parts.fleet.reconciler.reconcile()
        assert news.take()
        assert woken.is_set()


async def test_a_certificate_a_node_a_user_and_a_token_are_shown_by_the_other_manager_as_soon_as_they_are_made(
    one: Manager, two: Manager
):
    await one.parts.add("n1")
    await two.parts.until(lambda: two.parts.fleet.names() == [NodeName("n1")])
    leaf = await one.parts.assign("n1")
    inventory = await two.use_cases.inventory()
    assert [entry.leaf.fingerprint for entry in inventory.entries.values()] == [leaf]
    await two.parts.until(lambda: two.parts.desired("n1") == leaf)
    await one.use_cases.users.add("bob", role=Role.READ_ONLY, password=PASSWORD, actor="console")
    assert "bob" in {user.name for user in await two.use_cases.users.list()}
    with pytest.raises(ConflictError):
        await two.use_cases.users.add("bob", role=Role.READ_ONLY, password=PASSWORD, actor="console")
