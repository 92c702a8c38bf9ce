"""The steps by which the manager's host key is replaced, each whole or not at all."""

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from common.errors import ConflictError, StorageError
from common.runtime.ssh import generate_key, public_line
from manager.usecases.host_key import HostKeyUseCases


@dataclass
class Shown:
    now: list[object] = field(default_factory=list)

    async def present(self, keys, key, other):
        assert public_line(key) == keys.presented
        assert (public_line(other) if other else "") == keys.other
        self.now.append(keys)


def view(name, *keys, says=True, connected_at_s=None):
    known = keys if says else None
    return SimpleNamespace(
        name=name, joined=True, kind="node", manager_host_keys=known, connected_at_s=connected_at_s
    )


@pytest.fixture
async def shown(world):
    store = world.use_cases._context.store
    await store.host_keys.keep("steady", generate_key(), None)
    made = Shown()
    await world.use_cases.host_key.begin(made.present)
    return made


async def again(world):
    """Begin as a manager does that was killed: with what the store has."""
    made = Shown()
    use_cases = HostKeyUseCases(world.use_cases._context)
    await use_cases.begin(made.present)
    return use_cases, made.now[-1]


async def test_a_key_is_announced_switched_and_dropped_and_each_step_outlives_a_kill(world, shown):
    old = shown.now[0].presented
    announced = await world.use_cases.host_key.announce(actor="ann")
    assert (announced.state, announced.presented) == ("announced", old)
    new = announced.other
    use_cases, now = await again(world)
    assert now == announced
    switched = await use_cases.switch([view("n1", old, new)], force=False, actor="ann")
    assert (switched.state, switched.presented, switched.other) == ("switched", new, old)
    use_cases, now = await again(world)
    assert now == switched
    dropped = await use_cases.drop([view("n1", new, old)], force=False, actor="ann")
    assert (dropped.state, dropped.presented, dropped.other) == ("steady", new, "")
    assert (await again(world))[1] == dropped
    entries = await world.use_cases._context.store.audit.list(limit=10)
    acts = [each.action for each in entries if each.action.startswith("host_key.")]
    assert sorted(acts) == ["host_key.announced", "host_key.dropped", "host_key.switched"]


async def test_who_has_not_confirmed_is_named_and_can_be_overridden(world, shown):
    old = shown.now[0].presented
    announced = await world.use_cases.host_key.announce(actor="ann")
    views = [view("n1", old, announced.other), view("n2", old), view("n3", says=False)]
    with pytest.raises(ConflictError, match="n2, n3"):
        await world.use_cases.host_key.switch(views, force=False, actor="ann")
    assert (await world.use_cases.host_key.show()).state == "announced"
    await world.use_cases.host_key.switch(views, force=True, actor="ann")
    with pytest.raises(ConflictError, match="n2, n3"):
        await world.use_cases.host_key.drop(views, force=False, actor="ann")
    assert (await world.use_cases.host_key.drop(views, force=True, actor="ann")).state == "steady"


async def test_who_is_connected_at_since_before_the_switch_is_named_until_it_came_back(world, shown):
    old = shown.now[0].presented
    host_key = world.use_cases.host_key
    new = (await host_key.announce(actor="ann")).other
    before_s = host_key._context.clock() - 1
    early = view("n1", old, new, connected_at_s=before_s)
    away = view("n2", old, new)
    switched = await host_key.switch([early, away], force=False, actor="ann")
    assert await host_key.show() == switched == shown.now[-1]
    with pytest.raises(ConflictError, match=r"sent back .* token: n1$"):
        await host_key.drop([early, away], force=False, actor="ann")
    late = view("n1", old, new, connected_at_s=switched.since_s)
    assert (await host_key.drop([late, away], force=False, actor="ann")).state == "steady"


async def test_each_step_can_be_taken_back_until_the_former_key_is_dropped(world, shown):
    old = shown.now[0].presented
    host_key = world.use_cases.host_key
    announced = await host_key.announce(actor="ann")
    await host_key.switch([], force=False, actor="ann")
    returned = await host_key.abandon(actor="ann")
    assert returned == replace(announced, since_s=returned.since_s)
    back = await host_key.abandon(actor="ann")
    assert (back.state, back.presented, back.other) == ("steady", old, "")
    assert shown.now[-1] == back
    with pytest.raises(ConflictError):
        await host_key.abandon(actor="ann")


@pytest.mark.parametrize("steps", [["switch"], ["drop"], ["announce", "announce"], ["announce", "drop"]])
async def test_a_step_out_of_its_turn_changes_nothing(world, shown, steps):
    host_key = world.use_cases.host_key

    async def take(step):
        more = {"views": [], "force": True} if step in {"switch", "drop"} else {}
        return await getattr(host_key, step)(**more, actor="ann")

    for step in steps[:-1]:
        await take(step)
    before = await host_key.show()
    with pytest.raises(ConflictError):
        await take(steps[-1])
    assert await host_key.show() == before == shown.now[-1]


async def test_a_step_that_cannot_be_written_down_is_not_taken(world, shown, monkeypatch):
    async def refuse(*_given, **_more):
        raise ConflictError("the disk is full")

    monkeypatch.setattr(world.use_cases._context.store.audit, "append", refuse)
    with pytest.raises(ConflictError):
        await world.use_cases.host_key.announce(actor="ann")
    assert await world.use_cases.host_key.show() == shown.now[0]


async def test_a_step_that_another_manager_took_is_taken_into_use_once(world, shown):
    use_cases, _ = await again(world)
    other = Shown()
    await use_cases.begin(other.present)
    announced = await world.use_cases.host_key.announce(actor="ann")
    for _ in range(2):
        await use_cases.refresh()
    assert other.now[1:] == [announced]
    switched = await use_cases.switch([], force=True, actor="bob")
    await world.use_cases.host_key.refresh()
    assert shown.now[-1] == other.now[-1] == switched


async def test_a_step_that_could_not_be_taken_into_use_is_tried_again(world, shown):
    use_cases, _ = await again(world)
    seen = Shown()
    await use_cases.begin(seen.present)
    announced = await world.use_cases.host_key.announce(actor="ann")

    async def fail(*_args):
        raise StorageError("the store is away")

    use_cases._present = fail
    with pytest.raises(StorageError):
        await use_cases.refresh()
    use_cases._present = seen.present
    await use_cases.refresh()
    assert seen.now[-1] == announced
