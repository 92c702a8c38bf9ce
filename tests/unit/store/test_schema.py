"""Which managers may serve a store whose schema another release has made, and when a schema may be changed."""

from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from common.errors import ConflictError, StorageError
from common.ids import NodeName
from manager.store import schema
from manager.store.place import StorePlace
from manager.store.store import Store
from tests.chaos.next_release import make, newest
from tests.unit.store.given import N1, add_nodes


@pytest.fixture
def next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return what lets stores be opened by the release after this one from now on, and takes that back."""

    def become(beside: str | None) -> str:
        revision = make(tmp_path / "migrations", beside=beside)
        monkeypatch.setattr(schema, "MIGRATIONS", tmp_path / "migrations")
        return revision

    return become


@pytest.fixture
def this_release(monkeypatch: pytest.MonkeyPatch):
    here = schema.MIGRATIONS
    return lambda: monkeypatch.setattr(schema, "MIGRATIONS", here)


async def schema_of(store: Store) -> str:
    async with store._database.read() as connection:
        return (await connection.exec_driver_sql("SELECT version_num FROM alembic_version")).scalar_one()


async def test_a_manager_serves_on_where_the_next_release_has_added_what_it_need_not_know(
    store: Store, place: StorePlace, keyring, next_release, this_release
):
    member = await store.members.join(NodeName("management"))
    store.act_as(member)
    former, revision = newest(), next_release(beside=newest())
    later = await Store.open(place, keyring)
    assert await schema_of(later) == revision
    # beside it, with connections that are older than the change
    await add_nodes(store, N1)
    assert [record.name for record in await later.nodes.list()] == [N1]
    # and after a restart
    this_release()
    again = await Store.open(place, keyring)
    assert (newest(), await schema_of(again)) == (former, revision)
    assert [record.name for record in await again.nodes.list()] == [N1]
    await again.nodes.remove(N1)
    for each in (later, again):
        await each.close()


@pytest.mark.parametrize("beside", [None, "next"])
async def test_a_schema_that_managers_could_not_use_is_not_made_while_they_serve(
    store: Store, place: StorePlace, keyring, next_release, monkeypatch, beside: str | None
):
    member = await store.members.join(NodeName("management"))
    former = newest()
    revision = next_release(beside=beside and f"{int(former) + 1:04}")
    with pytest.raises(
        ConflictError, match=f"the schema of this release \\({revision}\\): stop all of them first"
    ):
        await Store.open(place, keyring)
    assert await schema_of(store) == former
    await store.members.leave(member)
    later = await Store.open(place, keyring)
    assert await schema_of(later) == revision
    await later.close()


async def test_who_was_killed_keeps_a_schema_from_being_made_for_as_long_as_its_lease_lasts(
    store: Store, place: StorePlace, keyring, next_release, monkeypatch
):
    await store.members.join(NodeName("management"))
    next_release(beside=None)
    monkeypatch.setattr(schema, "LEASE_S", -60.0)
    later = await Store.open(place, keyring)
    await later.close()


async def test_a_schema_that_is_too_new_is_refused_and_left_alone(
    store: Store, place: StorePlace, keyring, next_release, this_release
):
    former, revision = newest(), next_release(beside=None)
    await (await Store.open(place, keyring)).close()
    this_release()
    with pytest.raises(
        StorageError, match=f"schema \\({revision}\\) is of a newer release.* which knows {former}"
    ):
        await Store.open(place, keyring)
    assert await schema_of(store) == revision


async def test_a_schema_that_says_nothing_of_earlier_releases_is_refused_and_left_alone(
    store: Store, place: StorePlace, keyring
):
    async with store._database.write() as connection:
        await connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError, match=r"9999.* is of a newer release"):
        await Store.open(place, keyring)
    assert await schema_of(store) == "9999"


def test_every_migration_since_managers_serve_together_says_who_may_serve_beside_it():
    """That of 0016 made the members; a manager from before it serves alone."""
    scripts = ScriptDirectory(str(schema.MIGRATIONS))
    later = {each.revision: each for each in scripts.walk_revisions() if each.revision > "0016"}
    silent = [revision for revision, each in later.items() if not hasattr(each.module, schema.BESIDE)]
    assert silent == []
    for revision, each in later.items():
        assert "0016" <= getattr(each.module, schema.BESIDE) <= revision
