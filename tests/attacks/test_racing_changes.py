"""Whoever is faster changes what somebody else decided by: then nothing is written that was not decided by what is there now.

Each attack strikes between what a change was decided by and the transaction that writes it.
"""

import ast
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import manager.usecases
from common.errors import ChangedMeanwhileError
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.model import Role
from manager.store.catalogue import NodeDescription
from manager.usecases.context import Context
from manager.usecases.uploads import Edit, Upload
from tests.fakes.workers import InPlace
from tests.integration.api import real_api
from tests.integration.infinity_api.platform import WORKERS, Client
from tests.pki import DAY_S, NOW_S, Made, make_intermediate, make_leaf, make_root
from tests.unit.usecases.conftest import World, world

__all__ = ["world"]  # a fixture

ROOT = make_root()
ISSUER = make_intermediate(ROOT)
PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"

Act = Callable[[], Awaitable[Any]]


def race(world: World | Context, monkeypatch: pytest.MonkeyPatch, act: Act) -> list[str]:
    """Let `act` come first before the next transaction; return what notes that it did."""
    transaction, raced = world.store.transaction, list[str]()

    @asynccontextmanager
    async def late() -> AsyncIterator[None]:
        if not raced:
            raced.append("raced")
            await act()
        async with transaction():
            yield

    monkeypatch.setattr(world.store, "transaction", late)
    return raced


async def trust(world: World, *made: Made) -> list[int]:
    text = "".join(each.certificate_pem for each in made)
    kept = (await world.use_cases.trust.take(text, actor="ada")).kept
    return [record.id for record, _ in kept]


async def upload(world: World, made: Made) -> int:
    kept = await world.use_cases.certificates.upload(
        Upload(certificate=made.certificate_pem, private_key=made.key_pem),
        actor="bob",
    )
    return kept.record.id


def edit_ca(
    world: World, number: int, text: str | None, *, verifies: bool | None = None, force: bool = False
) -> Awaitable[Any]:
    return world.use_cases.trust.edit(
        number, certificate=text, trusted_intermediate=verifies, force=force, confirm="", actor="ada"
    )


