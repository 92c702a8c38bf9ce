"""What OpenSSL cannot load: refused at every entrance, and held out of bundles where it stands already."""

from dataclasses import replace

import pytest

from common.ids import NodeName
from common.pki.certificate import decode
from common.pki.finding import LintCode
from common.pki.pem import pem_of
from manager.domain.alarms import AlarmKind, conditions_of_inventory
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.desired import desired_from
from manager.domain.facts import NodeFacts
from manager.domain.trust import CLIENT_CA_LIST_MAX_BYTES, client_ca_list_bytes
from manager.fleet.compiler import Compiler
from manager.pki.read.batch import ImportFile
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.upload import read_tls
from manager.store.inventory import Inventories
from manager.usecases import material_checks
from manager.usecases.kept import new_certificate, new_trusted_ca
from manager.usecases.uploads import Edit, Upload
from tests.pki import NOW_S, chain_pem, make_intermediate, make_leaf, make_root, spoiled
from tests.unit.usecases.conftest import BUILTIN, World

ROOT = make_root("Sound Root")
ODD_ROOT = decode(spoiled(make_root("Gerate CA"), b"Gerate", b"Ger\xe4te"))
LOW = make_intermediate(ROOT, "Issuing")
LEAF = make_leaf(LOW)
ODD_LEAF = pem_of(spoiled(LEAF, b"node.example.com", b"n\xf6de.example.com", signer=LOW))
NAME = NodeName("one")


async def refused(entrance) -> str:
    with pytest.raises(PkiFindingsError) as caught:
        await entrance
    return str(caught.value)


async def upload(world: World, certificate: str = "", key: str = LEAF.key_pem):
    return await world.use_cases.certificates.upload(
        Upload(
            certificate=certificate, private_key=key, passphrase=None, parameters="", nodes=[], slot="server"
        ),
        actor="ada",
    )


async def test_a_trusted_ca_that_openssl_cannot_load_is_refused_by_name_at_every_entrance(world: World):
    use_cases = world.use_cases
    sound, _ = await use_cases.trust.upload_one(ROOT.certificate_pem, trusted_intermediate=True, actor="ada")
    entrances = [
        use_cases.trust.take(ROOT.certificate_pem + ODD_ROOT.pem, actor="ada"),
        use_cases.trust.upload_one(ODD_ROOT.pem, trusted_intermediate=True, actor="ada"),
        use_cases.trust.edit(
            sound.id, certificate=ODD_ROOT.pem, trusted_intermediate=None, force=True, actor="ada"
        ),
        use_cases.certificates.import_files(
            [ImportFile("odd.pem", ODD_ROOT.pem.encode())], passphrase=None, actor="ada"
        ),
        upload(world, chain_pem(LEAF, LOW) + ODD_ROOT.pem),
    ]
    for entrance in entrances:
        said = await refused(entrance)
        assert "cannot be loaded by OpenSSL" in said
        assert "UTF8String that is not UTF-8" in said
    assert [shown.record.id for shown in await use_cases.trust.list()] == [sound.id]
    assert world.workers.calls, "it was tried where it can be killed"


async def test_a_certificate_that_openssl_cannot_load_is_refused_when_uploaded_edited_and_previewed(
    world: World,
):
    record = (await upload(world, chain_pem(LEAF, LOW))).record
    certificates = world.use_cases.certificates
    odd = ODD_LEAF + LOW.certificate_pem
    assert "cannot be loaded by OpenSSL" in await refused(upload(world, odd))
    assert "cannot be loaded by OpenSSL" in await refused(
        certificates.edit(record.id, Edit(certificate=odd), actor="ada")
    )
    assert "cannot be loaded by OpenSSL" in await refused(
        world.use_cases.previews.certificate(
            Upload(
                certificate=odd,
                private_key=LEAF.key_pem,
                passphrase=None,
                parameters="",
                nodes=[],
                slot="server",
            )
        )
    )


