"""What the replacement of a certificate means is told before it is made, and confirmed as it was told."""

import pytest
from cryptography import x509

from manager.domain.identity import IdentityConflictError
from manager.pki.read.batch import ImportFile
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.uploads import Edit, Upload
from tests.pki import DAY_S, NOW_S, make_leaf, make_rsa_key
from tests.unit.usecases.confirming.conftest import ISSUER, WEST, add_node, codes, refused, upload
from tests.unit.usecases.conftest import World


async def test_another_key_of_the_same_issuer_and_serial_number_is_refused_until_its_loss_is_confirmed(
    world: World,
):
    await add_node(world, "n1", "node.example.com")
    first, second = make_leaf(ISSUER, serial=1), make_leaf(ISSUER, ["other.example.com"], serial=1)
    kept = (await upload(world, first, ["n1"])).record
    with pytest.raises(IdentityConflictError, match=r"'node.example.com'.*'other.example.com'"):
        await upload(world, second)
    error = await refused(upload(world, second, confirm=""))
    assert codes(error.consequences) >= {"key_replaced", "key_lost", "names_lost", "name_mismatch"}
    for shown in ("node.example.com", "other.example.com", kept.fingerprint[:16], "n1", "lost for good"):
        assert shown in error.message
    assert await world.store.certificates.private_key(kept.id) == first.key_pem
    done = await upload(world, second, confirm=error.token)
    assert (done.record.id, done.created) == (kept.id, False)
    assert await world.store.certificates.private_key(kept.id) == second.key_pem


async def test_a_certificate_without_a_subject_is_named_where_another_key_is_refused(world: World):
    nobody = x509.Name([])
    await upload(world, make_leaf(ISSUER, serial=1, subject=nobody))
    with pytest.raises(IdentityConflictError, match=r"'\(no subject\)', fingerprint"):
        await upload(world, make_leaf(ISSUER, serial=1, subject=nobody))


async def test_who_says_replace_is_told_all_the_same(world: World):
    first, second = make_leaf(ISSUER, serial=1), make_leaf(ISSUER, serial=1)
    kept = (await upload(world, first)).record
    done = await upload(world, second, replaces=True)
    assert done.record.id == kept.id
    assert {"key_replaced", "key_lost"} <= codes(done.consequences)


async def test_what_is_confirmed_is_what_was_seen_and_nothing_that_came_meanwhile(world: World):
    first, second, third = (make_leaf(ISSUER, serial=1) for _ in range(3))
    kept = (await upload(world, first)).record
    seen = await refused(upload(world, second, confirm=""))
    await upload(world, third, replaces=True)
    again = await refused(upload(world, second, confirm=seen.token))
    assert again.token != seen.token
    assert await world.store.certificates.private_key(kept.id) == third.key_pem


async def test_a_key_that_another_entry_has_is_not_called_lost(world: World):
    first = make_leaf(ISSUER, serial=1)
    await upload(world, first)
    await upload(world, make_leaf(ISSUER, serial=2, key=first.key))
    error = await refused(upload(world, make_leaf(ISSUER, serial=1), confirm=""))
    assert "key_lost" not in codes(error.consequences)
    await world.use_cases.certificates.delete([1], force=False, confirm="", actor="ada")
    shown = await refused(world.use_cases.certificates.delete([2], force=False, confirm="", actor="ada"))
    assert codes(shown.consequences) == {"key_lost"}


async def test_a_batch_never_replaces_a_key_and_keeps_nothing_then(world: World):
    first = make_leaf(ISSUER, serial=1)
    await upload(world, first)
    files = [
        ImportFile(f"{number}.pem", (made.certificate_pem + made.key_pem).encode())
        for number, made in enumerate((make_leaf(ISSUER), make_leaf(ISSUER, serial=1)))
    ]
    for confirm in (None, "", "x"):
        with pytest.raises(IdentityConflictError):
            await world.use_cases.certificates.import_files(
                files, passphrase=None, confirm=confirm, actor="ada"
            )
    assert len(await world.store.certificates.list()) == 1


async def test_a_renewal_that_lacks_nothing_is_asked_nothing(world: World):
    await add_node(world, "n1", *WEST)
    old = (await upload(world, make_leaf(ISSUER, WEST), ["n1"], confirm="")).record
    new = (await upload(world, make_leaf(ISSUER, WEST, not_after_s=NOW_S + 400 * DAY_S))).record
    done = await world.use_cases.assignments.assign(
        new.id, nodes=["n1"], slot="server", confirm="", actor="ada"
    )
    assert not any(each.asks for each in done.consequences)
    assert [each.certificate_id for each in await world.store.assignments.list()] == [new.id]
    assert old.id != new.id


async def test_names_strength_and_time_that_a_replacement_lacks_are_told(world: World):
    await add_node(world, "n1", "west.example.com")
    await upload(world, make_leaf(ISSUER, WEST, key=make_rsa_key(3072)), ["n1"])
    weaker = make_leaf(ISSUER, ["west.example.com"], key=make_rsa_key(2048), not_after_s=NOW_S + 30 * DAY_S)
    error = await refused(upload(world, weaker, ["n1"], confirm=""))
    assert {"names_lost", "weaker", "ends_earlier", "shorter_lifetime"} <= codes(error.consequences)
    assert "sip.west.example.com" in error.message
    assert "RSA 2048" in error.message


