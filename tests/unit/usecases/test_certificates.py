import threading

import pytest

from common.errors import ConflictError, InvalidInputError, NotFoundError, Reason
from common.pki.certificate import decode
from manager.domain.certificate_list import CertificateQuery
from manager.pki.read.batch import ImportFile
from manager.pki.read.findings import PkiFindingsError
from manager.store import inventory as subject
from manager.store.engine import Database
from manager.usecases.assignments import slot_name
from manager.usecases.uploads import Upload
from tests.pki import DAY_S, NOW_S, Made, make_intermediate, make_leaf, make_root
from tests.unit.usecases.conftest import World

ISSUER = make_intermediate(make_root())


async def add_nodes(world: World, *names: str) -> None:
    for name in names:
        await world.store.nodes.add(name, "node", names=[], addresses=[], now_s=NOW_S)
        world.fleet.nodes.add(name)


async def upload(world: World, made: Made, nodes=(), slot="server", **changes):
    given = {
        "certificate": made.certificate_pem + ISSUER.certificate_pem,
        "private_key": made.key_pem,
        "passphrase": None,
        "parameters": "",
    }
    kept = await world.use_cases.certificates.upload(
        Upload(**{**given, **changes}, nodes=list(nodes), slot=slot), actor="ada"
    )
    return kept.record, kept.created


async def listed(world: World):
    total, found = await world.use_cases.certificates.list(CertificateQuery())
    assert total == len(found)
    return {each.entry.id: each for each in found}


async def status(world: World, certificate_id: int) -> str:
    return (await world.use_cases.certificates.show(certificate_id)).judgement.statuses[0].text


async def test_an_upload_is_kept_assigned_written_down_and_told_to_the_nodes_it_concerns(world: World):
    await add_nodes(world, "n1", "n2", "n3")
    record, created = await upload(world, make_leaf(ISSUER), ["n1", "n2"])
    assert created
    assert {each.node for each in await world.store.certificates.nodes_of(record.id)} == {"n1", "n2"}
    assert world.fleet.changes == [{"n1", "n2"}]
    assert await world.acts() == [("ada", "certificate.uploaded", f"certificate {record.id}")]


async def test_an_upload_to_many_nodes_asks_the_store_no_more_often_than_one_to_few(
    world: World, monkeypatch
):
    names = [f"n{number}" for number in range(40)]
    await add_nodes(world, *names)
    read, asked = Database.read, []
    monkeypatch.setattr(Database, "read", lambda database: asked.append(1) or read(database))
    counts = []
    # the first of all also reads what is there
    for nodes in (names[:1], names[:2], names):
        asked.clear()
        await upload(world, make_leaf(ISSUER), nodes)
        counts.append(len(asked))
    assert counts[1] == counts[2]


async def test_an_upload_to_a_node_that_is_not_there_names_it_before_anything_is_read(world: World):
    await add_nodes(world, "n1")
    with pytest.raises(NotFoundError, match="there is no node 'n2'"):
        await upload(world, make_leaf(ISSUER), ["n1", "n2", "n3"], certificate="nothing")


async def test_a_replacement_of_the_same_issuer_and_serial_concerns_every_node_that_has_it(world: World):
    await add_nodes(world, "n1", "n2")
    made = make_leaf(ISSUER, serial=7)
    first, _ = await upload(world, made, ["n1"])
    again, created = await upload(world, make_leaf(ISSUER, serial=7, key=made.key), ["n2"])
    assert (again.id, created) == (first.id, False)
    assert world.fleet.changes[-1] == {"n1", "n2"}
    assert (await world.acts())[-1] == ("ada", "certificate.updated", f"certificate {first.id}")


async def test_an_import_updates_what_has_its_issuer_and_serial_number_and_adds_the_rest(world: World):
    await add_nodes(world, "n1", "n2")
    made, other = make_leaf(ISSUER, serial=7), make_leaf(ISSUER, serial=8)
    old, _ = await upload(world, made, ["n1"])
    await upload(world, other, ["n2"])
    ca = make_root()
    ((trusted, _),) = (await world.use_cases.trust.take(ca.certificate_pem, actor="ada")).kept
    reissued = make_leaf(ISSUER, serial=7, key=made.key, not_after_s=NOW_S + 9 * DAY_S)
    beside = make_leaf(ISSUER, serial=9, key=made.key)
    files = [
        ImportFile("reissued.pem", reissued.certificate_pem.encode()),
        ImportFile("beside.pem", beside.certificate_pem.encode()),
        ImportFile("both.key", made.key_pem.encode()),
        ImportFile("ca.pem", ca.certificate_pem.encode()),
    ]
    world.wait(1)
    kept = await world.use_cases.certificates.import_files(files, passphrase=None, actor="ada")
    assert [(record.id == old.id, created) for record, created in kept.tls] == [(True, False), (False, True)]
    assert [(record.id, created) for record, created in kept.trusted_cas] == [(trusted.id, False)]
    views = await listed(world)
    assert len(views) == 3
    assert views[old.id].entry.leaf.not_after_s == NOW_S + 9 * DAY_S
    assert [each.node for each in views[old.id].entry.places] == ["n1"], "it is where it was"
    new = next(record for record, created in kept.tls if created)
    assert views[new.id].entry.leaf.subject_name == views[old.id].entry.leaf.subject_name
    assert views[new.id].entry.places == ()


