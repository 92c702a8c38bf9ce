"""What a change means is told before it is made, and confirmed as it was told."""

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key, pkcs12
from cryptography.x509 import load_der_x509_certificate
from cryptography.x509.oid import ExtendedKeyUsageOID

from manager.domain.consequences import ConfirmationNeededError, Consequence
from manager.domain.identity import IdentityConflictError
from manager.domain.model import NodeDescription
from manager.pki.read.batch import ImportFile
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.reader import as_text
from manager.usecases.requests import KeyChoice, RequestChanges
from manager.usecases.uploads import Upload
from tests.pki import DAY_S, NOW_S, Made, make_intermediate, make_leaf, make_root, make_rsa_key, sign_request
from tests.unit.usecases.conftest import World

ROOT = make_root()
ISSUER = make_intermediate(ROOT)
WEST = ("west.example.com", "sip.west.example.com")


@pytest.fixture(autouse=True)
async def _trusted(world: World) -> None:
    await world.operations.trust.take(ROOT.certificate_pem, actor="ada")


async def add_node(world: World, name: str, *names: str) -> None:
    await world.store.nodes.add(name, "node", names=names, addresses=[], now_s=NOW_S)
    world.fleet.nodes.add(name)


async def upload(world: World, made: Made, nodes=(), slot="server", **more):
    return await world.operations.certificates.upload(
        Upload(
            certificate=made.certificate_pem + ISSUER.certificate_pem,
            private_key=made.key_pem,
            passphrase=None,
            parameters="",
            nodes=list(nodes),
            slot=slot,
        ),
        **more,
        actor="ada",
    )


async def refused(change) -> ConfirmationNeededError:
    with pytest.raises(ConfirmationNeededError) as caught:
        await change
    return caught.value


def codes(found: list[Consequence] | tuple[Consequence, ...]) -> set[str]:
    return {each.code for each in found}


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
    for told in ("node.example.com", "other.example.com", kept.fingerprint[:16], "n1", "lost for good"):
        assert told in error.message
    assert await world.store.certificates.private_key(kept.id) == first.key_pem
    done = await upload(world, second, confirm=error.token)
    assert (done.record.id, done.created) == (kept.id, False)
    assert await world.store.certificates.private_key(kept.id) == second.key_pem


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
    await world.operations.certificates.delete([1], force=False, confirm="", actor="ada")
    told = await refused(world.operations.certificates.delete([2], force=False, confirm="", actor="ada"))
    assert codes(told.consequences) == {"key_lost"}


async def test_a_batch_never_replaces_a_key_and_keeps_nothing_then(world: World):
    first = make_leaf(ISSUER, serial=1)
    await upload(world, first)
    files = [
        ImportFile(f"{number}.pem", (made.certificate_pem + made.key_pem).encode())
        for number, made in enumerate((make_leaf(ISSUER), make_leaf(ISSUER, serial=1)))
    ]
    for confirm in (None, "", "x"):
        with pytest.raises(IdentityConflictError):
            await world.operations.certificates.import_files(
                files, passphrase=None, confirm=confirm, actor="ada"
            )
    assert len(await world.store.certificates.list()) == 1


async def test_a_certificate_for_another_name_is_told_of_by_node_and_name(world: World):
    await add_node(world, "n1", *WEST)
    await add_node(world, "n2", "east.example.com")
    await add_node(world, "n3", "n3")
    await add_node(world, "n4", "west")
    record = (await upload(world, make_leaf(ISSUER, ["west.example.com"]))).record
    assign = world.operations.assignments.assign
    error = await refused(assign(record.id, nodes=None, slot="server", confirm="", actor="ada"))
    (mismatch,) = [each for each in error.consequences if each.code == "name_mismatch"]
    assert mismatch.nodes == ("n1", "n2")
    for told in ("n1 (sip.west.example.com)", "n2 (east.example.com)", "valid for west.example.com"):
        assert told in mismatch.message
    assert await world.store.assignments.list() == []
    # the name of a server does not matter to what a node shows as a client
    done = await assign(record.id, nodes=None, slot="client", confirm="", actor="ada")
    assert done.consequences == []
    # a program is not held up, and told
    done = await assign(record.id, nodes=["n2"], slot="server", actor="ada")
    assert codes(done.consequences) == {"name_mismatch"}


