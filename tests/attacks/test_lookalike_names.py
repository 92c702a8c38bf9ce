"""Attacks by names: who may make users, programs, roles or nodes makes none that an audit log or a list shows like another."""

import time

import pytest

from common.api.codes import Role
from common.errors import ConflictError, InvalidInputError
from manager.domain.likeness import likeness
from manager.store.tables.content import oauth_client, user
from tests.integration.infinity_api.platform import CONFIGURATION, LOCATIONS, WORKERS, management, worker
from tests.unit.usecases.conftest import World
from tests.unit.usecases.conftest import world as world  # noqa: PLC0414 - a fixture
from tests.unit.usecases.users.conftest import PASSWORD
from tests.unit.usecases.users.conftest import hasher as hasher  # noqa: PLC0414 - a fixture

LIKE_ADA = ["Ada", "ADA", "ada."]
LIKE_OPS = ["ops", "Ops", "OPS.", "\uff2fps", "op\ufe0fs", "op\u034fs", "ops\U000e0100", "ops\u2800"]
NEVER_DRAWN = [
    *(0xAD, 0x34F, 0x61C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0),
    *(
        each
        for first, last in ((0x180B, 0x180F), (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F))
        for each in range(first, last + 1)
    ),
    *(
        each
        for first, last in ((0xFE00, 0xFE0F), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3))
        for each in range(first, last + 1)
    ),
    *range(0x1D173, 0x1D17B),
    *range(0xE0000, 0xE1000),
]
"""DerivedCoreProperties.txt of Unicode, Default_Ignorable_Code_Point."""


def test_what_is_never_drawn_makes_no_other_name_of_one_wherever_it_stands():
    shapes = ("{}ops", "o{}ps", "ops{}", "ops{}.")
    assert [
        hex(code) for code in NEVER_DRAWN for shape in shapes if likeness(shape.format(chr(code))) != "ops"
    ] == []
    # nor by keeping a letter from its accent
    assert [hex(code) for code in NEVER_DRAWN if likeness(f"o{chr(code)}\u0308ps") != "\u00f6ps"] == []


@pytest.mark.parametrize("name", LIKE_ADA)
async def test_no_user_is_made_beside_one_who_looks_the_same(world: World, hasher: object, name: str):
    users = world.use_cases.users
    with pytest.raises(ConflictError, match=r"'ada' already exists, and .* looks like it"):
        await users.add(name, role=Role.ADMINISTRATOR, password=PASSWORD, actor="ada")
    assert [each.name for each in await users.list()] == ["ada"]


@pytest.mark.parametrize("name", ["console", "Console", "console."])
async def test_no_user_is_called_as_who_works_on_the_machine_itself(world: World, hasher: object, name: str):
    with pytest.raises(InvalidInputError, match="audit log") as caught:
        await world.use_cases.users.add(name, role=Role.OPERATOR, password=PASSWORD, actor="ada")
    assert caught.value.field == "name"


async def test_users_who_looked_the_same_before_go_on_as_they_were(world: World, hasher: object):
    users, now_s = world.use_cases.users, time.time()
    async with world.store.users._database.write() as connection:
        values = {"role": "operator", "password_hash": hasher.hash(PASSWORD), "created_s": now_s}
        for name in ("Ada", "ADA"):
            await connection.execute(user.insert().values(name=name, **values))
    for name in ("ada", "Ada", "ADA"):
        assert (await users.passwords.prove(name, PASSWORD, address="192.0.2.9")).user.name == name
    await users.set_role("Ada", role=Role.READ_ONLY, actor="ada")
    await users.set_password("ADA", password="another long Password 1", actor="ada")
    await users.remove("Ada", actor="ada")
    assert [each.name for each in await users.list()] == ["ADA", "ada"]


@pytest.mark.parametrize("name", LIKE_OPS)
async def test_no_program_role_or_node_is_made_beside_one_that_looks_the_same(tmp_path, name: str):
    async with management(tmp_path) as client:
        await client.post(LOCATIONS, {"name": "Oslo"})
        program = {"client_name": "ops", "role": f"{CONFIGURATION}/role/1/"}
        first = {
            "oauth2_client": program,
            "role": {"name": "ops", "permissions": []},
            "worker_vm": worker(1, name="ops"),
        }
        second = {
            "oauth2_client": program | {"client_name": name},
            "role": {"name": name, "permissions": []},
            "worker_vm": worker(2, name=name),
        }
        for resource, body in first.items():
            at = WORKERS if resource == "worker_vm" else f"{CONFIGURATION}/{resource}/"
            assert (await client.call("POST", at, body)).status == 201, resource
            refused = await client.call("POST", at, second[resource])
            assert refused.status == 400, resource
            (said,) = refused.json[resource].values()
            assert "already exists" in said[0]


async def test_programs_that_looked_the_same_before_go_on_as_they_were(tmp_path):
    async with management(tmp_path) as client:
        role = f"{CONFIGURATION}/role/1/"
        made = (
            await client.call("POST", f"{CONFIGURATION}/oauth2_client/", {"client_name": "ops", "role": role})
        ).location
        async with client.api.context.store.clients._database.write() as connection:
            row = (await connection.execute(oauth_client.select())).mappings().one()
            twin = {**row, "id": None, "name": "Ops", "client_id": "0" * 32}
            await connection.execute(
                oauth_client.insert().values(**{key: value for key, value in twin.items() if key != "id"})
            )
        changed = {"client_name": "ops", "role": f"{CONFIGURATION}/role/2/"}
        assert (await client.call("PATCH", made, changed)).status == 202
        assert (await client.get(made))["role"] == f"{CONFIGURATION}/role/2/"
