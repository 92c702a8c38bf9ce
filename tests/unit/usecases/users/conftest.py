"""A user, and a hasher that counts."""

import pytest
from argon2 import PasswordHasher

from common.api.codes import Role
from common.errors import (
    AccessError,
    Reason,
)
from manager.usecases.users import UserUseCases
from tests.unit.usecases.conftest import World

PASSWORD = "Summer2024!Berlin"
"""One that may be taken, and that guessers could find by comparing."""
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
    users, counting = world.use_cases.users, CountingHasher()
    users.passwords._hasher = counting
    users.passwords._dummy = counting.hash("nobody's")
    await users.add("ada", role=Role.OPERATOR, password=PASSWORD, actor="console")
    return counting


@pytest.fixture
def users(world: World, hasher: CountingHasher) -> UserUseCases:
    return world.use_cases.users


async def refusal(
    users: UserUseCases, name: str, password: str, address: str = HERE, device: str = ""
) -> Reason:
    with pytest.raises(AccessError) as caught:
        await users.passwords.prove(name, password, address=address, device=device)
    return caught.value.reason
