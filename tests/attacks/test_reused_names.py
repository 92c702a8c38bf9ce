"""What was shown of one node confirms nothing about another that has its name by now."""

from collections.abc import Awaitable, Callable

import pytest

from manager.domain.consequences import ConfirmationNeededError
from manager.store.catalogue import NodeDescription
from manager.usecases.uploads import Edit, Upload
from tests.pki import NOW_S, make_leaf
from tests.unit.usecases.conftest import World
from tests.unit.usecases.conftest import world as world  # noqa: PLC0414 - a fixture

Act = Callable[[World, str], Awaitable[object]]

CONFIRMED: dict[str, Act] = {
    "removing it": lambda world, confirm: world.use_cases.nodes.remove("n1", confirm=confirm, actor="ada"),
    "emptying its slot": lambda world, confirm: world.use_cases.assignments.unassign(
        "n1", "server", confirm=confirm, actor="ada"
    ),
    "giving it a certificate that is not for it": lambda world, confirm: world.use_cases.assignments.assign(
        2, nodes=["n1"], slot="server", confirm=confirm, actor="ada"
    ),
    "taking its certificate away": lambda world, confirm: world.use_cases.certificates.edit(
        1, Edit(nodes=[]), confirm=confirm, actor="ada"
    ),
    "giving it other names": lambda world, confirm: world.use_cases.nodes.describe(
        "n1", NodeDescription(names=["new.example.com"], addresses=[]), confirm=confirm, actor="ada"
    ),
}


async def add(world: World) -> None:
    await world.store.nodes.add("n1", "node", names=["west.example.com"], addresses=[], now_s=NOW_S)
    world.fleet.nodes.add("n1")
    await world.use_cases.assignments.assign(1, nodes=["n1"], slot="server", actor="ada")


async def asked_first(act: Act, world: World, confirm: str) -> ConfirmationNeededError:
    with pytest.raises(ConfirmationNeededError) as caught:
        await act(world, confirm)
    return caught.value


@pytest.mark.parametrize("what", CONFIRMED)
async def test_a_confirmation_is_for_the_node_that_was_shown_and_for_none_that_has_its_name_since(
    world: World, what: str
):
    for name in ("west.example.com", "east.example.com"):
        made = make_leaf(None, [name])
        await world.use_cases.certificates.upload(
            Upload(certificate=made.certificate_pem, private_key=made.key_pem),
            actor="ada",
        )
    await add(world)
    act = CONFIRMED[what]
    asked = await asked_first(act, world, "")
    before = (await world.store.nodes.get("n1")).id
    await world.store.nodes.remove("n1")
    await add(world)
    again = await asked_first(act, world, asked.token)
    # what is told reads the same, and is about another node
    assert [each.message for each in again.consequences] == [each.message for each in asked.consequences]
    assert (await world.store.nodes.get("n1")).id != before
    await act(world, again.token)