def places(read, *arguments, **options) -> list[tuple[str | None, int | None, int | None]]:
    with pytest.raises(PkiFindingsError) as caught:
        read(*arguments, **options)
    assert "cannot be loaded by OpenSSL" in str(caught.value)
    return [(each.file, each.block, each.line) for each in caught.value.findings]


def test_what_openssl_cannot_load_is_refused_with_its_place_at_every_entrance():
    sound, odd = ROOT.certificate_pem, ODD_ROOT.pem
    after = len(sound.splitlines()) + 1
    assert places(material_checks.read_trusted_cas, sound + odd) == [(None, 2, after)]
    assert places(material_checks.read_trusted_ca, "\n" + odd) == [("certificate", 1, 2)]
    key = LEAF.key_pem
    assert places(material_checks.read_tls, certificate=LEAF.certificate_pem + odd, private_key=key) == [
        ("certificate", 2, len(LEAF.certificate_pem.splitlines()) + 1)
    ]
    assert places(material_checks.read_for_key, certificate=ODD_LEAF, private_key=key, owner="its key") == [
        ("certificate", 1, 1)
    ]
    files = [ImportFile("sound.pem", sound.encode()), ImportFile("odd.pem", b"# odd\n" + odd.encode())]
    assert places(material_checks.read_batch, files) == [("odd.pem", 1, 2)]
    left_out = material_checks.read_batch(files, skip_unusable=True).left_out
    assert [(each.file, each.block, each.line) for each in left_out] == [("odd.pem", 1, 2)]


async def custom_ca(world: World, facts: NodeFacts):
    compiler = Compiler(world.store, Inventories(world.store, [decode(BUILTIN.certificate_der)]))
    manifests, bodies = await compiler.preview([facts], epoch=1, now_s=NOW_S, forced=False)
    manifest = manifests[facts.name].manifest
    files = {entry.path: bodies.get(entry.digest) for entry in manifest.entries}
    return manifest, files


async def test_a_trusted_ca_that_stands_already_is_held_out_of_every_bundle_and_said(world: World):
    new = [new_trusted_ca(decode(ROOT.certificate_der)), new_trusted_ca(ODD_ROOT)]
    (_, (odd, _)) = await world.store.trusted_cas.add(new, now_s=NOW_S)
    await world.store.nodes.add(name=NAME, kind="node", names=["node.example.com"], addresses=[], now_s=NOW_S)
    manifest, files = await custom_ca(world, NodeFacts(name=NAME, kind="node", joined=True))
    assert files["trust/custom-ca.pem"] == ROOT.certificate_pem.encode()
    assert ODD_ROOT.pem.encode() not in files["trust/ca-certificates.pem"]
    assert manifest.anchors == 2
    shown = await world.use_cases.trust.show(odd.id)
    assert "UTF8String that is not UTF-8" in shown.held_out
    inventory = await Inventories(world.store).current()
    (alarm,) = [
        each
        for each in conditions_of_inventory(inventory, republished={}, now_s=NOW_S)
        if each.subject.kind is AlarmKind.TRUSTED_CA_HELD_OUT
    ]
    assert (alarm.subject.key, alarm.label.endswith(f"(trusted CA {odd.id})")) == (
        f"trusted_ca:{odd.id}",
        True,
    )
    assert "ca-certificates.pem and custom-ca.pem" in alarm.details
    assert "UTF8String" in alarm.details


