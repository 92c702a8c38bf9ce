import asyncio
import json

import pytest

from common.errors import NotFoundError
from common.ids import TrustedCaId
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.model import TrustedCaRecord
from manager.pki.read.findings import PkiFindingsError
from tests.pki import chain_pem, make_intermediate, make_leaf, make_root
from tests.unit.pki.openssl import of_a_curve_written_out
from tests.unit.usecases.conftest import World


async def test_every_ca_of_a_text_is_kept_once_and_concerns_all_nodes(world: World):
    root = make_root()
    issuing = make_intermediate(root)
    kept = (await world.use_cases.trust.take(chain_pem(root, issuing, root), actor="ada")).kept
    assert [(record.self_signed, created) for record, created in kept] == [(True, True), (False, True)]
    assert world.fleet.changes == [None]
    assert await world.acts() == [("ada", "trusted_ca.uploaded", "trusted CAs")]


async def test_uploading_a_ca_again_makes_no_second_one(world: World):
    root = make_root()
    await world.use_cases.trust.take(root.certificate_pem, actor="ada")
    kept = (await world.use_cases.trust.take(root.certificate_pem, actor="ada")).kept
    assert [created for _, created in kept] == [False]
    assert len(await world.use_cases.trust.list()) == 1


async def test_a_renewed_ca_of_the_same_subject_is_kept_beside_the_old_one(world: World):
    for made in (make_root(), make_root()):
        await world.use_cases.trust.take(made.certificate_pem, actor="ada")
    subjects = [shown.record.raw_subject for shown in await world.use_cases.trust.list()]
    assert (len(subjects), len(set(subjects))) == (2, 1)


async def test_one_that_is_no_ca_keeps_the_others_out_too(world: World):
    with pytest.raises(PkiFindingsError):
        await world.use_cases.trust.take(chain_pem(make_root(), make_leaf(make_root())), actor="ada")
    assert (await world.use_cases.trust.list(), world.fleet.changes, await world.acts()) == ([], [], [])


async def test_deleting_some_that_exist_and_one_that_does_not_deletes_none(world: World):
    ((record, _),) = (await world.use_cases.trust.take(make_root().certificate_pem, actor="ada")).kept
    with pytest.raises(NotFoundError):
        await world.use_cases.trust.delete([record.id, 99], force=True, actor="ada")
    assert len(await world.use_cases.trust.list()) == 1
    await world.use_cases.trust.delete([record.id], force=True, actor="ada")
    assert await world.use_cases.trust.list() == []
    assert world.fleet.changes == [None, None]


async def test_one_that_is_named_thousands_of_times_is_read_once_and_noted_once(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    ((record, _),) = (await world.use_cases.trust.take(make_root().certificate_pem, actor="ada")).kept
    read, get = [], world.store.trusted_cas.get

    async def counting(number: TrustedCaId) -> TrustedCaRecord:
        read.append(number)
        return await get(number)

    monkeypatch.setattr(world.store.trusted_cas, "get", counting)
    await world.use_cases.trust.delete([record.id] * 5000, force=True, actor="ada")
    assert read == [record.id]
    (noted, _) = await world.store.audit.list()
    assert json.loads(noted.detail) == {"ids": [record.id]}


async def test_two_small_losses_at_once_do_not_make_a_large_one(world: World):
    kept = (await world.use_cases.trust.take(chain_pem(*(make_root() for _ in range(10))), actor="ada")).kept
    ids = [record.id for record, _ in kept]
    ends = await asyncio.gather(
        world.use_cases.trust.delete(ids[:2], force=False, actor="ada"),
        world.use_cases.trust.delete(ids[2:4], force=False, actor="bob"),
        return_exceptions=True,
    )
    # two of ten are a fifth; two of the eight that are left are more, whoever comes second
    assert {type(end) for end in ends} == {type(None), ConfirmationNeededError}
    assert len(await world.use_cases.trust.list()) == 8


async def test_a_peers_own_certificate_is_trusted_shown_and_delivered_as_an_anchor(world: World):
    peer = make_leaf(None, ["peer.example.com"])
    ((record, created),) = (await world.use_cases.trust.take(peer.certificate_pem, actor="ada")).kept
    assert created
    assert record.is_anchor
    assert (await world.use_cases.trust.show(record.id)).certificate.der == peer.certificate_der
    assert peer.certificate_pem in (await world.use_cases.trust.export()).content.decode()


@pytest.mark.services("openssl")
async def test_a_ca_below_which_clients_accept_nothing_is_said_to_be_of_no_use(world: World, tmp_path):
    explicit = of_a_curve_written_out(tmp_path, "prime256v1", subject="/CN=Spelled Out")
    await world.use_cases.trust.take(explicit + make_root().certificate_pem, actor="ada")
    (bad, good) = await world.use_cases.trust.list()
    assert bad.faults == ["its public key spells out the curve's parameters instead of naming the curve"]
    assert good.faults == []
    (warning,) = await world.use_cases.trust.warnings()
    assert warning.startswith("clients accept nothing that CN=Spelled Out signed: its public key")
    added = await world.use_cases.trust.take(make_root().certificate_pem, actor="ada")
    assert added.warnings == [], "what was wrong before is no news"
    again = await world.use_cases.trust.take(bad.certificate.pem, actor="ada")
    assert again.warnings == [warning]