async def test_an_edit_of_a_ca_asks_about_the_chain_of_a_certificate_that_was_uploaded_a_moment_ago(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    _, number = await trust(world, ROOT, ISSUER)
    # of the same name and key, and expired, so that it signs nothing any more
    over = make_intermediate(ROOT, key=ISSUER.key, not_after_s=NOW_S - DAY_S)
    raced = race(world, monkeypatch, lambda: upload(world, make_leaf(ISSUER)))
    with pytest.raises(ConfirmationNeededError) as asked:
        await edit_ca(world, number, over.certificate_pem)
    assert raced
    assert {each.code for each in asked.value.consequences} == {"chain_broken", "untrusted"}
    assert (await world.store.trusted_cas.get(number)).certificate_pem == ISSUER.certificate_pem


async def test_what_was_confirmed_before_a_certificate_came_that_needs_the_ca_is_asked_about_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    _, number = await trust(world, ROOT, ISSUER)
    delete = world.use_cases.trust.delete
    with pytest.raises(ConfirmationNeededError) as shown:
        await delete([number], force=False, confirm="", actor="ada")
    raced = race(world, monkeypatch, lambda: upload(world, make_leaf(ISSUER)))
    with pytest.raises(ConfirmationNeededError) as again:
        await delete([number], force=False, confirm=shown.value.token, actor="ada")
    assert raced
    assert again.value.token != shown.value.token
    assert "chain_broken" in {each.code for each in again.value.consequences}
    assert len(await world.store.trusted_cas.list()) == 2


async def test_a_change_of_a_cas_use_never_brings_back_the_text_that_it_had(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    _, number = await trust(world, ROOT, ISSUER)
    renewed = make_intermediate(ROOT, key=ISSUER.key)
    raced = race(world, monkeypatch, lambda: edit_ca(world, number, renewed.certificate_pem))
    with pytest.raises(ChangedMeanwhileError, match="look at it again"):
        await edit_ca(world, number, None, verifies=False, force=True)
    assert raced
    kept = await world.store.trusted_cas.get(number)
    assert (kept.certificate_pem, kept.trusted_intermediate) == (renewed.certificate_pem, True)


async def test_a_change_of_parameters_never_brings_back_the_certificate_that_was_there(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    await trust(world, ROOT, ISSUER)
    first = make_leaf(ISSUER)
    renewed = make_leaf(ISSUER, key=first.key)
    number = await upload(world, first)

    def edit(**what: str) -> Awaitable[Any]:
        return world.use_cases.certificates.edit(number, Edit(**what), actor="ada")

    raced = race(world, monkeypatch, lambda: edit(certificate=renewed.certificate_pem))
    with pytest.raises(ChangedMeanwhileError, match="look at it again"):
        await edit(parameters=PARAMETERS)
    assert raced
    assert (await world.store.certificates.get(number)).leaf_pem == renewed.certificate_pem
    # what was only uploaded again is the same
    monkeypatch.undo()
    raced = race(world, monkeypatch, lambda: upload(world, renewed))
    await edit(parameters=PARAMETERS)
    assert raced


async def test_a_program_gets_what_its_role_gives_when_it_is_registered(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    strong, weak = ["is_admin"], ["use_api"]
    role = await world.use_cases.roles.add("ci", strong, actor="ada")
    roles = world.use_cases.roles
    raced = race(world, monkeypatch, lambda: roles.change(role, "ci", weak, actor="ada"))
    made = await world.use_cases.clients.add_with_key("ci", api_role_id=role, actor="ada")
    assert raced
    assert made.record.role is Role.READ_ONLY


async def test_a_role_that_somebody_else_gave_a_moment_ago_is_not_taken_back_unseen(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    users = world.use_cases.users
    for name in ("ada", "bob", "eve"):
        await users.add(name, role=Role.ADMINISTRATOR, password="copper horse battery", actor="console")
    raced = race(world, monkeypatch, lambda: users.set_role("eve", role=Role.READ_ONLY, actor="bob"))
    with pytest.raises(ChangedMeanwhileError, match="somebody else made eve read-only in the meantime"):
        await users.set_role("eve", role=Role.OPERATOR, seen=Role.ADMINISTRATOR, actor="ada")
    assert raced
    assert (await users.get("eve")).role is Role.READ_ONLY


def test_whatever_asks_for_a_confirmation_does_so_within_the_transaction_that_writes():
    """Each `require_confirmation` stands in a block of `deciding` or `deciding_on`; republishing is held against it by the fleet's transaction."""
    asked = list[str]()
    for path in sorted(Path(manager.usecases.__file__).parent.glob("*.py")):
        tree = ast.parse(path.read_text())
        within = {
            id(inner)
            for outer in ast.walk(tree)
            if isinstance(outer, ast.AsyncWith) and "deciding" in ast.unparse(outer.items[0])
            for inner in ast.walk(outer)
        }
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("impact.require_confirmation"):
                asked.append(path.stem)
                assert id(call) in within or path.stem == "generations", f"{path.name}:{call.lineno}"
    print("places that ask:", len(asked))
    assert len(asked) >= 10


async def test_an_existing_client_that_leaves_names_out_never_brings_back_those_that_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with real_api(tmp_path, InPlace()) as api:
        await api.add_node("n1")
        (record,) = [each for each in await api.use_cases._context.store.nodes.list() if each.name == "n1"]
        described = NodeDescription(names=["renamed.example.com"], addresses=["192.0.2.77"])
        raced = race(
            api.use_cases._context,
            monkeypatch,
            lambda: api.use_cases.nodes.describe("n1", described, actor="ada"),
        )
        answer = await Client(api).call("PATCH", f"{WORKERS}{record.id}/", {"description": "in the cellar"})
        assert raced
        assert (answer.status, b"was changed in the meantime" in answer.body) == (400, True)
        kept = await api.use_cases._context.store.nodes.get(record.name)
        assert (kept.names, kept.addresses) == (("renamed.example.com",), ("192.0.2.77",))
