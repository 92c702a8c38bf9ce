"""A push that is asked for at one manager, of a node that another one has."""

import asyncio
from typing import Any

import msgspec
import pytest

from common.bundle.manifest import parse_manifest
from common.ids import NodeName
from tests.fakes.simulator import NodeSimulator
from tests.integration.fleet.parts import Parts
from tests.patience import PATIENCE_S
from tests.postgres import NEEDED

pytestmark = NEEDED

N1 = NodeName("n1")


async def test_a_push_that_is_asked_for_elsewhere_is_made_by_the_manager_that_has_the_node(
    first: Parts, second: Parts
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    second.dial("n1")
    await first.until(lambda: first.is_connected("n1"))
    leaf = await first.assign("n1")
    (plan,) = await first.fleet.push([N1], forced=False)
    assert plan.action != "wait"
    await second.until_applied(leaf, "n1")
    await first.until_applied(leaf, "n1")
    (plan,) = await first.fleet.push([N1], forced=False)
    assert (plan.action, plan.why) == ("none", "it runs what is desired")


async def test_a_forced_push_that_is_asked_for_elsewhere_overrides_the_quarantine(
    first: Parts, second: Parts
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    node = second.dial("n1", NodeSimulator(N1, behaviour="rolls_back"))
    leaf = await first.assign("n1")
    await first.until(lambda: (first.desired("n1"), first.state("n1")) == (leaf, "failed"))
    (wait,) = await first.fleet.push([N1], forced=False)
    assert (wait.action, "verify_mismatch" in wait.why) == ("wait", True)
    node.behaviour = "works"
    (plan,) = await first.fleet.push([N1], forced=True)
    assert plan.action == "push"
    await first.until_applied(leaf, "n1")


async def test_a_forced_push_goes_over_a_conflict_of_which_the_manager_that_is_asked_has_not_heard(
    first: Parts, second: Parts, monkeypatch: pytest.MonkeyPatch
):
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    node = second.dial("n1")
    leaf = await first.assign("n1")
    await first.until_applied(leaf, "n1")
    assert node.transport is not None
    node.transport.close()
    await first.until(lambda: not first.is_connected("n1"))
    # as after a restore: it runs what this store has never published
    assert node.local.manifest is not None
    node.local.manifest = msgspec.structs.replace(node.local.manifest, generation=9, anchors=0)
    may_record, record = asyncio.Event(), second.store.reports.record

    async def record_late(*args: Any, **kwargs: Any) -> Any:
        await may_record.wait()
        return await record(*args, **kwargs)

    monkeypatch.setattr(second.store.reports, "record", record_late)
    second.dial("n1", node)
    await first.until(lambda: first.is_connected("n1"))
    await second.until(lambda: second.state("n1") == "conflict")
    assert first.state("n1") == "in_sync"
    await first.fleet.push([N1], forced=True)
    await second.until(lambda: node.local.highest() == (1, 10))
    may_record.set()
    await first.until(lambda: (first.applied("n1"), first.state("n1")) == (leaf, "in_sync"))
    # who kept it need not have noted yet that it did
    await second.until(lambda: second.state("n1") == "in_sync")


async def test_a_push_that_was_asked_for_is_found_without_a_notification(first: Parts, second: Parts):
    await first.add("n1")
    assert await second.fleet.reconciler.reconcile()
    node = second.dial("n1", NodeSimulator(N1, behaviour="rolls_back"))
    leaf = await second.assign("n1")
    await second.until(lambda: (second.desired("n1"), second.state("n1")) == (leaf, "failed"))
    await second.fleet.reports.flush()
    assert await first.fleet.reconciler.reconcile()
    for each in (first, second):
        each.hear_nothing()
    node.behaviour = "works"
    await first.fleet.push([N1], forced=True)
    assert second.state("n1") == "failed"
    assert await second.fleet.reconciler.reconcile()
    await second.until_applied(leaf, "n1")


async def test_two_managers_that_are_asked_to_push_the_same_at_once_make_one_generation(
    first: Parts, second: Parts
):
    names = [f"n{number}" for number in range(20)]
    await first.add(*names)
    await second.until(lambda: len(second.fleet.names()) == len(names))
    for number, name in enumerate(names):
        (first, second)[number % 2].dial(name)
    await first.until(lambda: len(first.fleet.counts()) == 1 and len(second.fleet.counts()) == 1)
    leaf = await first.assign(*names)
    await asyncio.gather(first.fleet.push(None, forced=False), second.fleet.push(None, forced=False))
    await first.until_applied(leaf, *names)
    await second.until_applied(leaf, *names)
    for name in names:
        digests = [each.digest for each in await first.store.generations.history(NodeName(name))]
        assert len(set(digests)) == len(digests), "nothing was published twice"


async def test_older_content_that_is_republished_elsewhere_reaches_the_node(first: Parts, second: Parts):
    async def note(_number: int, _manifest: object) -> None:
        """Write nothing down."""

    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    second.dial("n1")
    old = await first.assign("n1")
    await first.until_applied(old, "n1")
    number = (await first.store.generations.history(N1))[0].generation
    new = await first.assign("n1")
    await first.until_applied(new, "n1")
    plan = await first.fleet.republish(N1, number, note=note)
    assert plan.action == "publish_and_push"
    await second.until_applied(old, "n1")


async def test_older_content_is_never_published_above_newer_content(first: Parts, second: Parts, monkeypatch):
    """One manager reads what a node must hold, and is slow; meanwhile the other one publishes what is newer."""
    await first.add("n1")
    await second.until(lambda: second.fleet.names() == [N1])
    await first.until(lambda: first.fleet.node(N1).desired is not None)
    compiler = first.fleet._publisher._compiler
    contents, reading, go_on = compiler._contents, asyncio.Event(), asyncio.Event()

    async def slowly(*args: object, **kwargs: object) -> object:
        found = await contents(*args, **kwargs)
        if not reading.is_set():
            reading.set()
            await go_on.wait()
        return found

    monkeypatch.setattr(compiler, "_contents", slowly)
    old = await first.assign("n1")
    async with asyncio.timeout(PATIENCE_S):
        await reading.wait()
    new = await second.assign("n1")
    await second.fleet.push([N1], forced=False)
    await first.until(lambda: first.desired("n1") == new)
    go_on.set()
    await first.fleet.push([N1], forced=False)
    published = [
        parse_manifest(each.manifest).slots["server"].leaf
        for each in reversed(await first.store.generations.history(N1))
        if "server" in parse_manifest(each.manifest).slots
    ]
    assert published == [new], old
