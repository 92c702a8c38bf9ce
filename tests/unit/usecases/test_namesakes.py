"""Two CAs of one name and different keys never read as if they were one, whichever of them is stored first."""

import pytest

from manager.pki.read.batch import ImportFile
from manager.usecases.uploads import Upload
from tests.pki import NOW_S, chain_pem, make_intermediate, make_leaf, make_root
from tests.unit.usecases.conftest import World

ROOT, NAMESAKE = make_root(), make_root()
ISSUER, OTHER_ISSUER = make_intermediate(ROOT, "Issuing"), make_intermediate(NAMESAKE, "Issuing")
LEAF = make_leaf(ISSUER)


@pytest.fixture(autouse=True)
async def _stored(world: World) -> None:
    await world.use_cases.trust.take(chain_pem(NAMESAKE, OTHER_ISSUER), actor="ada")


async def chain(world: World, *given) -> str:
    kept = await world.use_cases.certificates.upload(
        Upload(certificate=chain_pem(*given), private_key=LEAF.key_pem), actor="ada"
    )
    return (await world.use_cases.certificates.show(kept.record.id)).judgement.chain.explanation


async def test_a_missing_issuer_is_not_said_to_be_the_stored_one_of_its_name(world: World):
    assert await chain(world, LEAF) == (
        "The chain of trust is incomplete: issuer CN=Issuing not found. A CA of that name is known, but it has another key."
    )


async def test_an_untrusted_root_is_not_said_to_be_the_trusted_one_of_its_name(world: World):
    assert await chain(world, LEAF, ISSUER, ROOT) == (
        "The chain ends at CN=Test Root, which is not a trusted CA. A trusted CA has the same name, but another key."
    )


async def test_what_is_said_follows_the_trusted_cas(world: World):
    await chain(world, LEAF, ISSUER, ROOT)
    ids = [each.record.id for each in await world.use_cases.trust.list()]
    await world.use_cases.trust.delete(ids, force=True, actor="ada")
    inventory = await world.use_cases.inventory()
    assert inventory.chain(1, now_s=NOW_S).explanation == (
        "The chain ends at CN=Test Root, which is not a trusted CA."
    )


async def test_a_new_trusted_ca_is_told_from_the_one_of_its_name_by_number_and_fingerprint(world: World):
    taken = await world.use_cases.trust.take(ROOT.certificate_pem, confirm="", actor="ada")
    (shown,) = taken.consequences
    assert (shown.code, shown.asks) == ("same_name", False)
    assert "'CN=Test Root' (new, fingerprint " in shown.message
    assert "and trusted CA 1 (fingerprint " in shown.message
    again = await world.use_cases.trust.take(NAMESAKE.certificate_pem, confirm="", actor="ada")
    assert "trusted CA 1 " not in again.consequences[0].message


async def test_an_import_says_so_too_and_a_renewal_is_no_other_ca(world: World):
    give = world.use_cases.certificates.import_files
    found = await give([ImportFile("ca.crt", ROOT.certificate_pem.encode())], passphrase=None, actor="ada")
    assert [each.code for each in found.consequences] == ["same_name"]
    renewed = make_intermediate(NAMESAKE, "Issuing", key=OTHER_ISSUER.key)
    found = await give([ImportFile("ca.crt", renewed.certificate_pem.encode())], passphrase=None, actor="ada")
    assert found.consequences == []
