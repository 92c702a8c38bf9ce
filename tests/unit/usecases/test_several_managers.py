"""What people do at one manager holds at every other that serves the same store."""

import dataclasses

import msgspec
import pytest

from common.codes import Role
from common.errors import AccessError
from manager.domain.renewal.records import ChallengeKind
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.sessions import CONFIRMED_S, IDLE_S, LIFE_S
from manager.usecases.setup import LINK_S
from manager.usecases.usecases import UseCases
from manager.usecases.users import SETUP_LINK, hash_token
from tests.unit.usecases.conftest import World

PASSWORD = "violet tractor mosquito lantern 9"


@pytest.fixture
def other(world: World) -> UseCases:
    """Another manager, whose clock that nobody can set began elsewhere."""
    context = dataclasses.replace(
        world.use_cases._context, own_node="management-2", monotonic=lambda: world.elapsed[0] + 5_000_000
    )
    return UseCases(context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind))


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


async def test_every_manager_offers_the_same_set_up_link_which_works_at_each_of_them_once(
    world: World, other: UseCases
):
    token = await world.use_cases.setup.open()
    assert token is not None
    world.wait(LINK_S - 1)
    assert await other.setup.open() == token
    world.wait(LINK_S - 1)
    for manager in (world.use_cases, other):
        await manager.setup.check(token)
        with pytest.raises(AccessError):
            await manager.setup.check(token[:-1])
    await world.use_cases.setup.create(token, name="ann", password=PASSWORD)
    for manager in (world.use_cases, other):
        with pytest.raises(AccessError):
            await manager.setup.create(token, name="eve", password=PASSWORD)
        assert await manager.setup.open() is None
    assert [user.name for user in await world.store.users.list()] == ["ann"]


async def test_a_set_up_link_that_has_expired_does_not_come_back(world: World, other: UseCases):
    token = await world.use_cases.setup.open()
    world.wait(LINK_S)
    latest = await other.setup.open()
    assert latest != token
    assert await world.use_cases.setup.open() == latest
    with pytest.raises(AccessError):
        await world.use_cases.setup.check(token)


async def test_a_set_up_link_of_an_earlier_release_is_replaced_since_nobody_could_print_it(
    world: World, other: UseCases
):
    kept = {"token_hash": hash_token("made by chance"), "expires_s": world.now[0] + LINK_S}
    await world.store.meta.set(SETUP_LINK, msgspec.json.encode(kept))
    await world.use_cases.setup.check("made by chance")
    token = await other.setup.open()
    assert token != "made by chance"
    await world.use_cases.setup.check(token)


async def test_a_session_that_is_used_at_one_manager_is_not_ended_as_unused_by_another(
    world: World, other: UseCases
):
    token = await sign_in(world)
    assert await other.sessions.find(token) is not None
    for _ in range(5):
        world.wait(IDLE_S / 2)
        assert await world.use_cases.sessions.find(token) is not None
    assert await other.sessions.find(token) is not None
    world.elapsed[0] += IDLE_S
    assert await other.sessions.find(token) is None