async def test_an_import_without_a_key_updates_the_certificate_that_has_it_and_no_other(world: World):
    made = make_leaf(ISSUER, serial=7)
    old, _ = await upload(world, made, [])
    key = await world.store.certificates.private_key(old.id)
    corrected = make_leaf(ISSUER, serial=7, key=made.key, not_after_s=NOW_S + 9 * DAY_S)
    stranger = make_leaf(ISSUER, serial=7)
    world.wait(1)
    kept = await world.use_cases.certificates.import_files(
        [ImportFile("new.pem", (corrected.certificate_pem + ISSUER.certificate_pem).encode())],
        passphrase=None,
        actor="ada",
    )
    assert [(record.id, created) for record, created in kept.tls] == [(old.id, False)]
    assert kept.trusted_cas == [], "its issuer stays with it"
    assert (await listed(world))[old.id].entry.leaf.der == corrected.certificate_der
    assert await world.store.certificates.private_key(old.id) == key
    with pytest.raises(PkiFindingsError, match="no private key"):
        await world.use_cases.certificates.import_files(
            [ImportFile("other.pem", stranger.certificate_pem.encode())], passphrase=None, actor="ada"
        )


async def test_an_import_of_what_is_usable_says_what_was_left_out(world: World):
    good, bad = make_leaf(ISSUER), make_leaf(ISSUER)
    files = [
        ImportFile("good.pem", (good.certificate_pem + good.key_pem).encode()),
        ImportFile("Bad.pem", bad.certificate_pem[:200].encode()),
    ]
    with pytest.raises(PkiFindingsError):
        await world.use_cases.certificates.import_files(files, passphrase=None, actor="ada")
    kept = await world.use_cases.certificates.import_files(
        files, passphrase=None, skip_unusable=True, actor="ada"
    )
    assert [record.fingerprint for record, _ in kept.tls] == [decode(good.certificate_der).fingerprint]
    assert [(found.file, found.block) for found in kept.left_out] == [("Bad.pem", 1)]


async def test_an_import_of_what_is_usable_leaves_out_what_would_overwrite_another_key(world: World):
    made, other, good = make_leaf(ISSUER, serial=7), make_leaf(ISSUER, serial=7), make_leaf(ISSUER)
    old, _ = await upload(world, made, [])
    text = other.certificate_pem + other.key_pem + good.certificate_pem + good.key_pem
    files = [ImportFile("both.pem", text.encode())]
    with pytest.raises(ConflictError):
        await world.use_cases.certificates.import_files(files, passphrase=None, actor="ada")
    kept = await world.use_cases.certificates.import_files(
        files, passphrase=None, skip_unusable=True, actor="ada"
    )
    assert [record.fingerprint for record, _ in kept.tls] == [decode(good.certificate_der).fingerprint]
    (left,) = kept.left_out
    assert f"certificate {old.id}" in left.message
    assert (await listed(world))[old.id].entry.leaf.der == made.certificate_der


async def test_an_upload_for_a_node_that_does_not_exist_keeps_nothing(world: World):
    await add_nodes(world, "n1")
    with pytest.raises(NotFoundError):
        await upload(world, make_leaf(ISSUER), ["n1", "n9"])
    assert await listed(world) == {}
    assert (world.fleet.changes, await world.acts(), world.workers.calls) == ([], [], [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"private_key": make_leaf(ISSUER).key_pem}, Reason.KEY_MISMATCH),
        ({"private_key": ""}, Reason.INVALID),
        ({"certificate": "nothing of the kind"}, Reason.PARSE),
        (
            {"private_key": make_leaf(ISSUER).encrypted_key_pem("right"), "passphrase": "wrong"},
            Reason.INVALID,
        ),
    ],
)
async def test_an_upload_that_cannot_be_served_is_refused_whole(world: World, changes, reason):
    with pytest.raises(PkiFindingsError) as caught:
        await upload(world, make_leaf(ISSUER), **changes)
    assert reason in {finding.reason for finding in caught.value.findings}
    assert await listed(world) == {}
    assert (world.fleet.changes, await world.acts()) == ([], [])


def test_a_slot_that_no_node_has_is_refused():
    with pytest.raises(InvalidInputError) as caught:
        slot_name("third")
    assert caught.value.field == "slot"


