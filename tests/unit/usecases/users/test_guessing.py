"""Guesses at passwords are slowed down, and nobody is locked out by them."""

import asyncio
from collections import Counter

import pytest

from common.api.codes import Role
from common.errors import (
    AccessError,
    Reason,
    ThrottledError,
)
from manager.usecases.connections import ClientConnection
from manager.usecases.devices import DEVICE_S
from manager.usecases.remembered import VERIFIED_S
from manager.usecases.throttle import DELAY_MAX_S, FREE_FAILURES, delay_s
from manager.usecases.users import UserUseCases
from tests.pki import DAY_S
from tests.unit.usecases.conftest import World
from tests.unit.usecases.users.conftest import HERE, PASSWORD, CountingHasher, refusal


async def fail(users: UserUseCases, name: str, times: int, address: str = HERE, device: str = "") -> None:
    for _ in range(times):
        assert await refusal(users, name, "guess", address, device) is Reason.UNAUTHENTICATED


async def test_a_user_who_fails_waits_longer_each_time_and_nobody_else_does(
    world: World, users: UserUseCases, hasher: CountingHasher
):
    await fail(users, "ada", FREE_FAILURES)
    waits = []
    for _ in range(8):
        with pytest.raises(ThrottledError) as caught:
            await users.passwords.prove("ada", PASSWORD, address=HERE)
        waits.append(caught.value.retry_after_s)
        world.wait(caught.value.retry_after_s)
        await fail(users, "ada", 1)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert hasher.verified == FREE_FAILURES + 8
    await users.passwords.prove("ada", PASSWORD, address="192.0.2.10")
    assert await refusal(users, "bob", PASSWORD) is Reason.UNAUTHENTICATED
    world.wait(DELAY_MAX_S)
    await users.passwords.prove("ada", PASSWORD, address=HERE)
    assert users.passwords.throttle.wait_s("ada", HERE) == 0


async def test_a_password_that_was_verified_elsewhere_waits_as_any_guess_does(users: UserUseCases):
    await users.passwords.prove("ada", PASSWORD, address=HERE)
    for _ in range(FREE_FAILURES):
        with pytest.raises(AccessError):
            await users.passwords.prove("ada", "a wrong password", address="192.0.2.10")
    with pytest.raises(ThrottledError):
        await users.passwords.prove("ada", PASSWORD, address="192.0.2.10")


async def test_a_password_that_was_verified_a_moment_ago_passes_on_its_connection_while_others_guess_from_the_same_source(
    world: World, users: UserUseCases, hasher: CountingHasher
):
    own = ClientConnection()
    await users.passwords.prove("ada", PASSWORD, address=HERE, connection=own)
    await fail(users, "ada", FREE_FAILURES)
    for _ in range(5):
        # used again before it is forgotten, as a client does that asks each minute
        world.wait(VERIFIED_S - 1)
        hashed = hasher.verified
        await users.passwords.prove("ada", PASSWORD, address=HERE, connection=own)
        assert hasher.verified == hashed
        assert await refusal(users, "ada", "guess") is Reason.UNAUTHENTICATED
        assert await refusal(users, "ada", "guess") is Reason.BUSY


async def test_a_few_failures_make_no_client_wait_whose_password_is_remembered_for_the_address(
    users: UserUseCases, hasher: CountingHasher
):
    await users.passwords.prove("ada", PASSWORD, address=HERE, connection=ClientConnection())
    await fail(users, "ada", FREE_FAILURES - 1)
    hashed = hasher.verified
    await users.passwords.prove("ada", PASSWORD, address=HERE, connection=ClientConnection())
    assert hasher.verified == hashed


async def test_a_right_guess_among_too_many_is_not_told_from_a_wrong_one(users: UserUseCases):
    own = ClientConnection()
    await users.passwords.prove("ada", PASSWORD, address=HERE, connection=own)
    await fail(users, "ada", FREE_FAILURES)
    for connection in (None, ClientConnection()):
        with pytest.raises(ThrottledError):
            await users.passwords.prove("ada", PASSWORD, address=HERE, connection=connection)


