import dataclasses

import pytest

from common.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from common.ids import NodeName
from manager.domain.annotations import ANNOTATIONS, Annotations
from manager.domain.identity import IdentityConflictError
from manager.domain.model import CertificateRecord
from manager.store.tables.content import certificate
from tests.unit.store.given import KEY_PEM, N1, N2, add_nodes, new_certificate, shown_columns


async def test_a_certificate_comes_back_as_it_was_given(store):
    new = new_certificate()
    record, created = await store.certificates.add(new, now_s=5.0)
    assert created
    assert record == CertificateRecord(
        id=record.id,
        created_s=5.0,
        changed_s=5.0,
        annotations=Annotations(**dict.fromkeys(ANNOTATIONS, "")),
        **shown_columns(new),
    )
    assert await store.certificates.get(record.id) == record
    assert await store.certificates.list() == [record]


async def test_the_same_issuer_serial_number_and_key_update_the_entry_that_is_there(store):
    first, _ = await store.certificates.add(new_certificate(), now_s=5.0)
    again = new_certificate(leaf_pem="other leaf\n", private_key_pem="other form of the key\n")
    second, created = await store.certificates.add(again, now_s=9.0)
    assert (created, second.id, second.created_s, second.changed_s) == (False, first.id, 5.0, 9.0)
    assert await store.certificates.list() == [second]
    material = (await store.certificates.slot_material({first.id}))[first.id]
    assert (material.certificate_pem, material.private_key_pem) == ("other leaf\n", "other form of the key\n")


async def test_another_key_of_the_same_issuer_and_serial_number_is_a_conflict_that_names_both(store):
    first, _ = await store.certificates.add(new_certificate(), now_s=5.0)
    other = new_certificate(
        subject_name="b.example.com",
        fingerprint="b" * 64,
        private_key_pem="other key\n",
        public_key_id="c" * 64,
    )
    with pytest.raises(IdentityConflictError) as caught:
        await store.certificates.add(other, now_s=9.0)
    for shown in (
        f"certificate {first.id} ('node.example.com'",
        first.fingerprint[:16],
        "'b.example.com'",
        "b" * 16,
    ):
        assert shown in caught.value.message
    assert await store.certificates.list() == [first]
    assert await store.certificates.private_key(first.id) == KEY_PEM


async def test_another_key_takes_the_place_only_of_the_entry_that_was_named(store):
    first, _ = await store.certificates.add(new_certificate(), now_s=5.0)
    other = new_certificate(private_key_pem="other key\n", public_key_id="c" * 64)
    with pytest.raises(IdentityConflictError):
        await store.certificates.add(other, replaced={first.id + 1}, now_s=9.0)
    second, created = await store.certificates.add(other, replaced={first.id}, now_s=9.0)
    assert (created, second.id) == (False, first.id)
    assert await store.certificates.private_key(first.id) == "other key\n"


@pytest.mark.parametrize("other", [{"serial": "02"}, {"issuer": "CN=other"}])
async def test_another_issuer_or_serial_number_is_another_entry(store, other):
    first, _ = await store.certificates.add(new_certificate(), now_s=1.0)
    second, created = await store.certificates.add(new_certificate(**other), now_s=1.0)
    assert created
    assert second.id != first.id


async def test_an_update_keeps_the_assignments(store):
    await add_nodes(store, N1)
    record, _ = await store.certificates.add(new_certificate(), now_s=1.0)
    await store.assignments.assign(record.id, [N1], "server")
    updated = await store.certificates.update(record.id, new_certificate("02"), now_s=2.0)
    assert (updated.id, updated.serial_no, updated.changed_s) == (record.id, "02", 2.0)
    assert [each.node for each in await store.certificates.nodes_of(record.id)] == [N1]


async def test_an_update_cannot_make_two_entries_the_same_certificate(store):
    first, _ = await store.certificates.add(new_certificate("01"), now_s=1.0)
    second, _ = await store.certificates.add(new_certificate("02"), now_s=1.0)
    with pytest.raises(
        IdentityConflictError, match=rf"certificate {first.id} \(.* has the issuer and serial"
    ):
        await store.certificates.update(second.id, new_certificate("01"), now_s=2.0)
    assert await store.certificates.list() == [first, second]


async def test_ids_are_not_used_again(store):
    first, _ = await store.certificates.add(new_certificate("01"), now_s=1.0)
    await store.certificates.delete([first.id], even_assigned=True)
    second, _ = await store.certificates.add(new_certificate("02"), now_s=1.0)
    assert second.id > first.id


async def test_a_deleted_certificate_takes_its_assignments_and_names_them(store):
    await add_nodes(store, N1, N2)
    record, _ = await store.certificates.add(new_certificate(), now_s=1.0)
    await store.assignments.assign(record.id, [N2, N1], "server")
    lost = await store.certificates.delete([record.id], even_assigned=True)
    assert [(each.node, each.slot) for each in lost] == [(N1, "server"), (N2, "server")]
    assert await store.assignments.list() == []
    assert await store.certificates.list() == []


