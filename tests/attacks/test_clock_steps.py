"""Setting the clock brings nothing back: no session, no access token, no spent assertion; and it makes nobody wait."""

import asyncio
from itertools import pairwise

import pytest

from common.api.codes import Role
from common.errors import AccessError
from common.ids import MANAGEMENT_NODE
from manager.domain.callers import Maker
from manager.domain.model import UserRecord
from manager.domain.renewal.records import ChallengeKind
from manager.store.manager_tokens import ManagerTokenRecord
from manager.store.meta import VALUE
from manager.usecases.clients import ACCESS_S, FORGET_EVERY_S
from manager.usecases.renewal.ports import NoCas, wake_nobody
from manager.usecases.sessions import CLOCK, CLOCK_CHECK_S, IDLE_S, LIFE_S, SET_BACK_S, SessionUseCases
from manager.usecases.setup import LINK_S
from manager.usecases.usecases import UseCases
from tests import pki
from tests.fakes.lead import FakeLead
from tests.oauth import claims, public_pem, sign
from tests.unit.usecases.conftest import World, world
from tests.unit.usecases.test_unnoted import everything

__all__ = ["world"]  # a fixture

HERE = "192.0.2.9"
HOUR_S = 3600.0
PASSWORD = "copper horse battery"
KEY = pki.make_key()


async def signed_in(world: World) -> str:
    user: UserRecord = await world.use_cases.users.add(
        "ada", role=Role.OPERATOR, password=PASSWORD, actor="console"
    )
    return await world.use_cases.sessions.start(user, address=HERE)


async def registered(world: World) -> str:
    await world.store.nodes.add(
        MANAGEMENT_NODE, "management", names=["manager.example.com"], addresses=[], now_s=0
    )
    record = await world.use_cases.clients.add(
        "ci", role=Role.OPERATOR, public_key=public_pem(KEY), actor="console"
    )
    return record.client_id


async def assert_spent(world: World, assertion: str) -> None:
    with pytest.raises(AccessError):
        await world.use_cases.clients.new_token(assertion, address=HERE)


@pytest.mark.parametrize("lasting_s", [IDLE_S, LIFE_S])
async def test_a_session_that_was_over_stays_over_when_the_clock_is_set_back(world: World, lasting_s: float):
    sessions, token = world.use_cases.sessions, await signed_in(world)
    world.now[0] += lasting_s + 1
    assert await sessions.find(token) is None
    world.now[0] -= lasting_s + 1
    assert await sessions.find(token) is None


async def test_a_session_ends_in_time_though_the_clock_is_set_back_again_and_again(world: World):
    sessions, token = world.use_cases.sessions, await signed_in(world)
    passed_s = 0.0
    while await sessions.find(token) is not None:
        world.elapsed[0] += IDLE_S / 2
        passed_s += IDLE_S / 2
    print(f"a session in use ended after {passed_s / HOUR_S:.2f} h while the clock stood still")
    assert passed_s == LIFE_S
    token = await sessions.start((await world.store.users.get("ada"))[0], address=HERE)
    world.elapsed[0] += IDLE_S
    world.now[0] -= HOUR_S
    assert await sessions.find(token) is None


async def test_what_was_measured_before_a_restart_ends_if_the_clock_was_set_back_meanwhile(world: World):
    token, client_id = await signed_in(world), await registered(world)
    access = await world.use_cases.clients.new_token(sign(KEY, claims(client_id, world.now[0])), address=HERE)
    await world.use_cases.sessions.distrust_clock()
    world.now[0] -= SET_BACK_S - 1
    again = UseCases(world.use_cases._context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind))
    await again.sessions.distrust_clock()
    assert await again.sessions.find(token) is not None
    world.now[0] -= SET_BACK_S + 1
    again = UseCases(world.use_cases._context, cas=NoCas(), wake=wake_nobody, challenges=tuple(ChallengeKind))
    await again.sessions.distrust_clock()
    assert await again.sessions.find(token) is None
    with pytest.raises(AccessError):
        await again.clients.by_token(access, address=HERE)
    fresh = await again.sessions.start((await world.store.users.get("ada"))[0], address=HERE)
    await again.sessions.distrust_clock()
    assert await again.sessions.find(fresh) is not None


async def test_an_api_token_that_expired_stays_so_when_the_clock_is_set_back_a_while_later(world: World):
    await signed_in(world)
    users, sessions = world.use_cases.users, world.use_cases.sessions
    short, _ = await users.new_token("ada", label="short", days=1, scope=None, actor="ada")
    long, _ = await users.new_token("ada", label="long", days=300, scope=None, actor="ada")
    began_s = world.now[0]
    # ahead for one look, which ends none
    for now_s in (began_s, began_s + 2 * 86400, began_s + 60):
        world.now[0] = now_s
        await sessions.distrust_clock()
    assert (await users.by_token(short, address=HERE)).user.name == "ada"
    for hours in (25, 26):
        world.now[0] = began_s + hours * HOUR_S
        await sessions.distrust_clock()
    world.now[0] = began_s + 120
    with pytest.raises(AccessError):
        await users.by_token(short, address=HERE)
    assert (await users.by_token(long, address=HERE)).user.name == "ada"