async def test_guesses_at_a_remembered_password_are_counted_before_any_of_them_is_hashed(
    users: UserUseCases, hasher: CountingHasher
):
    own = ClientConnection()
    await users.passwords.prove("ada", PASSWORD, address=HERE, connection=own)
    guesses = [refusal(users, "ada", f"guess {number}") for number in range(60)]
    right = users.passwords.prove("ada", PASSWORD, address=HERE, connection=ClientConnection())
    *reasons, shown = await asyncio.gather(*guesses, right, return_exceptions=True)
    assert hasher.verified <= FREE_FAILURES + 2
    assert reasons.count(Reason.BUSY) >= 60 - FREE_FAILURES - 1
    assert isinstance(shown, ThrottledError)


async def test_a_connection_on_which_somebody_guesses_proves_nothing_any_more(users: UserUseCases):
    of_a_proxy = ClientConnection()
    await users.passwords.prove("ada", PASSWORD, address=HERE, connection=of_a_proxy)
    await fail(users, "ada", FREE_FAILURES)
    assert await refusal_on(users, of_a_proxy, "guess") is Reason.BUSY
    assert await refusal_on(users, of_a_proxy, PASSWORD) is Reason.BUSY


async def refusal_on(users: UserUseCases, connection: ClientConnection, password: str) -> Reason:
    with pytest.raises(AccessError) as caught:
        await users.passwords.prove("ada", password, address=HERE, connection=connection)
    return caught.value.reason


async def test_guesses_within_a_session_are_counted_together_wherever_they_come_from(users: UserUseCases):
    for number in range(FREE_FAILURES + 5):
        with pytest.raises(AccessError) as caught:
            await users.passwords.prove("ada", "guess", address=f"198.51.100.{number}", session="stolen")
        expected = Reason.UNAUTHENTICATED if number < FREE_FAILURES else Reason.BUSY
        assert caught.value.reason is expected
    with pytest.raises(ThrottledError):
        await users.passwords.prove("ada", PASSWORD, address="203.0.113.1", session="stolen")
    await users.passwords.prove("ada", PASSWORD, address="203.0.113.1", session="own")


@pytest.mark.slow
async def test_whoever_guesses_beside_a_client_that_asks_all_the_time_has_a_hundred_guesses_an_hour(
    world: World, users: UserUseCases, hasher: CountingHasher, record_property
):
    own, guessers = ClientConnection(), ClientConnection()
    await users.passwords.prove("ada", PASSWORD, address=HERE, connection=own)
    hashed, hour_s, answered = hasher.verified, 3600, 0
    for _ in range(hour_s):
        world.wait(1)
        await users.passwords.prove("ada", PASSWORD, address=HERE, connection=own)
        for _ in range(3):
            with pytest.raises(AccessError) as caught:
                await users.passwords.prove("ada", "guess", address=HERE, connection=guessers)
            answered += caught.value.reason is Reason.UNAUTHENTICATED
    line = f"{answered} of {3 * hour_s} guesses within an hour were answered"
    record_property("guesses", line)
    assert answered == hasher.verified - hashed <= 100


async def test_a_device_where_the_user_signed_in_before_does_not_wait_for_others_and_counts_by_itself(
    world: World, users: UserUseCases
):
    device = await users.passwords.new_device("ada")
    await fail(users, "ada", FREE_FAILURES)
    assert await refusal(users, "ada", PASSWORD) is Reason.BUSY
    await users.passwords.prove("ada", PASSWORD, address=HERE, device=device)
    users.passwords.forget()
    await fail(users, "ada", FREE_FAILURES, device=device)
    assert await refusal(users, "ada", PASSWORD, device=device) is Reason.BUSY
    assert await refusal(users, "ada", PASSWORD, "203.0.113.7", device) is Reason.BUSY
    await users.passwords.prove("ada", PASSWORD, address=HERE, device=await users.passwords.new_device("ada"))


async def test_a_device_is_one_users_and_ends_with_the_password_and_with_time(
    world: World, users: UserUseCases
):
    await users.add("bob", role=Role.OPERATOR, password=PASSWORD, actor="console")
    device = await users.passwords.new_device("ada")
    made, nonce, mac = device.split(".")
    await fail(users, "bob", FREE_FAILURES)
    await fail(users, "ada", FREE_FAILURES)
    assert await refusal(users, "bob", PASSWORD, device=device) is Reason.BUSY
    for wrong in (
        "",
        "..",
        "x.y.z",
        f"{int(made) + 1}.{nonce}.{mac}",
        f"{made}.{nonce}0.{mac}",
        f"{made}.{nonce}.{mac[:-1]}",
        f"{made}.{nonce}.é{mac}",
        device + "x" * 10_000,
    ):
        assert await refusal(users, "ada", PASSWORD, device=wrong) is Reason.BUSY, wrong
    await users.set_password("ada", password="another long password", actor="bob")
    assert await refusal(users, "ada", "another long password", device=device) is Reason.BUSY
    device = await users.passwords.new_device("ada")
    world.now[0] += DEVICE_S + 1
    world.elapsed[0] -= DAY_S
    assert await refusal(users, "ada", "another long password", device=device) is Reason.BUSY


