import asyncio

import pytest

from manager.store.place import StorePlace
from manager.store.store import Store
from manager.store.tables.content import audit


async def act(store, *subjects: str) -> None:
    for subject in subjects:
        await store.audit.append(
            at_s=1.5, actor="ann", action="certificate.deleted", subject=subject, detail={"b": 1, "a": ["x"]}
        )


async def ids(store) -> list[int]:
    return sorted(record.id for record in await store.audit.list())


async def test_acts_come_back_the_newest_first(store):
    await act(store, "one", "two", "three")
    found = await store.audit.list(limit=2)
    assert [record.subject for record in found] == ["three", "two"]
    assert (found[0].at_s, found[0].actor, found[0].action) == (1.5, "ann", "certificate.deleted")
    assert found[0].detail == '{"a": ["x"], "b": 1}'


async def test_an_untouched_chain_fits(store):
    assert (await store.audit.verify()).broken_at is None
    await act(store, "one", "two", "three")
    assert (await store.audit.verify()).broken_at is None


@pytest.mark.parametrize("changed", ["at_s", "actor", "action", "subject", "detail", "chain"])
async def test_an_altered_row_is_the_first_that_does_not_fit(store, changed):
    await act(store, "one", "two", "three")
    second = (await ids(store))[1]
    value = 2.5 if changed == "at_s" else "other"
    async with store._database.write() as connection:
        await connection.execute(audit.update().where(audit.c.id == second).values({changed: value}))
    assert (await store.audit.verify()).broken_at == second


@pytest.mark.parametrize("position", [0, 1, 2])
async def test_a_removed_row_shows_wherever_it_stood(store, position):
    await act(store, "one", "two", "three")
    removed = (await ids(store))[position]
    async with store._database.write() as connection:
        await connection.execute(audit.delete().where(audit.c.id == removed))
    assert (await store.audit.verify()).broken_at == (removed if position == 2 else removed + 1)


async def test_removing_every_row_shows(store):
    await act(store, "one", "two")
    async with store._database.write() as connection:
        await connection.execute(audit.delete())
    assert (await store.audit.verify()).broken_at is not None


async def test_an_entry_with_an_id_below_all_others_shows(store):
    await act(store, "one")
    forged = {
        "id": -1,
        "at_s": 1.5,
        "actor": "ann",
        "action": "a",
        "subject": "b",
        "detail": "null",
        "chain": "",
    }
    async with store._database.write() as connection:
        await connection.execute(audit.insert().values(forged))
    assert (await store.audit.verify()).broken_at == -1


async def test_rows_that_changed_places_show(store):
    await act(store, "one", "two")
    first, second = await ids(store)
    async with store._database.write() as connection:
        await connection.execute(audit.update().where(audit.c.id == first).values(id=99))
        await connection.execute(audit.update().where(audit.c.id == second).values(id=first))
        await connection.execute(audit.update().where(audit.c.id == 99).values(id=second))
    assert (await store.audit.verify()).broken_at == first


async def test_two_processes_that_write_at_once_make_one_chain(local, directory, keyring):
    other = await Store.open(StorePlace(directory, None), keyring)
    subjects = [str(number) for number in range(25)]
    await asyncio.gather(act(local, *subjects), act(other, *subjects))
    assert len(await local.audit.list()) == 50
    assert (await local.audit.verify()).broken_at is None
    await other.close()


async def test_pages_follow_each_other_without_gap_or_overlap(store):
    await act(store, "one", "two", "three")
    first = await store.audit.list(limit=2)
    rest = await store.audit.list(limit=2, before=first[-1].id)
    assert [each.subject for each in (*first, *rest)] == ["three", "two", "one"]
    assert await store.audit.list(before=rest[-1].id) == []


async def test_a_hash_that_was_noted_elsewhere_is_found_or_the_chain_was_made_anew(store):
    await act(store, "one")
    noted = (await store.audit.verify()).head
    await act(store, "two")
    found = await store.audit.verify(noted=noted)
    assert (found.broken_at, found.count, found.noted) == (None, 2, True)
    assert not (await store.audit.verify(noted="0" * 63 + "1")).noted
    assert (await store.audit.verify()).head == (await store.audit.list())[0].chain
