"""API tokens prove their user until they expire."""

import pytest

from common.errors import (
    AccessError,
    Reason,
)
from manager.usecases.users import UserUseCases
from tests.pki import DAY_S
from tests.unit.usecases.conftest import World
from tests.unit.usecases.users.conftest import HERE, PASSWORD, refusal


async def test_a_token_proves_its_user_until_it_expires(world: World, users: UserUseCases):
    token, expires_s = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    assert expires_s == world.now[0] + 2 * DAY_S
    assert (await users.by_token(token, address=HERE)).user.name == "ada"
    with pytest.raises(AccessError):
        await users.by_token(token[:-1], address=HERE)
    world.wait(2 * DAY_S)
    with pytest.raises(AccessError):
        await users.by_token(token, address=HERE)


async def test_a_token_never_waits_whoever_guesses(users: UserUseCases):
    token, _ = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    for number in range(100):
        with pytest.raises(AccessError) as caught:
            await users.by_token(f"cct_{number}", address=HERE)
        # who holds one that has expired is told that, and not to wait
        assert caught.value.reason is Reason.UNAUTHENTICATED
    assert (await users.by_token(token, address=HERE)).user.name == "ada"


async def test_a_removed_user_is_out_at_once_with_password_and_tokens(users: UserUseCases):
    token, _ = await users.new_token("ada", label="ci", days=2, scope=None, actor="ada")
    await users.passwords.prove("ada", PASSWORD, address=HERE)
    await users.remove("ada", actor="root")
    assert await refusal(users, "ada", PASSWORD) is Reason.UNAUTHENTICATED
    with pytest.raises(AccessError):
        await users.by_token(token, address=HERE)