async def test_certificates_that_are_assigned_are_kept_with_a_sentence_that_names_each_with_its_nodes(store):
    many = [NodeName(f"many{number:02}") for number in range(22)]
    await add_nodes(store, N1, *many)
    first, _ = await store.certificates.add(new_certificate("01"), now_s=1.0)
    second, _ = await store.certificates.add(new_certificate("02"), now_s=1.0)
    for slot in ("server", "client"):
        await store.assignments.assign(first.id, [N1], slot)
    await store.assignments.assign(second.id, many, "server")
    with pytest.raises(ConflictError) as caught:
        await store.certificates.delete([first.id, second.id], even_assigned=False)
    assert f"certificate {first.id} is still assigned to n1; " in caught.value.message
    assert f"certificate {second.id} is still assigned to many00, many01, " in caught.value.message
    assert "many19 and 2 more;" in caught.value.message
    assert len(await store.certificates.list()) == 2


async def test_a_missing_certificate_is_named(store):
    for act in (
        store.certificates.get(7),
        store.certificates.update(7, new_certificate(), now_s=1.0),
        store.certificates.delete([7], even_assigned=True),
        store.certificates.private_key(7),
        store.assignments.assign(7, [], "server"),
    ):
        with pytest.raises(NotFoundError, match="no certificate 7"):
            await act


async def test_material_has_the_key_and_what_does_not_exist_is_left_out(store):
    record, _ = await store.certificates.add(new_certificate(parameters_pem="parameters\n"), now_s=1.0)
    found = await store.certificates.slot_material({record.id, 999})
    assert set(found) == {record.id}
    material = found[record.id]
    assert material.private_key_pem == KEY_PEM
    assert (material.certificate_pem, material.chain_pem) == (record.leaf_pem, record.chain_pem)
    assert material.parameters_pem == "parameters\n"
    assert material.facts.leaf == record.fingerprint
    assert await store.certificates.private_key(record.id) == KEY_PEM


async def test_material_of_more_certificates_than_one_statement_takes(store):
    ids = [(await store.certificates.add(new_certificate(str(n)), now_s=1.0))[0].id for n in range(520)]
    assert set(await store.certificates.slot_material(ids)) == set(ids)


async def test_a_sealed_key_that_was_copied_to_another_row_does_not_open(store):
    first, _ = await store.certificates.add(new_certificate("01"), now_s=1.0)
    second, _ = await store.certificates.add(new_certificate("02"), now_s=1.0)
    async with store._database.write() as connection:
        sealed = (
            (await connection.execute(certificate.select().where(certificate.c.id == first.id)))
            .one()
            .sealed_key
        )
        await connection.execute(
            certificate.update().where(certificate.c.id == second.id).values(sealed_key=sealed)
        )
    with pytest.raises(StorageError, match=f"certificate:{second.id} does not open"):
        await store.certificates.slot_material({second.id})


@pytest.mark.parametrize("name", ["text", "leaf_pem", "chain_pem", "parameters_pem"])
async def test_a_key_among_what_is_kept_in_the_clear_is_refused(store, name):
    with pytest.raises(InvalidInputError) as caught:
        await store.certificates.add(new_certificate(**{name: f"leaf\n{KEY_PEM}"}), now_s=1.0)
    assert caught.value.field == name
    assert await store.certificates.list() == []


def test_the_key_shows_in_no_repr():
    assert "PRIVATE" not in repr(new_certificate())
    assert "private_key_pem" in {field.name for field in dataclasses.fields(new_certificate())}


async def test_assigning_replaces_what_the_slot_had(store):
    await add_nodes(store, N1, N2)
    first, _ = await store.certificates.add(new_certificate("01"), now_s=1.0)
    second, _ = await store.certificates.add(new_certificate("02"), now_s=1.0)
    await store.assignments.assign(first.id, [N1, N2, N1], "server")
    await store.assignments.assign(second.id, [N1], "server")
    await store.assignments.assign(second.id, [N1], "client")
    assert {(each.node, each.slot, each.certificate_id) for each in await store.assignments.list()} == {
        (N1, "server", second.id),
        (N2, "server", first.id),
        (N1, "client", second.id),
    }


async def test_assigning_to_a_node_that_is_not_there_assigns_to_none(store):
    await add_nodes(store, N1)
    record, _ = await store.certificates.add(new_certificate(), now_s=1.0)
    with pytest.raises(NotFoundError, match="no node 'n2'"):
        await store.assignments.assign(record.id, [N1, N2], "server")
    assert await store.assignments.list() == []


async def test_a_slot_is_emptied_once(store):
    await add_nodes(store, N1)
    record, _ = await store.certificates.add(new_certificate(), now_s=1.0)
    await store.assignments.assign(record.id, [N1], "server")
    assert await store.assignments.unassign(N1, "server")
    assert not await store.assignments.unassign(N1, "server")
