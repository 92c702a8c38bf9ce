"""What people do at one manager holds at every other that serves the same store."""

import dataclasses

import pytest

from common.codes import Role
from common.errors import AccessError
from manager.usecases.sessions import CONFIRMED_S, IDLE_S, LIFE_S
from manager.usecases.usecases import UseCases
from tests.unit.usecases.conftest import World

PASSWORD = "violet tractor mosquito lantern 9"


@pytest.fixture
def other(world: World) -> UseCases:
    """Another manager, whose clock that nobody can set began elsewhere."""
    context = dataclasses.replace(
        world.use_cases._context, own_node="management-2", monotonic=lambda: world.elapsed[0] + 5_000_000
    )
    return UseCases(context)


async def sign_in(world: World) -> str:
    user = await world.use_cases.users.add("ann", role=Role.ADMINISTRATOR, password=PASSWORD, actor="console")
    return await world.use_cases.sessions.start(user, address="192.0.2.9")


async def test_a_session_is_known_at_every_manager_and_ends_at_every_manager(world: World, other: UseCases):
    token = await sign_in(world)
    assert (await other.sessions.find(token)).name == "ann"
    await other.sessions.end(token)
    assert await world.use_cases.sessions.find(token) is None


async def test_that_a_password_was_given_is_known_at_every_manager_for_the_same_time(
    world: World, other: UseCases
):
    token = await sign_in(world)
    managers = (world.use_cases.sessions, other.sessions)
    for given_at in managers:
        world.wait(CONFIRMED_S - 1)
        await given_at.confirmed(token)
        world.wait(CONFIRMED_S - 1)
        assert [await each.is_confirmed(token) for each in managers] == [True, True]
        world.wait(2)
        assert [await each.is_confirmed(token) for each in managers] == [False, False]


async def test_a_clock_that_is_set_back_keeps_no_confirmation_alive_at_either_manager(
    world: World, other: UseCases
):
    token = await sign_in(world)
    managers = (world.use_cases.sessions, other.sessions)
    assert [await each.is_confirmed(token) for each in managers] == [True, True]
    world.elapsed[0] += CONFIRMED_S
    world.now[0] -= 3600
    assert [await each.is_confirmed(token) for each in managers] == [False, False]


async def test_a_session_that_began_anew_lasts_as_long_at_the_manager_that_did_not_see_it(
    world: World, other: UseCases
):
    token = await sign_in(world)
    assert await other.sessions.find(token) is not None
    spent = 0.0
    while spent < LIFE_S - IDLE_S:
        world.wait(IDLE_S / 2)
        spent += IDLE_S / 2
        assert await other.sessions.find(token) is not None
    await world.use_cases.sessions.confirmed(token)
    for _ in range(3):
        world.wait(IDLE_S / 2)
        assert await other.sessions.find(token) is not None
    for _ in range(int(LIFE_S / IDLE_S * 2)):
        world.wait(IDLE_S / 2)
        last = await other.sessions.find(token)
    assert last is None


async def test_nobody_is_confirmed_who_has_no_session(world: World, other: UseCases):
    assert not await other.sessions.is_confirmed("nothing")
    await other.sessions.confirmed("nothing")
    assert not await other.sessions.is_confirmed("nothing")


async def test_the_set_up_link_of_the_manager_that_started_last_works_at_every_manager_once(
    world: World, other: UseCases
):
    first = await world.use_cases.setup.open()
    latest = await other.setup.open()
    for manager in (world.use_cases, other):
        with pytest.raises(AccessError):
            await manager.setup.check(first)
        await manager.setup.check(latest)
    await world.use_cases.setup.create(latest, name="ann", password=PASSWORD)
    for manager in (world.use_cases, other):
        with pytest.raises(AccessError):
            await manager.setup.create(latest, name="eve", password=PASSWORD)
        assert await manager.setup.open() is None
    assert [user.name for user in await world.store.users.list()] == ["ann"]
