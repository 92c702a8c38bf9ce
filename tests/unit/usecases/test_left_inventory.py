"""The inventory that a change leaves: who changed something answers from it, and it is the current one as soon as that is on disk."""

import pytest
from sqlalchemy import delete, update

from common.ids import NodeName
from common.pki.certificate import decode
from manager.domain.callers import Maker
from manager.domain.model import NodeDescription
from manager.store.inventory import Inventories
from manager.store.numbers import REVISION
from manager.store.tables.content import certificate, meta
from manager.usecases.kept import new_certificate
from manager.usecases.material_checks import read_tls
from manager.usecases.uploads import Upload
from tests.pki import Made, make_leaf, make_root
from tests.unit.usecases.conftest import BUILTIN, World

ROOT = make_root()
N1 = NodeName("n1")
BUILT_IN = [decode(BUILTIN.certificate_der)]


async def upload(world: World, made: Made):
    return await world.use_cases.certificates.upload(
        Upload(certificate=made.certificate_pem, private_key=made.key_pem), actor="ada"
    )


async def test_what_a_change_leaves_is_what_the_next_reader_gets_without_reading(world: World):
    await upload(world, make_leaf(ROOT))
    kept = await upload(world, make_leaf(ROOT))
    assert await world.use_cases.inventory() is kept.inventory
    anew = await Inventories(world.store, BUILT_IN).current()
    assert anew.revision == kept.inventory.revision
    assert anew.entries == kept.inventory.entries
    assert list(kept.inventory.entries) == [1, 2]


async def test_what_was_undone_is_in_no_inventory(world: World):
    await upload(world, make_leaf(ROOT))
    before = await world.use_cases.inventory()
    other = make_leaf(ROOT)
    new = new_certificate(read_tls(certificate=other.certificate_pem, private_key=other.key_pem))
    inventories = world.use_cases._context.inventories

    async def undone() -> None:
        async with world.store.transaction():
            await world.store.certificates.add(new, now_s=1.0)
            assert len((await inventories.changed(before)).entries) == 2
            raise LookupError

    with pytest.raises(LookupError):
        await undone()
    assert await world.use_cases.inventory() is before
    await upload(world, make_leaf(ROOT))
    anew = await Inventories(world.store, BUILT_IN).current()
    assert (await world.use_cases.inventory()).entries == anew.entries


async def test_a_revision_is_named_before_the_end_only_to_who_changes_content(world: World):
    with pytest.raises(RuntimeError, match="only a transaction"):
        await world.store.meta.next_revision()
    async with world.store.transaction():
        named = await world.store.meta.next_revision()
    assert await world.store.meta.revision() == named


async def test_a_store_that_went_back_is_read_whole(world: World):
    await upload(world, make_leaf(ROOT))
    before = await world.use_cases.inventory()
    kept = await upload(world, make_leaf(ROOT))
    async with world.store._database.write() as connection:
        # as a server has it that took over and lacks the last change
        await connection.execute(delete(certificate).where(certificate.c.id == kept.record.id))
        await connection.execute(
            update(meta).where(meta.c.name == REVISION).values(value=str(before.revision).encode())
        )
    found = await world.use_cases.inventory()
    assert (found.revision, list(found.entries)) == (before.revision, [1])
    third = await upload(world, make_leaf(ROOT))
    anew = await Inventories(world.store, BUILT_IN).current()
    assert (await world.use_cases.inventory()).entries == anew.entries == third.inventory.entries


async def test_a_node_that_joined_is_in_the_inventory_with_its_key(world: World):
    await world.use_cases.nodes.add("n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")
    before = await world.use_cases.inventory()
    await world.store.nodes.pin(N1, "ssh-ed25519 one", former_key="")
    after = await world.use_cases.inventory()
    assert after.nodes[N1].public_key == "ssh-ed25519 one"
    assert after.revision == before.revision, "what nodes must hold is the same"
    assert after.entries == before.entries
