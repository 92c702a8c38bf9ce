import pytest

from common.errors import StorageError
from manager.store.tables.content import meta
from tests.unit.store.given import N1, add_nodes, new_certificate, new_generation, new_trusted_ca, publish


async def test_the_epoch_begins_at_1_and_rises(store):
    assert await store.meta.epoch() == 1
    assert await store.meta.bump_epoch() == 2
    assert await store.meta.epoch() == 2


async def test_plain_values_and_secrets_of_one_name_are_two_things(store):
    await store.meta.set("host key", b"public")
    await store.meta.secret_set("host key", b"private")
    assert await store.meta.get("host key") == b"public"
    assert await store.meta.secret_get("host key") == b"private"
    await store.meta.set("host key", b"other")
    assert await store.meta.get("host key") == b"other"


async def test_what_was_never_set_is_none(store):
    assert await store.meta.get("x") is None
    assert await store.meta.secret_get("x") is None


async def test_a_secret_does_not_open_under_another_name(store):
    await store.meta.secret_set("one", b"private")
    async with store._database.write() as connection:
        await connection.execute(meta.update().where(meta.c.name == "secret:one").values(name="secret:two"))
    with pytest.raises(StorageError, match="meta:two does not open"):
        await store.meta.secret_get("two")


async def test_whatever_changes_what_nodes_hold_raises_the_revision(store):
    async def raised(act) -> int:
        before = await store.meta.revision()
        await act
        return await store.meta.revision() - before

    assert await raised(add_nodes(store, N1)) == 1
    assert await raised(store.certificates.add(new_certificate(), now_s=1.0)) == 1
    (record,) = await store.certificates.list()
    assert await raised(store.certificates.update(record.id, new_certificate("02"), now_s=2.0)) == 1
    assert await raised(store.assignments.assign(record.id, [N1], "server")) == 1
    assert await raised(store.assignments.unassign(N1, "server")) == 1
    assert await raised(store.certificates.delete([record.id], even_assigned=True)) == 1
    assert await raised(store.trusted_cas.add([new_trusted_ca()], now_s=1.0)) == 1
    (ca,) = await store.trusted_cas.list()
    assert await raised(store.trusted_cas.delete([ca.id])) == 1
    assert await raised(store.nodes.remove(N1)) == 1


async def test_what_does_not_change_what_nodes_hold_leaves_the_revision(store):
    await add_nodes(store, N1)
    before = await store.meta.revision()
    await publish(store, new_generation(1))
    await store.audit.append(at_s=1.0, actor="a", action="b", subject="c")
    await store.check()
    assert await store.meta.revision() == before


async def test_a_change_that_is_undone_leaves_the_revision(store):
    await add_nodes(store, N1)
    before = await store.meta.revision()
    with pytest.raises(Exception, match="already"):
        await add_nodes(store, N1)
    assert await store.meta.revision() == before