async def test_an_edit_that_loses_names_or_takes_the_certificate_from_a_node_is_told(world: World):
    await add_node(world, "n1", "west.example.com")
    made = make_leaf(ISSUER, WEST, serial=1)
    record = (await upload(world, made, ["n1"])).record
    other = make_leaf(ISSUER, ["west.example.com"], serial=2, key=made.key)
    edit = world.use_cases.certificates.edit
    error = await refused(
        edit(
            record.id,
            Edit(certificate=other.certificate_pem + ISSUER.certificate_pem),
            confirm="",
            actor="ada",
        )
    )
    assert "names_lost" in codes(error.consequences)
    error = await refused(edit(record.id, Edit(nodes=[]), confirm="", actor="ada"))
    assert codes(error.consequences) == {"nodes_left_without"}
    assert await edit(record.id, Edit(nodes=[]), confirm=error.token, actor="ada")
    assert await world.store.assignments.list() == []


async def test_a_renewed_certificate_without_its_key_is_kept_beside_the_one_that_has_it(world: World):
    made = make_leaf(ISSUER, serial=1)
    old = (await upload(world, made)).record
    renewed = make_leaf(ISSUER, serial=2, key=made.key, not_after_s=NOW_S + 500 * DAY_S)
    corrected = make_leaf(ISSUER, serial=1, key=made.key, not_after_s=NOW_S + 400 * DAY_S)
    kept = await world.use_cases.certificates.import_files(
        [ImportFile("a.pem", renewed.certificate_pem.encode())], passphrase=None, confirm="", actor="ada"
    )
    ((record, created),) = kept.tls
    assert created
    assert await world.store.certificates.private_key(record.id) == made.key_pem
    kept = await world.use_cases.certificates.import_files(
        [ImportFile("b.pem", corrected.certificate_pem.encode())], passphrase=None, confirm="", actor="ada"
    )
    assert [(each.id, new) for each, new in kept.tls] == [(old.id, False)]


async def test_what_would_replace_another_key_is_left_out_where_the_usable_is_asked_for(world: World):
    await upload(world, make_leaf(ISSUER, serial=1))
    files = [
        ImportFile(f"{number}.pem", (made.certificate_pem + made.key_pem).encode())
        for number, made in enumerate((make_leaf(ISSUER), make_leaf(ISSUER, ["b.example.com"], serial=1)))
    ]
    kept = await world.use_cases.certificates.import_files(
        files, passphrase=None, skip_unusable=True, actor="ada"
    )
    assert len(kept.tls) == 1
    (left,) = kept.left_out
    assert "certificate 1 ('node.example.com'" in left.message
    assert "'b.example.com'" in left.message


async def test_a_self_signed_certificate_in_place_of_an_issued_one_wants_a_confirmation(world: World):
    await add_node(world, "n1", "node.example.com")
    life = {"not_before_s": NOW_S - DAY_S, "not_after_s": NOW_S + 365 * DAY_S}
    own = await upload(world, make_leaf(None, **life))
    await world.use_cases.assignments.assign(
        own.record.id, nodes=["n1"], slot="server", confirm="", actor="ada"
    )
    issued = await upload(world, make_leaf(ISSUER, **life), ["n1"], confirm="")
    error = await refused(
        world.use_cases.assignments.assign(
            own.record.id, nodes=["n1"], slot="server", confirm="", actor="ada"
        )
    )
    assert codes(error.consequences) >= {"self_signed"}
    assert issued.record.id != own.record.id


async def test_a_request_that_says_no_kind_of_key_asks_for_one_no_weaker_than_the_one_it_replaces(
    world: World,
):
    elliptic = await upload(world, make_leaf(ISSUER))
    large = await upload(world, make_leaf(ISSUER, ["rsa.example.com"], key=make_rsa_key(3072)))
    for replaces, kind in (
        (elliptic.record.id, "EC P-256"),
        (large.record.id, "RSA 4096"),
        (None, "RSA 2048"),
    ):
        made = await world.use_cases.csrs.create(
            replaces=replaces,
            changes=CsrChanges(subject="CN=node.example.com"),
            key=KeyChoice(is_alike=True),
            actor="ada",
        )
        assert made.key_type == kind


async def test_an_entry_that_is_updated_in_place_does_not_share_its_key_with_itself(world: World):
    await add_node(world, "n1", "node.example.com")
    made = make_leaf(ISSUER, serial=1)
    again = make_leaf(ISSUER, serial=1, key=made.key, not_after_s=NOW_S + 400 * DAY_S)
    texts = {"certificate": again.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem}
    kept = (await upload(world, made, ["n1"])).record
    preview = await world.use_cases.previews.certificate(
        Upload(**texts, passphrase=None, parameters="", nodes=["n1"], slot="server")
    )
    assert preview.updates is not None
    assert "key_shared" not in {each.code for each in preview.judgement.findings}
    files = [ImportFile(f"{name}.pem", text.encode()) for name, text in texts.items()]
    imported = await world.use_cases.certificates.import_files(files, passphrase=None, actor="ada")
    assert [(record.id, created) for record, created in imported.tls] == [(kept.id, False)]
    assert not codes(imported.consequences)
