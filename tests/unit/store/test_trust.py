import pytest

from common.errors import NotFoundError
from manager.domain.model import TrustedCaRecord
from tests.unit.store.given import new_trusted_ca, shown_columns


async def test_trusted_cas_come_back_as_they_were_given(store):
    new = new_trusted_ca()
    ((record, created),) = await store.trusted_cas.add([new], now_s=5.0)
    assert created
    assert record == TrustedCaRecord(
        id=record.id,
        created_s=5.0,
        **shown_columns(new),
    )
    assert await store.trusted_cas.get(record.id) == record


async def test_the_same_issuer_and_serial_number_update_the_entry_that_is_there(store):
    ((first, _),) = await store.trusted_cas.add([new_trusted_ca("01")], now_s=1.0)
    kept = await store.trusted_cas.add(
        [new_trusted_ca("01", text="other\n"), new_trusted_ca("02")], now_s=2.0
    )
    assert [(record.id == first.id, created) for record, created in kept] == [(True, False), (False, True)]
    assert [record.text for record in await store.trusted_cas.list()] == ["other\n", kept[1][0].text]


async def test_all_or_none_are_deleted(store):
    kept = await store.trusted_cas.add([new_trusted_ca("01"), new_trusted_ca("02")], now_s=1.0)
    ids = [record.id for record, _ in kept]
    with pytest.raises(NotFoundError, match="no trusted CA 999"):
        await store.trusted_cas.delete([*ids, 999])
    assert len(await store.trusted_cas.list()) == 2
    await store.trusted_cas.delete([ids[0], ids[0]])
    assert [record.id for record in await store.trusted_cas.list()] == ids[1:]


async def test_a_missing_one_is_named(store):
    with pytest.raises(NotFoundError, match="no trusted CA 7"):
        await store.trusted_cas.get(7)


async def test_how_few_anchors_are_meant_is_kept_and_unknown_at_first(store):
    assert await store.trusted_cas.confirmed_anchors() is None
    await store.trusted_cas.confirm_anchor_count(130)
    await store.trusted_cas.confirm_anchor_count(117)
    assert await store.trusted_cas.confirmed_anchors() == 117


async def test_two_cas_of_one_issuer_and_serial_number_with_different_keys_are_both_kept(store):
    first, second = new_trusted_ca(), new_trusted_ca(fingerprint="e" * 64, public_key_id="f" * 64)
    kept = await store.trusted_cas.add([first, second], now_s=5.0)
    assert [created for _, created in kept] == [True, True]
    assert [record.fingerprint for record in await store.trusted_cas.list()] == [
        first.decoded.fingerprint,
        "e" * 64,
    ]
    ((again, created),) = await store.trusted_cas.add([second], now_s=6.0)
    assert (again.id, created) == (kept[1][0].id, False)
