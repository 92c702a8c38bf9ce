"""Passwords: how they prove a user, and what is remembered of them."""

import asyncio
import threading

import pytest

from common.api.codes import Role
from common.errors import (
    AccessError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    Reason,
)
from manager.usecases.passwords import PASSWORD_MAX
from manager.usecases.remembered import VERIFIED_S
from manager.usecases.throttle import FREE_FAILURES
from manager.usecases.users import UserUseCases
from tests.patience import PATIENCE_S
from tests.unit.usecases.conftest import World
from tests.unit.usecases.users.conftest import HERE, PASSWORD, CountingHasher, refusal


async def test_a_user_is_proven_by_the_password_and_nothing_else(users: UserUseCases):
    assert (await users.passwords.prove("ada", PASSWORD, address=HERE)).user.role is Role.OPERATOR
    for name, password in (("ada", PASSWORD + "x"), ("ada", ""), ("Ada", PASSWORD), ("bob", PASSWORD)):
        assert await refusal(users, name, password) is Reason.UNAUTHENTICATED


async def test_a_name_that_nobody_has_costs_as_much_as_a_wrong_password(
    users: UserUseCases, hasher: CountingHasher
):
    await refusal(users, "nobody", PASSWORD)
    assert hasher.verified == 1


async def test_a_proven_password_is_not_hashed_again_for_a_while(
    world: World, users: UserUseCases, hasher: CountingHasher
):
    for _ in range(3):
        await users.passwords.prove("ada", PASSWORD, address=HERE)
    assert hasher.verified == 1
    await refusal(users, "ada", PASSWORD + "x")
    assert hasher.verified == 2
    world.wait(VERIFIED_S + 1)
    await users.passwords.prove("ada", PASSWORD, address=HERE)
    assert hasher.verified == 3


async def test_a_changed_password_ends_what_was_remembered_of_the_old_one(
    world: World, users: UserUseCases, hasher: CountingHasher
):
    await users.passwords.prove("ada", PASSWORD, address=HERE)
    await world.store.users.set_password("ada", hasher.hash("another long password"))
    assert await refusal(users, "ada", PASSWORD) is Reason.UNAUTHENTICATED


async def test_guesses_made_at_the_same_time_are_stopped_as_well(users: UserUseCases, hasher: CountingHasher):
    guesses = (refusal(users, "ada", f"guess {number}") for number in range(60))
    reasons = await asyncio.gather(*guesses)
    assert hasher.verified <= FREE_FAILURES + 1
    assert reasons.count(Reason.BUSY) >= 60 - FREE_FAILURES - 1


async def test_a_password_that_is_too_long_costs_and_counts_as_much_as_a_wrong_one(
    users: UserUseCases, hasher: CountingHasher
):
    for number in range(FREE_FAILURES):
        assert await refusal(users, "ada", "x" * (PASSWORD_MAX + 1)) is Reason.UNAUTHENTICATED
        assert hasher.verified == number + 1
    assert await refusal(users, "ada", "x" * (PASSWORD_MAX + 1)) is Reason.BUSY


async def test_who_proved_a_password_that_is_replaced_meanwhile_is_nobody_from_then_on(
    world: World, users: UserUseCases, hasher: CountingHasher, monkeypatch
):
    verifies, may_go_on = threading.Event(), threading.Event()
    real, replaced = hasher.verify, hasher.hash("another long one")

    def slowly(hashed: str, password: str) -> bool:
        verifies.set()
        assert may_go_on.wait(PATIENCE_S)
        return real(hashed, password)

    monkeypatch.setattr(hasher, "verify", slowly)
    callers = world.use_cases.callers
    proving = asyncio.get_running_loop().create_task(
        callers.by_password("ada", PASSWORD, address=HERE, connection=None)
    )
    async with asyncio.timeout(PATIENCE_S):
        assert await asyncio.to_thread(verifies.wait, PATIENCE_S)
        await world.store.users.set_password("ada", replaced)
        may_go_on.set()
        caller = await proving
        with pytest.raises(AccessError, match="no longer valid"):
            await callers.again(caller)


async def test_nobody_deletes_the_own_account(users: UserUseCases):
    with pytest.raises(ConflictError, match="your own account"):
        await users.remove("ada", actor="ada")
    assert [each.name for each in await users.list()] == ["ada"]


async def test_there_is_always_an_administrator_left_even_if_two_remove_each_other_at_once(
    users: UserUseCases,
):
    for name in ("eve", "kim"):
        await users.add(name, role=Role.ADMINISTRATOR, password=PASSWORD, actor="console")
    done = await asyncio.gather(
        users.remove("eve", actor="kim"), users.remove("kim", actor="eve"), return_exceptions=True
    )
    assert sorted(type(each) for each in done if each is not None) == [ConflictError]
    (left,) = [each for each in await users.list() if each.role is Role.ADMINISTRATOR]
    for change in (
        users.remove(left.name, actor="client:terraform"),
        users.set_role(left.name, role=Role.OPERATOR, actor="client:terraform"),
    ):
        with pytest.raises(ConflictError, match=f"'{left.name}' is the last administrator"):
            await change
    assert left in await users.list()
    await users.remove("ada", actor=left.name)


async def test_what_cannot_be_a_user_is_refused_by_field(users: UserUseCases):
    for name, password, field in (
        ("", PASSWORD, "name"),
        ("a b", PASSWORD, "name"),
        ("../x", PASSWORD, "name"),
        ("x" * 151, PASSWORD, "name"),
        ("bob", "short", "password"),
        ("bob", "x" * (PASSWORD_MAX + 1), "password"),
    ):
        with pytest.raises(InvalidInputError) as caught:
            await users.add(name, role=Role.READ_ONLY, password=password, actor="ada")
        assert caught.value.field == field
    with pytest.raises(ConflictError):
        await users.add("ada", role=Role.READ_ONLY, password=PASSWORD, actor="ada")
    with pytest.raises(NotFoundError):
        await users.remove("bob", actor="ada")
    for days in (0, 3651):
        with pytest.raises(InvalidInputError):
            await users.new_token("ada", label="ci", days=days, scope=None, actor="ada")


async def test_neither_password_nor_token_is_in_the_store_or_the_audit_log(
    world: World, users: UserUseCases, tmp_path
):
    token, _ = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"certcast" in kept or b"SQLite" in kept
    assert PASSWORD.encode() not in kept
    assert token.encode() not in kept
    assert token not in str(await world.store.audit.list())


async def test_a_new_password_takes_the_place_of_the_old(world: World):
    users = world.use_cases.users
    await users.add("bob", role=Role.OPERATOR, password="a long password of mine", actor="ada")
    await users.set_password("bob", password="another long one", actor="ada")
    assert (await users.passwords.prove("bob", "another long one", address="192.0.2.9")).user.name == "bob"
    with pytest.raises(AccessError):
        await users.passwords.prove("bob", "a long password of mine", address="192.0.2.9")
    with pytest.raises(InvalidInputError):
        await users.set_password("bob", password="short", actor="ada")