@pytest.mark.parametrize(
    ("changes", "slot", "code"),
    [
        ({"not_after_s": NOW_S - DAY_S}, "server", "expired"),
        ({"not_before_s": NOW_S + DAY_S}, "server", "not_yet_valid"),
        ({"usages": [ExtendedKeyUsageOID.SERVER_AUTH]}, "client", "no_client_auth"),
        ({"usages": [ExtendedKeyUsageOID.CLIENT_AUTH]}, "server", "no_server_auth"),
    ],
)
async def test_what_nodes_and_clients_would_refuse_is_told_before(world: World, changes, slot, code):
    await add_node(world, "n1", "node.example.com")
    record = (await upload(world, make_leaf(ISSUER, **changes))).record
    assign = world.operations.assignments.assign(record.id, nodes=["n1"], slot=slot, confirm="", actor="ada")
    assert code in codes((await refused(assign)).consequences)
    assert await world.store.assignments.list() == []


async def test_a_renewal_that_lacks_nothing_is_asked_nothing(world: World):
    await add_node(world, "n1", *WEST)
    old = (await upload(world, make_leaf(ISSUER, WEST), ["n1"], confirm="")).record
    new = (await upload(world, make_leaf(ISSUER, WEST, not_after_s=NOW_S + 400 * DAY_S))).record
    done = await world.operations.assignments.assign(
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
    edit = world.operations.certificates.edit
    error = await refused(
        edit(
            record.id,
            certificate=other.certificate_pem + ISSUER.certificate_pem,
            slot="server",
            confirm="",
            actor="ada",
        )
    )
    assert "names_lost" in codes(error.consequences)
    error = await refused(edit(record.id, nodes=[], slot="server", confirm="", actor="ada"))
    assert codes(error.consequences) == {"nodes_left_without"}
    assert await edit(record.id, nodes=[], slot="server", confirm=error.token, actor="ada")
    assert await world.store.assignments.list() == []


async def test_an_answer_is_held_against_its_request_and_what_it_replaces(world: World):
    await add_node(world, "n1", *WEST)
    old = (await upload(world, make_leaf(ISSUER, WEST), ["n1"])).record
    request = await world.operations.requests.create(
        replaces=old.id,
        changes=RequestChanges(extra_alt_names=["more.example.com"]),
        key=KeyChoice(private_key=make_leaf(ISSUER).key_pem),
        actor="ada",
    )
    short = make_leaf(
        ISSUER,
        ["west.example.com"],
        key=load_pem_private_key((await world.store.requests.private_key(request.id)).encode(), None),
    )

    async def answer(certificate: str, confirm: str | None):
        return await world.operations.requests.answer(
            request.id,
            certificate=certificate + ISSUER.certificate_pem,
            parameters="",
            take_over=True,
            nodes=[],
            slot="server",
            confirm=confirm,
            actor="ada",
        )

    error = await refused(answer(short.certificate_pem, ""))
    assert {"names_missing", "names_lost", "name_mismatch"} <= codes(error.consequences)
    assert "more.example.com" in error.message
    assert (await world.store.requests.get(request.id)).answer_id is None
    whole = await answer(sign_request(ISSUER, request.pem), "")
    assert list(whole.nodes) == ["n1"]
    told = await answer(short.certificate_pem, None)
    assert "names_missing" in codes(told.consequences)


async def test_deleting_names_the_nodes_and_the_keys_that_go(world: World):
    await add_node(world, "n1", "node.example.com")
    record = (await upload(world, make_leaf(ISSUER), ["n1"])).record
    delete = world.operations.certificates.delete
    error = await refused(delete([record.id], force=False, confirm="", actor="ada"))
    assert codes(error.consequences) == {"key_lost", "nodes_left_without"}
    assert (await delete([record.id], force=False, confirm=error.token, actor="ada"))[0].node == "n1"


async def test_removing_a_node_and_an_unanswered_request_is_told(world: World):
    await world.operations.nodes.add("n1", names=[], addresses=[], actor="ada")
    error = await refused(world.operations.nodes.remove("n1", confirm="", actor="ada"))
    assert codes(error.consequences) == {"node_removed"}
    await world.operations.nodes.remove("n1", confirm=error.token, actor="ada")
    request = await world.operations.requests.create(
        replaces=None,
        changes=RequestChanges(subject="CN=a.example.com"),
        key=KeyChoice(private_key=make_leaf(ISSUER).key_pem),
        actor="ada",
    )
    error = await refused(world.operations.requests.delete([request.id], confirm="", actor="ada"))
    assert codes(error.consequences) == {"request_unanswered"}


async def test_other_names_of_a_node_that_its_certificate_lacks_are_told(world: World):
    await add_node(world, "n1", "west.example.com")
    await upload(world, make_leaf(ISSUER, WEST), ["n1"])
    describe = world.operations.nodes.describe
    same = NodeDescription(names=list(WEST), addresses=[])
    assert await describe("n1", same, confirm="", actor="ada") == []
    error = await refused(
        describe("n1", NodeDescription(names=["new.example.com"], addresses=[]), confirm="", actor="ada")
    )
    assert codes(error.consequences) == {"name_mismatch"}
    assert (await world.store.nodes.get("n1")).names == WEST


async def test_a_trusted_ca_that_goes_is_told_with_the_chains_that_break(world: World):
    await upload(world, make_leaf(ISSUER))
    await world.operations.trust.take(
        "".join(make_root(f"Other {number}").certificate_pem for number in range(9)), actor="ada"
    )
    error = await refused(world.operations.trust.delete([1], force=False, confirm="", actor="ada"))
    assert codes(error.consequences) == {"untrusted", "chain_broken"}
    assert "node.example.com" in error.message
    await world.operations.trust.delete([1], force=False, confirm=error.token, actor="ada")


async def test_a_renewed_certificate_without_its_key_is_kept_beside_the_one_that_has_it(world: World):
    made = make_leaf(ISSUER, serial=1)
    old = (await upload(world, made)).record
    renewed = make_leaf(ISSUER, serial=2, key=made.key, not_after_s=NOW_S + 500 * DAY_S)
    corrected = make_leaf(ISSUER, serial=1, key=made.key, not_after_s=NOW_S + 400 * DAY_S)
    kept = await world.operations.certificates.import_files(
        [ImportFile("a.pem", renewed.certificate_pem.encode())], passphrase=None, confirm="", actor="ada"
    )
    ((record, created),) = kept.tls
    assert created
    assert await world.store.certificates.private_key(record.id) == made.key_pem
    kept = await world.operations.certificates.import_files(
        [ImportFile("b.pem", corrected.certificate_pem.encode())], passphrase=None, confirm="", actor="ada"
    )
    assert [(each.id, new) for each, new in kept.tls] == [(old.id, False)]


async def test_what_would_replace_another_key_is_left_out_where_the_usable_is_asked_for(world: World):
    await upload(world, make_leaf(ISSUER, serial=1))
    files = [
        ImportFile(f"{number}.pem", (made.certificate_pem + made.key_pem).encode())
        for number, made in enumerate((make_leaf(ISSUER), make_leaf(ISSUER, ["b.example.com"], serial=1)))
    ]
    kept = await world.operations.certificates.import_files(
        files, passphrase=None, skip_unusable=True, actor="ada"
    )
    assert len(kept.tls) == 1
    (left,) = kept.left_out
    assert "certificate 1 ('node.example.com'" in left.message
    assert "'b.example.com'" in left.message


async def test_a_chain_without_its_root_is_told_and_only_asked_about_where_it_was_complete(world: World):
    await add_node(world, "n1", "node.example.com")
    private = make_intermediate(make_root("Private Root"), "Private Issuing")
    unknown = make_leaf(private)

    async def give(made: Made, issuer: Made):
        return await world.operations.certificates.upload(
            Upload(
                certificate=made.certificate_pem + issuer.certificate_pem,
                private_key=made.key_pem,
                passphrase=None,
                parameters="",
                nodes=["n1"],
                slot="server",
            ),
            confirm="",
            actor="ada",
        )

    assert [(each.code, each.asks) for each in (await give(unknown, private)).consequences] == [
        ("chain", False)
    ]
    assert "chain" not in {
        each.code for each in (await give(make_leaf(ISSUER), ISSUER)).consequences if each.asks
    }
    error = await refused(give(make_leaf(private), private))
    assert [each.code for each in error.consequences if each.asks] == ["chain"]


async def test_a_self_signed_certificate_in_place_of_an_issued_one_wants_a_confirmation(world: World):
    await add_node(world, "n1", "node.example.com")
    life = {"not_before_s": NOW_S - DAY_S, "not_after_s": NOW_S + 365 * DAY_S}
    own = await upload(world, make_leaf(None, **life))
    await world.operations.assignments.assign(
        own.record.id, nodes=["n1"], slot="server", confirm="", actor="ada"
    )
    issued = await upload(world, make_leaf(ISSUER, **life), ["n1"], confirm="")
    error = await refused(
        world.operations.assignments.assign(
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
        made = await world.operations.requests.create(
            replaces=replaces,
            changes=RequestChanges(subject="CN=node.example.com"),
            key=KeyChoice(is_alike=True),
            actor="ada",
        )
        assert made.key_type == kind


async def test_another_servers_certificate_that_came_along_is_named_and_holds_nobody_up(world: World):
    made, other = make_leaf(ISSUER), make_leaf(ISSUER, ["other.example.com"])
    found = await world.operations.certificates.upload(
        Upload(
            certificate=made.certificate_pem
            + other.certificate_pem
            + ISSUER.certificate_pem
            + ROOT.certificate_pem,
            private_key=made.key_pem,
            passphrase=None,
            parameters="",
            nodes=[],
            slot="server",
        ),
        confirm="",
        actor="ada",
    )
    (said,) = found.consequences
    assert said.code == "not_served"
    assert "'CN=other.example.com' came along" in said.message
    again = await world.operations.certificates.edit(
        found.record.id,
        certificate=made.certificate_pem + other.certificate_pem,
        slot="server",
        confirm="",
        actor="ada",
    )
    assert "not_served" in codes(again)


async def test_an_entry_that_is_updated_in_place_does_not_share_its_key_with_itself(world: World):
    await add_node(world, "n1", "node.example.com")
    made = make_leaf(ISSUER, serial=1)
    again = make_leaf(ISSUER, serial=1, key=made.key, not_after_s=NOW_S + 400 * DAY_S)
    texts = {"certificate": again.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem}
    kept = (await upload(world, made, ["n1"])).record
    preview = await world.operations.previews.certificate(
        Upload(**texts, passphrase=None, parameters="", nodes=["n1"], slot="server")
    )
    assert preview.updates is not None
    assert "key_shared" not in {each.code for each in preview.judgement.findings}
    files = [ImportFile(f"{name}.pem", text.encode()) for name, text in texts.items()]
    imported = await world.operations.certificates.import_files(files, passphrase=None, actor="ada")
    assert [(record.id, created) for record, created in imported.tls] == [(kept.id, False)]
    assert not codes(imported.consequences)


async def test_an_edit_opens_an_encrypted_pkcs12_file(world: World):
    made = make_leaf(ISSUER, serial=1)
    kept = (await upload(world, made)).record
    again = make_leaf(ISSUER, serial=2, key=made.key)
    certificate = load_der_x509_certificate(again.certificate_der)
    packed = pkcs12.serialize_key_and_certificates(
        b"it", made.key, certificate, None, BestAvailableEncryption(b"open it")
    )
    edit = world.operations.certificates.edit
    text = as_text(packed, "a certificate")
    with pytest.raises(PkiFindingsError):
        await edit(kept.id, certificate=text, slot="server", actor="ada")
    await edit(kept.id, certificate=text, passphrase="open it", slot="server", actor="ada")
    assert (await world.store.certificates.get(kept.id)).fingerprint != kept.fingerprint


async def test_what_was_told_of_one_edit_of_a_trusted_ca_confirms_neither_another_nor_that_it_is_deleted(
    world: World,
):
    trust, other = world.operations.trust, make_intermediate(ROOT, "Other Issuing")
    taken = await trust.take(ISSUER.certificate_pem, actor="ada")
    ((record, _),) = taken.kept

    def edit(certificate: str | None, confirm: str):
        return trust.edit(
            record.id,
            certificate=certificate,
            trusted_intermediate=False,
            force=False,
            confirm=confirm,
            actor="ada",
        )

    error = await refused(edit(None, ""))
    for change in (
        trust.delete([record.id], force=False, confirm=error.token, actor="ada"),
        edit(other.certificate_pem, error.token),
    ):
        assert (await refused(change)).token != error.token
    kept = await edit(None, error.token)
    assert (kept.fingerprint, kept.trusted_intermediate) == (record.fingerprint, False)
