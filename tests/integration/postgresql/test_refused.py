"""A PostgreSQL server that does not let the manager in: what was found is said, with what to do, and never the password."""

import asyncio
import logging
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.errors import InvalidInputError, Reason, StorageError
from demo.site import free_port
from manager.store import postgresql
from manager.store.address import ServerAddress
from manager.store.message_screen import NOT_POSTGRESQL
from manager.store.place import StorePlace
from manager.store.sealing import Keyring
from manager.store.store import Store
from tests.integration.postgresql.refusing import refused
from tests.patience import PATIENCE_S
from tests.pki import DAY_S, Made, current_leaf, make_leaf, make_root
from tests.postgres import KEK, PASSWORD, ROLE, Cluster, made_cluster

pytestmark = pytest.mark.services("postgres", "root")


async def test_a_wrong_password_is_told(cluster, store_database, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    error = await refused(cluster.url(store_database.name, password="hunter2"), tmp_path)
    assert isinstance(error, StorageError)
    assert error.reason is Reason.UNAUTHENTICATED
    assert error.message == (
        f"PostgreSQL cannot be reached: 127.0.0.1:{cluster.port}: the password of 'certcast' is wrong, or there is no such role"
    )
    assert "hunter2" not in caplog.text


async def test_a_missing_password_is_a_wrong_one_whatever_the_environment_says(
    cluster, store_database, tmp_path, monkeypatch
):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGOPTIONS", "-c synchronous_commit=off")
    url = f"postgresql://{ROLE}@127.0.0.1:{cluster.port}/{store_database.name}"
    error = await refused(url, tmp_path)
    assert error.reason is Reason.UNAUTHENTICATED
    assert error.message.endswith(f"it asks '{ROLE}' for a password, and the URL has none")


async def test_an_account_that_is_not_let_in_is_named(tmp_path):
    with made_cluster(hba="local all postgres trust\nhost all all 127.0.0.1/32 scram-sha-256\n") as cluster:
        error = await refused(f"postgresql://:{cluster.port}/postgres?host={cluster.root}", tmp_path)
    account = pwd.getpwuid(os.geteuid()).pw_name
    assert f"it does not let '{account}' in from here" in error.message


async def test_a_database_that_is_not_there_is_named(cluster, tmp_path):
    error = await refused(cluster.url("nowhere"), tmp_path)
    assert error.reason is Reason.NOT_FOUND
    assert "there is no database 'nowhere'; make it with: CREATE DATABASE" in error.message


async def test_a_role_that_may_not_come_in_is_told_where_that_is_said(tmp_path):
    with made_cluster(hba="local all all trust\nhost all certcast 192.0.2.1/32 scram-sha-256\n") as cluster:
        error = await refused(cluster.url("postgres"), tmp_path)
    assert error.reason is Reason.UNAUTHENTICATED
    assert "it does not let 'certcast' in from here; see pg_hba.conf there" in error.message


async def test_a_role_without_the_right_to_make_tables_is_told(cluster, tmp_path):
    with cluster.lent_database() as address:
        cluster.sql(f"ALTER DATABASE {address.name} OWNER TO postgres")
        with pytest.raises(StorageError, match=f"{cluster.port}: the role has no right") as caught:
            await Store.create(StorePlace(tmp_path, address), Keyring(KEK))
    assert caught.value.reason is Reason.PERMISSION


async def test_a_port_where_nothing_listens_is_told(tmp_path):
    port = free_port()
    error = await refused(f"postgresql://u:hunter2@127.0.0.1:{port}/c", tmp_path)
    assert error.reason is Reason.UNREACHABLE
    assert (
        f"127.0.0.1:{port}: connection refused; start the server, or correct the host and port"
        in error.message
    )


async def test_a_name_all_of_whose_addresses_refuse_is_told_with_what_to_do(tmp_path):
    error = await refused(f"postgresql://u:hunter2@localhost:{free_port()}/c", tmp_path)
    assert error.message.endswith("; start the server, or correct the host and port")


async def test_a_socket_that_is_not_there_is_told(tmp_path):
    error = await refused(f"postgresql://u:hunter2@/c?host={tmp_path}", tmp_path)
    assert error.reason is Reason.UNREACHABLE
    assert error.message.endswith(
        f"{tmp_path}/.s.PGSQL.5432: no such file or directory; start the server, or correct 'host' and the port"
    )


async def test_an_account_without_a_name_must_say_who_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(pwd, "getpwuid", lambda _uid: {}["no such account"])
    error = await refused(f"postgresql:///c?host={tmp_path}", tmp_path)
    assert isinstance(error, InvalidInputError)
    assert error.message == "the URL names no user, and account 0 has no name here to take its place"


async def test_a_name_that_leads_nowhere_is_told(tmp_path):
    error = await refused("postgresql://u:hunter2@db.invalid/c", tmp_path)
    assert error.reason is Reason.UNREACHABLE
    assert (
        "db.invalid:5432: its name cannot be resolved; correct it, or see to the name server" in error.message
    )


async def test_a_host_that_never_answers_is_given_up(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        error = await refused(f"postgresql://u:hunter2@127.0.0.1:{port}/c?connect_timeout=1", tmp_path)
    assert error.reason is Reason.TIMEOUT
    assert f"127.0.0.1:{port}: no answer within 1 s" in error.message


async def test_every_host_is_named_with_what_it_said(cluster, tmp_path):
    port = free_port()
    url = f"postgresql://{ROLE}:hunter2@127.0.0.1:{port},127.0.0.1:{cluster.port}/c"
    error = await refused(url, tmp_path)
    assert f"127.0.0.1:{port}: connection refused" in error.message
    assert f"; 127.0.0.1:{cluster.port}: the password of 'certcast' is wrong" in error.message


async def test_of_several_hosts_the_one_that_answers_is_used_and_asked_first_next_time(
    cluster, store_database, tmp_path
):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dead = silent.getsockname()[1]
        url = cluster.url(store_database.name, query="?connect_timeout=1").replace(
            f"127.0.0.1:{cluster.port}", f"127.0.0.1:{dead},127.0.0.1:{cluster.port}"
        )
        silent.settimeout(PATIENCE_S)
        made = await Store.open(StorePlace(tmp_path, ServerAddress.parse(url)), Keyring(KEK))
        await asyncio.gather(*(made.meta.epoch() for _ in range(5)))
        await made.close()
        accepted = 0
        silent.setblocking(False)
        while True:
            try:
                silent.accept()[0].close()
            except BlockingIOError:
                break
            accepted += 1
    assert accepted == 1


async def test_a_server_without_a_place_is_told(tmp_path):
    with made_cluster(
        {"max_connections": "4", "superuser_reserved_connections": "3", "fsync": "off"}
    ) as cluster:
        cluster.make_database("c")
        place = StorePlace(tmp_path, cluster.address("c"))
        made = await Store.create(place, Keyring(KEK))
        async with made._database.read():
            with pytest.raises(
                StorageError, match="it has no connection left; end others, or see max_connections"
            ) as caught:
                await made.meta.epoch()
        await made.close()
    assert caught.value.reason is Reason.BUSY


CA = make_root(not_before_s=0, not_after_s=4_000_000_000)
OTHER_CA = make_root("Other Root", not_before_s=0, not_after_s=4_000_000_000)


@pytest.fixture(scope="module")
def tls_cluster() -> Iterator[Cluster]:
    """A server that speaks TLS, and lets nobody in without."""
    with made_cluster(hba="local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n") as cluster:
        yield cluster


@pytest.fixture
def root_file(tmp_path: Path) -> Path:
    (tmp_path / "ca.pem").write_text(CA.certificate_pem)
    return tmp_path / "ca.pem"


def serve_with(cluster: Cluster, made: Made) -> None:
    for name, text in (("server.crt", made.certificate_pem), ("server.key", made.key_pem)):
        path = cluster.data / name
        path.write_text(text)
        path.chmod(0o600)
        cluster.own(path)
    cluster.settings["ssl"] = "on"
    cluster.restart()


def tls_url(cluster: Cluster, name: str, root: Path | None, *, host: str = "localhost") -> str:
    more = f"&sslrootcert={root}" if root is not None else ""
    return cluster.url(name, query=f"?sslmode=verify-full{more}").replace("127.0.0.1", host)


async def test_a_server_whose_name_is_proven_is_used_over_tls(tls_cluster, tmp_path, root_file):
    serve_with(tls_cluster, current_leaf(CA, ["localhost"]))
    with tls_cluster.lent_database() as made:
        place = StorePlace(tmp_path, ServerAddress.parse(tls_url(tls_cluster, made.name, root_file)))
        store = await Store.create(place, Keyring(KEK))
        async with store._database.read() as connection:
            query = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
            found = (await connection.exec_driver_sql(query)).one()
        await store.close()
    assert tuple(found) == (True, "TLSv1.3")


@pytest.mark.parametrize(
    ("leaf", "host", "said"),
    [
        (lambda: make_leaf(CA, ["localhost"], not_after_s=1_600_000_000, not_before_s=1_600_000_000 - DAY_S),
         "localhost", "the server's certificate has expired; renew it there"),
        (lambda: current_leaf(CA, ["db.example.com"]),
         "localhost", "the server's certificate is for another name; use one that it is for"),
        (lambda: current_leaf(CA, ["localhost"]),
         "127.0.0.1", "the server's certificate is for another address; use a name that it is for"),
        (lambda: current_leaf(OTHER_CA, ["localhost"]),
         "localhost", "of a CA that is not trusted here; name that CA's file by 'sslrootcert'"),
        (lambda: current_leaf(None, ["localhost"]),
         "localhost", "of a CA that is not trusted here; name that CA's file by 'sslrootcert'"),
    ],
    ids=["expired", "wrong name", "wrong address", "other CA", "self-signed"],
)  # fmt: skip
async def test_a_server_that_cannot_prove_its_name_is_not_talked_to(
    tls_cluster, tmp_path, root_file, leaf, host, said
):
    serve_with(tls_cluster, leaf())
    error = await refused(tls_url(tls_cluster, "postgres", root_file, host=host), tmp_path)
    assert error.reason is Reason.UNREACHABLE
    assert said in error.message


async def test_a_server_of_a_ca_that_the_system_does_not_know_is_not_talked_to(tls_cluster, tmp_path):
    serve_with(tls_cluster, current_leaf(CA, ["localhost"]))
    error = await refused(tls_url(tls_cluster, "postgres", None), tmp_path)
    assert "of a CA that is not trusted here" in error.message


async def test_a_server_in_plain_text_only_is_not_talked_to(cluster, store_database, tmp_path, root_file):
    error = await refused(tls_url(cluster, store_database.name, root_file), tmp_path)
    assert error.reason is Reason.UNREACHABLE
    assert "it speaks no TLS; set ssl = on there, with a certificate for its name" in error.message


async def test_a_server_that_wants_tls_where_none_is_asked_for_is_told(tls_cluster, tmp_path):
    serve_with(tls_cluster, current_leaf(CA, ["localhost"]))
    error = await refused(tls_cluster.url("postgres"), tmp_path)
    assert "see pg_hba.conf there" in error.message


@pytest.mark.parametrize(
    ("text", "said"), [(None, "cannot be read: No such file"), ("no PEM", "holds no certificate")]
)
async def test_a_root_file_that_cannot_be_used_is_named(cluster, tmp_path, text, said):
    path = tmp_path / "ca.pem"
    if text is not None:
        path.write_text(text)
    error = await refused(tls_url(cluster, "postgres", path), tmp_path)
    assert isinstance(error, InvalidInputError)
    assert error.field == "database"
    assert f"{path} ('sslrootcert') {said}" in error.message


@pytest.mark.parametrize("raised", [AttributeError("server_version"), ValueError("banana"), KeyError("x")])
async def test_what_answers_and_is_no_postgresql_is_told(tmp_path, monkeypatch, raised):
    """The driver raises these where a server names no version of PostgreSQL, or one that cannot be read."""

    async def connect(**_options: object) -> None:
        raise raised

    monkeypatch.setattr(postgresql.asyncpg, "connect", connect)
    error = await refused("postgresql://u:p@127.0.0.1:5/c", tmp_path)
    assert isinstance(error, StorageError)
    assert error.message == f"PostgreSQL cannot be reached: 127.0.0.1:5: {NOT_POSTGRESQL}"
