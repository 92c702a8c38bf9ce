"""What is lost with a certificate, a node or a trusted CA is told before it goes."""

import pytest
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12
from cryptography.x509 import load_der_x509_certificate

from manager.domain.callers import Maker
from manager.domain.model import NodeDescription
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.reader import as_text
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.usecases.uploads import Edit
from tests.pki import make_intermediate, make_leaf, make_root
from tests.unit.usecases.confirming.conftest import ISSUER, ROOT, WEST, add_node, codes, refused, upload
from tests.unit.usecases.conftest import World


async def test_deleting_names_the_nodes_and_the_keys_that_go(world: World):
    await add_node(world, "n1", "node.example.com")
    record = (await upload(world, make_leaf(ISSUER), ["n1"])).record
    delete = world.use_cases.certificates.delete
    error = await refused(delete([record.id], force=False, confirm="", actor="ada"))
    assert codes(error.consequences) == {"key_lost", "nodes_left_without"}
    assert (await delete([record.id], force=False, confirm=error.token, actor="ada"))[0].node == "n1"


async def test_removing_a_node_and_an_unanswered_request_is_told(world: World):
    await world.use_cases.nodes.add("n1", NodeDescription(names=[], addresses=[]), maker=Maker(), actor="ada")
    error = await refused(world.use_cases.nodes.remove("n1", confirm="", actor="ada"))
    assert codes(error.consequences) == {"node_removed"}
    await world.use_cases.nodes.remove("n1", confirm=error.token, actor="ada")
    request = await world.use_cases.csrs.create(
        replaces=None,
        changes=CsrChanges(subject="CN=a.example.com"),
        key=KeyChoice(private_key=make_leaf(ISSUER).key_pem),
        actor="ada",
    )
    error = await refused(world.use_cases.csrs.delete([request.id], confirm="", actor="ada"))
    assert codes(error.consequences) == {"request_unanswered"}


async def test_other_names_of_a_node_that_its_certificate_lacks_are_told(world: World):
    await add_node(world, "n1", "west.example.com")
    await upload(world, make_leaf(ISSUER, WEST), ["n1"])
    describe = world.use_cases.nodes.describe
    same = NodeDescription(names=list(WEST), addresses=[])
    assert await describe("n1", same, confirm="", actor="ada") == []
    error = await refused(
        describe("n1", NodeDescription(names=["new.example.com"], addresses=[]), confirm="", actor="ada")
    )
    assert codes(error.consequences) == {"name_mismatch"}
    assert (await world.store.nodes.get("n1")).names == WEST


async def test_a_trusted_ca_that_goes_is_told_with_the_chains_that_break(world: World):
    await upload(world, make_leaf(ISSUER))
    await world.use_cases.trust.take(
        "".join(make_root(f"Other {number}").certificate_pem for number in range(9)), actor="ada"
    )
    error = await refused(world.use_cases.trust.delete([1], force=False, confirm="", actor="ada"))
    assert codes(error.consequences) == {"untrusted", "chain_broken"}
    assert "node.example.com" in error.message
    await world.use_cases.trust.delete([1], force=False, confirm=error.token, actor="ada")


async def test_an_edit_opens_an_encrypted_pkcs12_file(world: World):
    made = make_leaf(ISSUER, serial=1)
    kept = (await upload(world, made)).record
    again = make_leaf(ISSUER, serial=2, key=made.key)
    certificate = load_der_x509_certificate(again.certificate_der)
    packed = pkcs12.serialize_key_and_certificates(
        b"it", made.key, certificate, None, BestAvailableEncryption(b"open it")
    )
    edit = world.use_cases.certificates.edit
    text = as_text(packed, "a certificate")
    with pytest.raises(PkiFindingsError):
        await edit(kept.id, Edit(certificate=text), actor="ada")
    await edit(kept.id, Edit(certificate=text, passphrase="open it"), actor="ada")
    assert (await world.store.certificates.get(kept.id)).fingerprint != kept.fingerprint


async def test_what_was_told_of_one_edit_of_a_trusted_ca_confirms_neither_another_nor_that_it_is_deleted(
    world: World,
):
    trust, other = world.use_cases.trust, make_intermediate(ROOT, "Other Issuing")
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
    kept = (await edit(None, error.token)).record
    assert (kept.fingerprint, kept.trusted_intermediate) == (record.fingerprint, False)