async def test_a_slot_has_one_certificate_and_a_certificate_any_number_of_slots(world: World):
    await add_nodes(world, "n1", "n2")
    old, _ = await upload(world, make_leaf(ISSUER), ["n1", "n2"])
    new, _ = await upload(world, make_leaf(ISSUER))
    await world.use_cases.assignments.assign(new.id, nodes=["n1"], slot="server", actor="ada")
    await world.use_cases.assignments.assign(new.id, nodes=["n1"], slot="client", actor="ada")
    views = await listed(world)
    assert [(each.node, each.slot) for each in views[old.id].entry.places] == [("n2", "server")]
    assert [(each.node, each.slot) for each in views[new.id].entry.places] == [
        ("n1", "client"),
        ("n1", "server"),
    ]


async def test_all_means_every_node_but_the_management_node(world: World):
    await add_nodes(world, "n1", "n2")
    await world.store.nodes.add("management", "management", names=[], addresses=[], now_s=NOW_S)
    record, _ = await upload(world, make_leaf(ISSUER))
    assigned = await world.use_cases.assignments.assign(record.id, nodes=None, slot="server", actor="ada")
    assert set(assigned.nodes) == {"n1", "n2"}
    assert world.fleet.changes[-1] == {"n1", "n2"}


async def test_assigning_to_some_nodes_that_exist_and_one_that_does_not_assigns_to_none(world: World):
    await add_nodes(world, "n1")
    record, _ = await upload(world, make_leaf(ISSUER))
    with pytest.raises(NotFoundError):
        await world.use_cases.assignments.assign(record.id, nodes=["n1", "n9"], slot="server", actor="ada")
    assert await world.store.assignments.list() == []


async def test_a_certificate_in_use_is_deleted_only_when_forced(world: World):
    await add_nodes(world, "n1", "n2")
    record, _ = await upload(world, make_leaf(ISSUER), ["n1", "n2"])
    with pytest.raises(ConflictError) as caught:
        await world.use_cases.certificates.delete([record.id], force=False, actor="ada")
    assert "n1, n2" in caught.value.message
    lost = await world.use_cases.certificates.delete([record.id], force=True, actor="ada")
    assert [each.node for each in lost] == ["n1", "n2"]
    assert world.fleet.changes[-1] == {"n1", "n2"}
    with pytest.raises(NotFoundError):
        await world.use_cases.certificates.show(record.id)


async def test_emptying_a_slot_is_told_once_and_an_empty_one_not_at_all(world: World):
    await add_nodes(world, "n1")
    await upload(world, make_leaf(ISSUER), ["n1"])
    for _ in range(2):
        await world.use_cases.assignments.unassign("n1", "server", actor="ada")
    assert world.fleet.changes == [{"n1"}, {"n1"}]
    with pytest.raises(NotFoundError):
        await world.use_cases.assignments.unassign("n9", "server", actor="ada")


async def test_the_status_is_as_of_now(world: World):
    record, _ = await upload(world, make_leaf(ISSUER, not_after_s=NOW_S + 100 * DAY_S))
    assert await status(world, record.id) == "Good"
    world.wait(60 * DAY_S)
    assert await status(world, record.id) == "40 days left"
    world.wait(41 * DAY_S)
    assert await status(world, record.id) == "Expired"


async def test_certificates_are_decoded_once_and_off_the_loop(world: World, monkeypatch):
    where, decode = [], subject.decode
    monkeypatch.setattr(
        subject, "decode", lambda der: where.append(threading.current_thread()) or decode(der)
    )
    await upload(world, make_leaf(ISSUER))
    for _ in range(3):
        await listed(world)
    assert len(where) == 2  # the leaf and its issuer
    assert threading.main_thread() not in where


async def test_a_ca_whose_key_is_stored_is_kept_as_a_certificate_and_said_not_to_be_trusted(world: World):
    own = make_root("own.example.com")
    give = world.use_cases.certificates.import_files
    first = await give(
        [ImportFile("own.pem", (own.key_pem + own.certificate_pem).encode())], passphrase=None, actor="ada"
    )
    again = await give([ImportFile("own.crt", own.certificate_pem.encode())], passphrase=None, actor="ada")
    for found in (first, again):
        assert found.trusted_cas == []
        assert [each.code for each in found.consequences] == ["not_trusted"]
        assert not found.consequences[0].asks
    assert first.tls[0][0].id == again.tls[0][0].id
    given = await give(
        [ImportFile("own.crt", own.certificate_pem.encode())], passphrase=None, peers=True, actor="ada"
    )
    assert [record.subject_name for record, _ in given.trusted_cas] == ["own.example.com"]


async def test_certificates_that_come_one_after_the_other_share_their_intermediate_in_memory(world: World):
    for serial in range(1, 5):
        await upload(world, make_leaf(ISSUER, serial=serial))
        entries = (await world.use_cases.inventory()).entries
    assert [len(each.uploaded) for each in entries.values()] == [1] * 4
    assert len({id(one) for each in entries.values() for one in each.uploaded}) == 1
