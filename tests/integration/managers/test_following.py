"""What one manager changed is what the other one knows, whether it heard of it or not."""

import asyncio

import pytest

from common.errors import Reason, StorageError
from common.ids import NodeName
from common.wire.contact import Contact
from manager.domain.members import StoreChanges
from tests.integration.fleet.parts import Parts
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED

pytestmark = NEEDED

N1, N2, N3 = NodeName("n1"), NodeName("n2"), NodeName("n3")


async def test_every_manager_shows_every_node_alike(first: Parts, second: Parts):
    await first.add("n1", "n2")
    await second.add("n3")
    await first.until(lambda: first.fleet.names() == second.fleet.names() == [N1, N2, N3])
    first.dial("n1")
    second.dial("n2")
    leaf = await second.assign("n1", "n2", "n3")
    await first.until_applied(leaf, "n1", "n2")
    await second.until_applied(leaf, "n1", "n2")
    await first.until(lambda: first.fleet.counts() == second.fleet.counts() == {"in_sync": 2, "offline": 1})
    for name in (N1, N2, N3):
        here, there = first.fleet.node(name), second.fleet.node(name)
        assert (here.desired, here.applied, here.slots["server"].desired) == (
            there.desired,
            there.applied,
            there.slots["server"].desired,
        )


async def test_content_that_is_changed_at_one_manager_is_published_by_the_one_that_has_the_node(
    first: Parts, second: Parts
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    second.dial("n1")
    await second.until_applied(await first.assign("n1"), "n1")
    leaf = await first.assign("n1")
    await second.until_applied(leaf, "n1")
    (newest, *_) = await first.store.generations.history(N1)
    assert newest.cause in {"changed at another manager", "test"}


async def test_a_change_is_taken_though_the_store_failed_when_it_was_notified(
    first: Parts, second: Parts, monkeypatch: pytest.MonkeyPatch
):
    feed, failed = second.store.feed, []
    since = feed.since

    async def fail_once(number: int) -> StoreChanges:
        if not failed:
            failed.append(number)
            raise StorageError("it did not answer in time", reason=Reason.TIMEOUT)
        return await since(number)

    async def wait_for_ever() -> None:
        await asyncio.Event().wait()

    # the pass that waits now is notified once, and none after it
    monkeypatch.setattr(second.store.change_listener, "wait", wait_for_ever)
    monkeypatch.setattr(feed, "since", fail_once)
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    assert failed


async def test_who_watches_the_fleet_is_told_of_what_happens_at_another_manager(first: Parts, second: Parts):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    with second.fleet.subscribe() as subscription:
        first.dial("n1")
        async with asyncio.timeout(PATIENCE_S):
            while not any(view.connected_at_s for view in await subscription.take(1.0)):
                pass


async def test_a_manager_that_never_hears_anything_finds_everything_at_its_reconcile(
    first: Parts, second: Parts
):
    for each in (first, second):
        each.hear_nothing()
    await first.add("n1", "n2")
    assert second.fleet.names() == []
    assert await second.fleet.reconciler.reconcile()
    assert second.fleet.names() == [N1, N2]
    second.dial("n1")
    first.dial("n2")
    leaf = await first.assign("n1", "n2")
    await first.until_applied(leaf, "n2")
    assert second.applied("n2") is None
    await first.fleet.reports.flush()
    assert await second.fleet.reconciler.reconcile()
    await second.until_applied(leaf, "n1", "n2")
    await second.fleet.reports.flush()
    assert await first.fleet.reconciler.reconcile()
    await first.until(lambda: first.fleet.counts() == {"in_sync": 2})


async def test_a_session_that_a_manager_does_not_know_to_be_lost_is_ended_by_the_next_report(
    first: Parts, second: Parts
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    for each in (first, second):
        each.hear_nothing()
    old = first.dial("n1")
    await first.until(lambda: old.welcomes == 1)
    new = second.dial("n1")
    await second.until(lambda: new.welcomes == 1)
    # it says something new, which is not kept
    old.local.known = Contact(addresses=["192.0.2.1:9422"], host_keys=["ssh-ed25519 other"])
    old.tick()
    await first.until(lambda: bool(old.disconnects))
    assert old.disconnects[0].reason == "conflict"


async def test_what_a_manager_changes_while_it_reads_the_store_is_not_undone_by_what_it_read(
    first: Parts, second: Parts, monkeypatch
):
    """A node is removed and another one's key is replaced here between the reading and the taking of what was read."""
    await first.add("n1", "n2")
    keys = first.fleet.connections._keys
    await second.until(lambda: second.fleet.names() == [N1, N2])
    for name in ("n1", "n2"):
        second.dial(name)
    await first.until(lambda: first.state("n1") == first.state("n2") != "offline")
    since, reading, go_on = first.store.feed.since, asyncio.Event(), asyncio.Event()

    async def slowly(number: int):
        found = await since(0)
        reading.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(first.store.feed, "since", slowly)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
        look = tasks.create_task(first.fleet.follower.catch_up())
        await reading.wait()
        async with first.store.transaction():
            await first.store.nodes.remove(N1)
            first.store.after_commit(lambda: first.fleet.node_removed(N1))
        async with first.store.transaction():
            await first.store.nodes.pin(N2, "ssh-ed25519 new", former_key="ssh-ed25519 n2")
            record = await first.store.nodes.get(N2)
            first.store.after_commit(lambda: first.fleet.node_rotated(record))
        await first.add("n3")
        go_on.set()
        await look
    assert first.fleet.names() == [N2, N3]
    assert keys.find("ssh-ed25519 new") is not None
    assert keys.find("ssh-ed25519 n2") is None
