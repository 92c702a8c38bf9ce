"""The timeline of a real server: read as each connection is made, and one for ever where the server does not say it."""

import pytest

from manager.store.tables.content import meta
from manager.store.timelines import TIMELINE
from tests.unit.store.given import N1, N2, add_nodes

pytestmark = pytest.mark.services("postgres", "root")


async def kept(store) -> bytes:
    async with store._database.read() as connection:
        return bytes((await connection.execute(meta.select().where(meta.c.name == TIMELINE))).one().value)


async def test_the_first_writer_keeps_the_timeline(store):
    await add_nodes(store, N1)
    assert await kept(store) == b"00000001"


async def test_a_server_that_does_not_say_it_counts_as_one_for_ever(cluster, store_database, store):
    for name in ("pg_walfile_name(pg_lsn)", "pg_current_wal_lsn()"):
        cluster.sql(f"REVOKE EXECUTE ON FUNCTION {name} FROM PUBLIC", database=store_database.name)
    await store._database._pool.dispose()
    await add_nodes(store, N1)
    before = (await store.feed.since(0)).number
    await store._database._pool.dispose()
    await add_nodes(store, N2)
    assert await kept(store) == b""
    assert (await store.feed.since(0)).number == before + 1