async def test_no_step_of_the_clock_makes_a_wait_longer_or_shorter(world: World, users: UserUseCases):
    await fail(users, "ada", FREE_FAILURES)
    for step_s in (30 * DAY_S, -60 * DAY_S):
        world.now[0] += step_s
        with pytest.raises(ThrottledError) as caught:
            await users.passwords.prove("ada", PASSWORD, address=HERE)
        assert caught.value.retry_after_s == delay_s(FREE_FAILURES)


async def test_an_ipv6_host_has_no_more_guesses_for_having_many_addresses(users: UserUseCases):
    for number in range(FREE_FAILURES):
        await refusal(users, "ada", "guess", f"2001:db8:0:1::{number:x}")
    assert await refusal(users, "ada", PASSWORD, "2001:db8:0:1:ffff::1") is Reason.BUSY
    await users.passwords.prove("ada", PASSWORD, address="2001:db8:0:2::1")


async def test_guessing_one_user_from_many_sources_locks_nobody_out(users: UserUseCases):
    for number in range(200):
        assert await refusal(users, "ada", "guess", f"198.51.100.{number}") is Reason.UNAUTHENTICATED
    await users.passwords.prove("ada", PASSWORD, address="203.0.113.1")


async def test_a_flood_of_names_is_not_remembered_without_end(users: UserUseCases, monkeypatch):
    monkeypatch.setattr("manager.usecases.failure_counters.REMEMBERED_MAX", 20)
    for number in range(60):
        await refusal(users, f"{number}" + "x" * 10_000, "guess", f"198.51.100.{number}")
    throttle = users.passwords.throttle
    assert len(throttle._pairs.here) == throttle.remembered == 20
    assert len(throttle._networks.here) == 20
    assert max(len(user) + len(source) for user, source in throttle._pairs.here._alike) < 200


async def test_who_failed_often_is_not_forgotten_because_many_others_fail_once(
    users: UserUseCases, monkeypatch
):
    monkeypatch.setattr("manager.usecases.failure_counters.REMEMBERED_MAX", 20)
    await fail(users, "ada", FREE_FAILURES - 1)
    for number in range(60):
        await refusal(users, f"invented{number}", "guess")
    await fail(users, "ada", 1)
    assert await refusal(users, "ada", PASSWORD) is Reason.BUSY


async def test_guesses_at_an_invented_name_are_stopped_as_those_at_a_users_are_in_a_crowd_too(
    users: UserUseCases, hasher: CountingHasher
):
    names = ["ada", "nobody", *(f"invented{number}" for number in range(40))]
    guesses = [(name, refusal(users, name, f"guess {number}")) for number in range(15) for name in names]
    reasons = await asyncio.gather(*(guess for _, guess in guesses))
    shown = {
        name: Counter(why for (of, _), why in zip(guesses, reasons, strict=True) if of == name)
        for name in names
    }
    expected = {Reason.UNAUTHENTICATED: FREE_FAILURES, Reason.BUSY: 5}
    assert shown == dict.fromkeys(names, expected)
    assert hasher.verified < len(guesses) / 4


async def test_where_people_sign_in_from_goes_before_new_addresses_and_new_networks_before_guessing_ones(
    users: UserUseCases,
):
    await users.passwords.prove("ada", PASSWORD, address=HERE)
    await refusal(users, "ada", "guess", HERE)
    await refusal(users, "ada", "guess", "198.18.0.1")
    priority_of = users.passwords.throttle.priority_of
    in_order = [HERE, "203.0.113.1", "198.18.1.1", "198.18.0.2", "198.18.0.1"]
    merits = [priority_of(source) for source in in_order]
    assert merits == sorted(set(merits))