async def test_what_somebody_may_join_with_ends_if_the_clock_was_set_back(world: World):
    await world.store.nodes.add("n1.example.com", "conferencing", names=[], addresses=[], now_s=0)
    keep = {"created_by": "ada", "maker": Maker(), "expires_s": world.now[0] + HOUR_S, "now_s": world.now[0]}
    await world.store.nodes.add_join_token("n1.example.com", secret_hash="a" * 64, **keep)
    token = ManagerTokenRecord(secret_hash="b" * 64, tells_database=False, expires_s=world.now[0] + HOUR_S)
    await world.store.manager_tokens.add(token, now_s=world.now[0])
    for step_s in (0, SET_BACK_S - 1):
        world.now[0] -= step_s
        await world.use_cases.sessions.distrust_clock()
        assert await world.store.nodes.join_tokens(None, now_s=world.now[0])
        assert await world.store.manager_tokens.find(token.secret_hash)
    world.now[0] -= SET_BACK_S + 1
    await world.use_cases.sessions.distrust_clock()
    assert not await world.store.nodes.join_tokens(None, now_s=world.now[0])
    assert not await world.store.manager_tokens.find(token.secret_hash)


async def test_many_small_steps_back_count_like_one_that_is_as_long(world: World):
    sessions, token = world.use_cases.sessions, await signed_in(world)
    await sessions.distrust_clock()
    for number in range(10):
        assert await sessions.find(token) is not None, number
        world.now[0] -= SET_BACK_S / 9
        await sessions.distrust_clock()
    assert await sessions.find(token) is None


async def test_the_set_up_link_ends_if_the_clock_was_set_back_and_the_next_start_prints_another(world: World):
    setup, sessions = world.use_cases.setup, world.use_cases.sessions
    token = await setup.open()
    await sessions.distrust_clock()
    world.now[0] += LINK_S
    await sessions.distrust_clock()
    for step_s in (0, LINK_S):
        world.now[0] -= step_s
        await sessions.distrust_clock()
        with pytest.raises(AccessError, match="the clock was set back"):
            await setup.check(token)
    again = await setup.open()
    assert again != token
    await setup.check(again)
    with pytest.raises(AccessError):
        await setup.check(token)


async def test_a_look_at_the_clock_writes_one_row_and_asks_for_no_right_again(world: World):
    await signed_in(world)
    await world.use_cases.users.new_token("ada", label="l", days=1, scope=None, actor="ada")
    before: list[dict[str, list[tuple[object, ...]]]] = []
    rights = world.store.rights_revision
    for _ in range(3):
        await world.use_cases.sessions.distrust_clock()
        before.append(await everything(world.store._database))
        world.wait(CLOCK_CHECK_S)
    for one, other in pairwise(before):
        changed = [row for name in one for row in set(other[name]) ^ set(one[name])]
        assert [row[0] for row in changed] == [f"{VALUE}{CLOCK}"] * 2
    assert world.store.rights_revision == rights


async def test_the_manager_that_leads_looks_each_minute_and_no_other(world: World, monkeypatch):
    looked, turns, lead = [], iter([True, False, True]), FakeLead()

    async def minute(seconds: float) -> None:
        assert seconds == CLOCK_CHECK_S
        lead.is_ours = next(turns, None)
        if lead.is_ours is None:
            raise asyncio.CancelledError

    async def look(_self: SessionUseCases) -> None:
        looked.append(lead.is_ours)

    monkeypatch.setattr(asyncio, "sleep", minute)
    monkeypatch.setattr(SessionUseCases, "distrust_clock", look)
    with pytest.raises(asyncio.CancelledError):
        await world.use_cases.sessions.run_clock(lead)
    assert looked == [True, True]


async def test_an_access_token_ends_in_time_whatever_the_clock_says(world: World):
    client_id = await registered(world)
    token = await world.use_cases.clients.new_token(sign(KEY, claims(client_id, world.now[0])), address=HERE)
    assert (await world.use_cases.clients.by_token(token, address=HERE)).user.name == "oauth:ci"
    world.elapsed[0] += ACCESS_S
    for step_s in (0, -HOUR_S, HOUR_S):
        world.now[0] += step_s
        with pytest.raises(AccessError):
            await world.use_cases.clients.by_token(token, address=HERE)


async def test_a_spent_assertion_is_not_accepted_again_however_the_clock_is_set(world: World):
    client_id, began_s = await registered(world), world.now[0]
    spent = sign(KEY, claims(client_id, began_s))
    await world.use_cases.clients.new_token(spent, address=HERE)
    # ahead for long enough to have everything forgotten that has expired by then
    world.now[0] = began_s + 3 * HOUR_S
    for number in range(3):
        fresh = sign(KEY, claims(client_id, world.now[0], jti=f"ahead {number}"))
        await world.use_cases.clients.new_token(fresh, address=HERE)
        world.elapsed[0] += FORGET_EVERY_S
        world.now[0] += FORGET_EVERY_S
    world.now[0] = began_s + 60
    await assert_spent(world, spent)
    # and who makes one that expires later is let in at once
    later = sign(KEY, claims(client_id, world.now[0] + 59, jti="later"))
    await world.use_cases.clients.new_token(later, address=HERE)
    await assert_spent(world, later)


async def test_a_clock_that_is_ahead_for_a_moment_keeps_no_client_out(world: World):
    client_id, began_s = await registered(world), world.now[0]
    spent = sign(KEY, claims(client_id, began_s))
    await world.use_cases.clients.new_token(spent, address=HERE)
    world.now[0] = began_s + 3 * HOUR_S
    ahead = sign(KEY, claims(client_id, world.now[0], jti="ahead"))
    await world.use_cases.clients.new_token(ahead, address=HERE)
    world.now[0] = began_s + 60
    await assert_spent(world, spent)
    for number, lifetime_s in enumerate((60, 600, 3600)):
        short = claims(client_id, world.now[0], exp=int(world.now[0]) + lifetime_s, jti=f"short {number}")
        await world.use_cases.clients.new_token(sign(KEY, short), address=HERE)


async def test_alarms_are_not_called_silent_because_the_clock_was_set(world: World):
    for step_s in (HOUR_S, -2 * HOUR_S):
        world.now[0] += step_s
        assert await world.use_cases.alarms.active() == []
