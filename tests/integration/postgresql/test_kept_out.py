"""A role that is kept out, or led elsewhere, by what somebody set on the server: what it is is said, with what to do."""

from urllib.parse import quote

import pytest

from common.errors import ConflictError, NotFoundError, Reason
from manager.store.address import ServerAddress
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.fakes.traffic import names
from tests.integration.postgresql.refusing import own_role, refused, url_of
from tests.postgres import KEK, PASSWORD, ROLE, made_cluster, made_root
from tests.unit.store.given import N1, add_nodes

pytestmark = pytest.mark.services("postgres", "root")


@pytest.mark.parametrize("what", ["DATABASE", "ROLE"])
async def test_who_is_told_to_write_nothing_is_told_where_that_is_said(cluster, tmp_path, what):
    with own_role(cluster) as (role, address):
        cluster.sql(
            f"ALTER {what} {role if what == 'ROLE' else address.name} SET default_transaction_read_only = on"
        )
        error = await refused(url_of(cluster, role, address.name), tmp_path)
    assert error.reason is Reason.UNREACHABLE
    assert (
        f"it takes no writes from '{role}' in the database '{address.name}': default_transaction_read_only is on"
        in error.message
    )
    assert "take that back with ALTER DATABASE or ALTER ROLE" in error.message


async def test_a_replica_alone_is_told_as_one(cluster, tmp_path):
    with made_root() as root:
        replica = cluster.replica(root)
        try:
            error = await refused(replica.url("postgres"), tmp_path)
        finally:
            replica.stop()
    assert "it is a replica, which takes no writes; let the URL name the primary, too" in error.message


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        ("ALTER ROLE {role} NOLOGIN", Reason.UNAUTHENTICATED,
         "there is no role '{role}' that may log in; make it with CREATE ROLE ... LOGIN, or let it with ALTER ROLE ... LOGIN"),
        ("ALTER ROLE {role} CONNECTION LIMIT 0", Reason.BUSY,
         "the role '{role}' has no connection left; raise its limit with: ALTER ROLE ... CONNECTION LIMIT"),
        ("ALTER DATABASE {name} CONNECTION LIMIT 0", Reason.BUSY,
         "the database '{name}' has no connection left; raise its limit with: ALTER DATABASE ... CONNECTION LIMIT"),
        ("ALTER DATABASE {name} ALLOW_CONNECTIONS false", Reason.UNREACHABLE,
         "the database '{name}' takes no connections; let it with: ALTER DATABASE ... ALLOW_CONNECTIONS true"),
        ("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC, {role}", Reason.PERMISSION,
         "'{role}' may not connect to the database '{name}'; let it with: GRANT CONNECT ON DATABASE"),
        ("ALTER ROLE {role} SET search_path = nowhere", Reason.NOT_FOUND,
         "the search_path of '{role}' names no schema that is there and may be used; correct it with ALTER ROLE"),
    ],
    ids=["no login", "limit of the role", "limit of the database", "closed database", "no right", "no schema"],
)  # fmt: skip
async def test_what_keeps_a_role_out_is_told_with_what_to_do(cluster, tmp_path, change, reason, said):
    with own_role(cluster) as (role, address):
        cluster.sql(change.format(role=role, name=address.name))
        error = await refused(url_of(cluster, role, address.name), tmp_path)
    assert error.message.startswith("PostgreSQL cannot be reached: ")
    assert said.format(role=role, name=address.name) in error.message
    assert error.reason is reason


async def test_a_role_that_is_not_there_is_told_as_one_over_a_socket(cluster, tmp_path):
    error = await refused(f"postgresql://nobody_here@:{cluster.port}/postgres?host={cluster.root}", tmp_path)
    assert (
        "there is no role 'nobody_here' that may log in; make it with CREATE ROLE ... LOGIN" in error.message
    )


