"""Somebody can always administer, and the link that made the first administrator is good once."""

import asyncio
from pathlib import Path

import pytest

from common.api.codes import Role
from common.errors import AccessError, ConflictError
from manager.usecases.workers import Workers
from tests.integration.api import USERS, ApiClient, real_api
from tests.integration.web import visitor
from tests.unit.usecases.conftest import World, world

__all__ = ["world"]  # a fixture

PASSWORD = "copper horse battery"


@pytest.fixture
async def api(tmp_path: Path):
    # never used here, so no process is started
    async with Workers() as workers, real_api(tmp_path, workers) as client:
        yield client


async def administrators(api: ApiClient) -> list[str]:
    return [each.name for each in await api.use_cases.users.list() if each.role is Role.ADMINISTRATOR]


async def test_the_last_administrator_neither_goes_nor_steps_down_by_api_or_page(api: ApiClient):
    name = USERS[Role.ADMINISTRATOR]
    assert (await api.call("DELETE", f"users/{name}"))[0] == 409
    assert (await api.call("PUT", f"users/{name}/role", {"role": "read-only"}))[0] == 409
    async with visitor(api, Role.ADMINISTRATOR) as browser:
        for path, fields in (
            (f"/users/{name}/delete", {}),
            (f"/users/{name}/remove", {}),
            (f"/users/{name}/role", {"role": "read-only"}),
        ):
            assert (await browser.post(path, fields)).status in {404, 405, 409}, path
    assert await administrators(api) == [name]


async def test_of_two_administrators_who_remove_or_demote_each_other_at_once_one_is_left(api: ApiClient):
    users = api.use_cases.users
    for remove in (True, False):
        await asyncio.gather(
            *(
                users.add(each, role=Role.ADMINISTRATOR, password=PASSWORD, actor="test")
                for each in (f"eve{remove}", f"kim{remove}")
            )
        )
        others = [each for each in await administrators(api) if each not in {f"eve{remove}", f"kim{remove}"}]
        for each in others:
            await users.remove(each, actor=f"eve{remove}")

        async def act(name: str, actor: str, *, remove: bool = remove) -> None:
            if remove:
                await users.remove(name, actor=actor)
            else:
                await users.set_role(name, role=Role.READ_ONLY, actor=actor)

        done = await asyncio.gather(
            act(f"eve{remove}", f"kim{remove}"), act(f"kim{remove}", f"eve{remove}"), return_exceptions=True
        )
        assert sorted(type(each) for each in done if each is not None) == [ConflictError]
        assert len(await administrators(api)) == 1


async def test_a_set_up_link_is_good_once_even_if_every_user_goes_from_the_store(world: World):
    setup = world.use_cases.setup
    token = await setup.open()
    await setup.create(token, name="first", password=PASSWORD)
    await world.store.users.remove("first")
    assert await setup.is_needed()
    with pytest.raises(AccessError):
        await setup.check(token)
    with pytest.raises(AccessError):
        await setup.create(token, name="thief", password=PASSWORD)


async def test_a_set_up_link_ends_with_a_user_who_is_added_otherwise(world: World):
    token = await world.use_cases.setup.open()
    await world.use_cases.users.add("ada", role=Role.READ_ONLY, password=PASSWORD, actor="console")
    await world.store.users.remove("ada")
    with pytest.raises(AccessError):
        await world.use_cases.setup.create(token, name="thief", password=PASSWORD)


async def test_of_two_who_use_the_link_at_once_one_is_the_administrator(world: World):
    token = await world.use_cases.setup.open()
    made = await asyncio.gather(
        *(world.use_cases.setup.create(token, name=name, password=PASSWORD) for name in ("one", "two")),
        return_exceptions=True,
    )
    assert len(await world.use_cases.users.list()) == 1
    assert sum(isinstance(each, ConflictError | AccessError) for each in made) == 1
