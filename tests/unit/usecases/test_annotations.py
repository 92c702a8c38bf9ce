"""What administrators write about a certificate: kept, changed, and written into the audit log."""

import json

import pytest

from common.errors import ChangedMeanwhileError, InvalidInputError
from manager.domain.annotations import Annotations
from manager.domain.etag import etag_of_certificate
from manager.pki.read.batch import ImportFile
from manager.usecases.uploads import Edit, Upload
from tests.pki import NOW_S, Made, make_intermediate, make_leaf, make_root
from tests.unit.usecases.conftest import World

ISSUER = make_intermediate(make_root())
WRITTEN = Annotations(note="Ask Ada before it is replaced.")


async def upload(world: World, made: Made, **more) -> int:
    text = made.certificate_pem + ISSUER.certificate_pem
    kept = await world.use_cases.certificates.upload(
        Upload(certificate=text, private_key=made.key_pem, **more), actor="ada"
    )
    return kept.record.id


async def note_of(world: World, number: int) -> str | None:
    return (await world.use_cases.certificates.show(number)).record.annotations.note


async def detail_of_last_act(world: World) -> dict:
    return json.loads((await world.store.audit.list())[0].detail)


async def test_a_certificate_has_no_note_until_one_is_written(world: World):
    number = await upload(world, make_leaf(ISSUER))
    assert await note_of(world, number) == ""
    assert "note" not in await detail_of_last_act(world)


async def test_a_note_of_an_upload_is_kept_and_audited(world: World):
    number = await upload(world, make_leaf(ISSUER), annotations=WRITTEN)
    assert await note_of(world, number) == WRITTEN.note
    assert (await detail_of_last_act(world))["note"] == WRITTEN.note


async def test_a_note_stays_when_its_certificate_is_uploaded_imported_or_edited_again(world: World):
    made = make_leaf(ISSUER, serial=7)
    number = await upload(world, made, annotations=WRITTEN)
    renewed = make_leaf(ISSUER, serial=7, key=made.key, not_after_s=NOW_S + 86_400)
    assert await upload(world, renewed, annotations=Annotations(note="")) == number
    await world.use_cases.certificates.import_files(
        [ImportFile("a.pem", (made.certificate_pem + made.key_pem).encode())], passphrase=None, actor="ada"
    )
    await world.use_cases.certificates.edit(number, Edit(certificate=renewed.certificate_pem), actor="ada")
    assert await note_of(world, number) == WRITTEN.note


async def test_a_note_is_changed_and_taken_away_with_an_audit_entry_each(world: World):
    number = await upload(world, make_leaf(ISSUER), annotations=WRITTEN)
    edit = world.use_cases.certificates.edit
    for text in ("Replaced soon.", ""):
        world.wait(1)
        before = (await world.store.certificates.get(number)).changed_s
        kept = await edit(number, Edit(annotations=Annotations(note=text)), actor="bob")
        assert kept.consequences == []
        assert await note_of(world, number) == text
        assert (await detail_of_last_act(world))["note"] == text
        assert (await world.store.certificates.get(number)).changed_s > before
    assert (await world.acts())[-1] == ("bob", "certificate.updated", f"certificate {number}")


async def test_an_edit_that_leaves_the_note_says_nothing_of_it(world: World):
    number = await upload(world, make_leaf(ISSUER), annotations=WRITTEN)
    await world.use_cases.certificates.edit(number, Edit(nodes=[], annotations=WRITTEN), actor="ada")
    assert "note" not in await detail_of_last_act(world)


async def test_a_note_that_cannot_be_shown_or_holds_a_private_key_keeps_everything_out(world: World):
    made = make_leaf(ISSUER)
    for text in ("\x1b[2J", made.key_pem):
        with pytest.raises(InvalidInputError):
            await upload(world, made, annotations=Annotations(note=text))
    assert await world.store.certificates.list() == []
    number = await upload(world, made)
    edit = Edit(annotations=Annotations(note=made.key_pem))
    with pytest.raises(InvalidInputError):
        await world.use_cases.certificates.edit(number, edit, actor="ada")
    assert await note_of(world, number) == ""


async def test_who_began_before_another_wrote_a_note_is_told(world: World):
    number = await upload(world, make_leaf(ISSUER))
    seen = etag_of_certificate(await world.store.certificates.get(number), [])
    edit = world.use_cases.certificates.edit
    await edit(number, Edit(annotations=WRITTEN), seen=seen, actor="ada")
    with pytest.raises(ChangedMeanwhileError):
        await edit(number, Edit(annotations=Annotations(note="mine")), seen=seen, actor="bob")
    assert await note_of(world, number) == WRITTEN.note