async def test_tables_of_the_same_names_in_a_schema_that_is_made_later_are_not_meant(cluster, tmp_path):
    with own_role(cluster) as (role, address):
        place = StorePlace(tmp_path, ServerAddress.parse(url_of(cluster, role, address.name)))
        cluster.sql(f"ALTER ROLE {role} SET search_path = other, public")
        store = await Store.create(place, Keyring(KEK))
        await add_nodes(store, N1)
        made = f"CREATE SCHEMA other AUTHORIZATION {role}; CREATE TABLE other.node (LIKE public.node)"
        cluster.sql(made, database=address.name)
        assert await names(store) == [N1]
        await store._database._pool.dispose()
        assert await names(store) == [N1]
        await store.close()
        with pytest.raises(ConflictError, match="holds tables that are not Certcast's"):
            await Store.open(place, Keyring(KEK))


async def test_a_store_in_another_schema_is_found_and_no_second_one_made(cluster, tmp_path):
    with own_role(cluster) as (role, address):
        url = url_of(cluster, role, address.name)
        place = StorePlace(tmp_path, ServerAddress.parse(url))
        store = await Store.create(place, Keyring(KEK))
        await store.close()
        cluster.sql(f"CREATE SCHEMA {role} AUTHORIZATION {role}", database=address.name)
        for attempt in (Store.open, Store.create):
            with pytest.raises(
                ConflictError,
                match="is in its schema 'public', to which the role's search_path does not lead",
            ):
                await attempt(place, Keyring(KEK))
        cluster.sql(f"ALTER ROLE {role} SET search_path = public, {role}")
        await (await Store.open(place, Keyring(KEK))).close()


async def test_functions_of_somebody_in_the_search_path_are_not_called(cluster, tmp_path):
    with own_role(cluster) as (role, address):
        name = address.name
        cluster.sql(
            f"CREATE SCHEMA odd AUTHORIZATION {role}; CREATE FUNCTION odd.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 7::bigint'",
            database=name,
        )
        cluster.sql(f"ALTER ROLE {role} SET search_path = public, odd, pg_catalog")
        store = await Store.create(
            StorePlace(tmp_path, ServerAddress.parse(url_of(cluster, role, name))), Keyring(KEK)
        )
        async with store._database.read() as connection:
            assert (await connection.exec_driver_sql("SHOW search_path")).scalar() == "public"
            assert (await connection.exec_driver_sql("SELECT count(1)")).scalar() == 1
        await store.close()


@pytest.mark.parametrize(("method", "stored"), [("password", "scram-sha-256"), ("md5", "md5")])
async def test_a_server_that_asks_for_the_password_in_the_clear_gets_it_over_its_socket_alone(
    tmp_path, method, stored
):
    hba = f"local all postgres trust\nlocal all all {method}\nhost all all 127.0.0.1/32 {method}\n"
    with made_cluster({"password_encryption": stored, "fsync": "off"}, hba=hba) as cluster:
        cluster.make_database("c")
        error = await refused(cluster.url("c"), tmp_path)
        assert error.reason is Reason.UNAUTHENTICATED
        assert (
            f"(pg_hba.conf there says '{method}'); make that scram-sha-256 and set the password again"
            in error.message
        )
        url = f"postgresql://{ROLE}:{quote(PASSWORD, safe='')}@:{cluster.port}/c?host={cluster.root}"
        await (await Store.create(StorePlace(tmp_path, ServerAddress.parse(url)), Keyring(KEK))).close()


async def test_a_server_that_trusts_everybody_on_its_port_is_not_talked_to(tmp_path):
    with made_cluster(hba="local all all trust\nhost all all 127.0.0.1/32 trust\n") as cluster:
        cluster.make_database("c")
        error = await refused(cluster.url("c"), tmp_path)
    assert f"it lets '{ROLE}' in without proving that it is the server" in error.message


async def test_a_socket_where_anybody_could_have_made_it_is_not_talked_to(tmp_path):
    with made_cluster() as cluster:
        url = f"postgresql://{ROLE}@:{cluster.port}/postgres?host={cluster.root}"
        cluster.root.chmod(0o1777)
        error = await refused(url, tmp_path)
        cluster.root.chmod(0o755)
        assert isinstance(await refused(url, tmp_path), NotFoundError)
    assert error.reason is Reason.PERMISSION
    assert (
        "the socket there was made by 'postgres' in a directory in which anybody can make one"
        in error.message
    )