@pytest.mark.parametrize("slot", ["server", "client"])
async def test_a_certificate_that_stands_already_is_held_out_and_the_node_keeps_what_it_had(
    world: World, slot
):
    await world.store.nodes.add(name=NAME, kind="node", names=["node.example.com"], addresses=[], now_s=NOW_S)
    material = read_tls(certificate=chain_pem(LEAF, LOW), private_key=LEAF.key_pem)
    sound, _ = await world.store.certificates.add(
        new_certificate(material), nodes=[NAME], slot=slot, now_s=NOW_S
    )
    facts = NodeFacts(name=NAME, kind="node", joined=True)
    before, _ = await custom_ca(world, facts)
    made = new_certificate(material)
    decoded = replace(made.decoded, fingerprint="ab" * 32, serial_no="7F")
    odd = replace(made, text=ODD_LEAF, leaf_pem=ODD_LEAF, decoded=decoded)
    record, _ = await world.store.certificates.add(odd, nodes=[NAME], slot=slot, now_s=NOW_S)
    facts.desired = desired_from(before, NOW_S)
    compiler = Compiler(world.store, Inventories(world.store, [decode(BUILTIN.certificate_der)]))
    manifests, _ = await compiler.preview([facts], epoch=1, now_s=NOW_S, forced=False)
    assert manifests == {}, "what is desired stays as it was"
    assert before.slots[slot].leaf == sound.fingerprint
    inventory = await world.use_cases.certificates.show(record.id)
    assert LintCode.UNLOADABLE in [each.code for each in inventory.judgement.findings]
    assert inventory.judgement.headline.text == "OpenSSL cannot load it"
    found = conditions_of_inventory(await Inventories(world.store).current(), republished={}, now_s=NOW_S)
    assert AlarmKind.CERTIFICATE_HELD_OUT in [each.subject.kind for each in found]


async def test_more_names_than_tls_has_room_for_are_warned_of_and_an_alarm(world: World):
    def many(count: int, first: int = 0) -> list:
        return [
            decode(make_root(f"{first + number:04d} {'x' * 50}").certificate_der) for number in range(count)
        ]

    one = client_ca_list_bytes(many(1))
    room = CLIENT_CA_LIST_MAX_BYTES - client_ca_list_bytes([decode(BUILTIN.certificate_der)])
    fits = many(room // one)
    await world.store.trusted_cas.add([new_trusted_ca(each) for each in fits], now_s=NOW_S)
    assert await world.use_cases.trust.warnings() == []
    more = many(1, first=len(fits))[0]

    async def take(confirm: str):
        return await world.use_cases.trust.take(more.pem, skip_unusable=False, confirm=confirm, actor="ada")

    with pytest.raises(ConfirmationNeededError, match="fails at every TLS handshake"):
        await world.use_cases.certificates.import_files(
            [ImportFile("more.pem", more.pem.encode())], passphrase=None, confirm="", actor="ada"
        )
    with pytest.raises(ConfirmationNeededError, match="fails at every TLS handshake") as asked:
        await take("")
    assert await world.use_cases.trust.warnings() == [], "nothing was kept"
    taken = await take(asked.value.token)
    assert [each.code for each in taken.consequences] == ["client_ca_list_too_long"]
    assert (await take("")).consequences == [], "it is as long as before"
    (warning,) = await world.use_cases.trust.warnings()
    assert warning.startswith("A service that asks clients for a certificate by ca-certificates.pem (")
    assert "custom-ca.pem" not in warning
    found = conditions_of_inventory(
        await Inventories(world.store, [decode(BUILTIN.certificate_der)]).current(),
        republished={},
        now_s=NOW_S,
    )
    assert [each.details for each in found if each.subject.kind is AlarmKind.CLIENT_CA_LIST_TOO_LONG] == [
        warning
    ]


def test_names_that_several_cas_share_are_sent_once():
    twice = [decode(make_root("Same").certificate_der) for _ in range(2)]
    assert client_ca_list_bytes(twice) == client_ca_list_bytes(twice[:1])


async def test_a_trusted_ca_that_is_held_out_is_not_among_those_that_a_confirmed_deletion_leaves(
    world: World,
):
    sound = [decode(make_root(f"Root {number}").certificate_der) for number in range(4)]
    await world.store.trusted_cas.add([new_trusted_ca(each) for each in (*sound, ODD_ROOT)], now_s=NOW_S)
    _, second, third, fourth, _ = [each.record.id for each in await world.use_cases.trust.list()]
    before = (await Inventories(world.store, [decode(BUILTIN.certificate_der)]).current()).trust
    assert len(before.held_out) == 1
    await world.use_cases.trust.delete([second, third, fourth], force=True, actor="ada")
    assert await world.store.trusted_cas.confirmed_anchors() == len(before.builtin) + 1
