import asyncio

import pytest
from argon2 import PasswordHasher

from common.errors import AccessError, ConflictError, InvalidInputError, NotFoundError, Reason
from manager.domain.model import Role
from manager.operations.throttle import FAILURES_PER_ADDRESS, FAILURES_PER_USER, LOCK_S
from manager.operations.users import CACHE_S, PASSWORD_MAX, UserOperations
from tests.pki import DAY_S
from tests.unit.operations.conftest import World

PASSWORD = "correct horse battery"
HERE = "192.0.2.9"


class CountingHasher:
    """Argon2 as cheap as it gets, counted."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def verify(self, hashed: str, password: str) -> bool:
        self.verified += 1
        return self._hasher.verify(hashed, password)


@pytest.fixture
async def hasher(world: World) -> CountingHasher:
    users, counting = world.operations.users, CountingHasher()
    users._hasher = counting
    users._dummy = counting.hash("nobody's")
    await users.add("ada", role=Role.OPERATOR, password=PASSWORD, actor="console")
    return counting


@pytest.fixture
def users(world: World, hasher: CountingHasher) -> UserOperations:
    return world.operations.users


async def refusal(users: UserOperations, name: str, password: str, address: str = HERE) -> Reason:
    with pytest.raises(AccessError) as caught:
        await users.by_password(name, password, address=address)
    return caught.value.reason


async def test_a_user_is_proven_by_the_password_and_nothing_else(users: UserOperations):
    assert (await users.by_password("ada", PASSWORD, address=HERE)).role is Role.OPERATOR
    for name, password in (("ada", PASSWORD + "x"), ("ada", ""), ("Ada", PASSWORD), ("bob", PASSWORD)):
        assert await refusal(users, name, password) is Reason.UNAUTHENTICATED


async def test_a_name_that_nobody_has_costs_as_much_as_a_wrong_password(
    users: UserOperations, hasher: CountingHasher
):
    await refusal(users, "nobody", PASSWORD)
    assert hasher.verified == 1


async def test_a_proven_password_is_not_hashed_again_for_a_while(
    world: World, users: UserOperations, hasher: CountingHasher
):
    for _ in range(3):
        await users.by_password("ada", PASSWORD, address=HERE)
    assert hasher.verified == 1
    await refusal(users, "ada", PASSWORD + "x")
    assert hasher.verified == 2
    world.wait(CACHE_S + 1)
    await users.by_password("ada", PASSWORD, address=HERE)
    assert hasher.verified == 3


async def test_a_changed_password_ends_what_was_remembered_of_the_old_one(
    world: World, users: UserOperations, hasher: CountingHasher
):
    await users.by_password("ada", PASSWORD, address=HERE)
    await world.store.users.set_password("ada", hasher.hash("another long password"))
    assert await refusal(users, "ada", PASSWORD) is Reason.UNAUTHENTICATED


async def test_guessing_from_one_address_is_stopped_there_and_only_there(
    world: World, users: UserOperations, hasher: CountingHasher
):
    for number in range(FAILURES_PER_ADDRESS):
        assert await refusal(users, f"user{number}", "guess") is Reason.UNAUTHENTICATED
    assert await refusal(users, "ada", PASSWORD) is Reason.BUSY
    assert hasher.verified == FAILURES_PER_ADDRESS
    await users.by_password("ada", PASSWORD, address="192.0.2.10")
    world.wait(LOCK_S + 1)
    await users.by_password("ada", PASSWORD, address=HERE)


async def test_guesses_made_at_the_same_time_are_stopped_as_well(
    users: UserOperations, hasher: CountingHasher
):
    guesses = (refusal(users, "ada", f"guess {number}") for number in range(60))
    reasons = await asyncio.gather(*guesses)
    assert hasher.verified <= FAILURES_PER_ADDRESS + 2
    assert reasons.count(Reason.BUSY) >= 60 - FAILURES_PER_ADDRESS - 2


async def test_an_ipv6_host_has_no_more_guesses_for_having_many_addresses(users: UserOperations):
    for number in range(FAILURES_PER_ADDRESS):
        await refusal(users, f"user{number}", "guess", f"2001:db8:0:1::{number:x}")
    assert await refusal(users, "ada", PASSWORD, "2001:db8:0:1:ffff::1") is Reason.BUSY
    await users.by_password("ada", PASSWORD, address="2001:db8:0:2::1")


async def test_guessing_one_user_from_many_addresses_is_stopped(users: UserOperations):
    for number in range(FAILURES_PER_USER):
        assert await refusal(users, "ada", "guess", f"198.51.100.{number}") is Reason.UNAUTHENTICATED
    assert await refusal(users, "ada", PASSWORD, "203.0.113.1") is Reason.BUSY


async def test_a_flood_of_names_is_not_remembered_without_end(users: UserOperations, monkeypatch):
    monkeypatch.setattr("manager.operations.throttle.REMEMBERED_MAX", 20)
    for number in range(60):
        await refusal(users, f"{number}" + "x" * 10_000, "guess", f"198.51.100.{number}")
    assert len(users.throttle._failures) == 20
    assert max(map(len, users.throttle._failures)) < 200


async def test_a_token_proves_its_user_until_it_expires(world: World, users: UserOperations):
    token, expires_s = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    assert expires_s == world.now[0] + 2 * DAY_S
    assert (await users.by_token(token, address=HERE)).user.name == "ada"
    with pytest.raises(AccessError):
        await users.by_token(token[:-1], address=HERE)
    world.wait(2 * DAY_S)
    with pytest.raises(AccessError):
        await users.by_token(token, address=HERE)


async def test_guessing_tokens_is_stopped(users: UserOperations):
    token, _ = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    for number in range(FAILURES_PER_ADDRESS):
        with pytest.raises(AccessError):
            await users.by_token(f"cct_{number}", address=HERE)
    with pytest.raises(AccessError) as caught:
        await users.by_token(token, address=HERE)
    assert caught.value.reason is Reason.BUSY


async def test_a_removed_user_is_out_at_once_with_password_and_tokens(users: UserOperations):
    token, _ = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    await users.by_password("ada", PASSWORD, address=HERE)
    await users.remove("ada", actor="root")
    assert await refusal(users, "ada", PASSWORD) is Reason.UNAUTHENTICATED
    with pytest.raises(AccessError):
        await users.by_token(token, address=HERE)


async def test_nobody_deletes_the_own_account(users: UserOperations):
    with pytest.raises(ConflictError, match="your own account"):
        await users.remove("ada", actor="ada")
    assert [each.name for each in await users.list()] == ["ada"]


async def test_there_is_always_an_administrator_left_even_if_two_remove_each_other_at_once(
    users: UserOperations,
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


async def test_what_cannot_be_a_user_is_refused_by_field(users: UserOperations):
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
    world: World, users: UserOperations, tmp_path
):
    token, _ = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"certcast" in kept or b"SQLite" in kept
    assert PASSWORD.encode() not in kept
    assert token.encode() not in kept
    assert token not in str(await world.store.audit.list())


async def test_a_new_password_takes_the_place_of_the_old(world: World):
    users = world.operations.users
    await users.add("bob", role=Role.OPERATOR, password="a long password", actor="ada")
    await users.set_password("bob", password="another long one", actor="ada")
    assert (await users.by_password("bob", "another long one", address="192.0.2.9")).name == "bob"
    with pytest.raises(AccessError):
        await users.by_password("bob", "a long password", address="192.0.2.9")
    with pytest.raises(InvalidInputError):
        await users.set_password("bob", password="short", actor="ada")
