"""The URL of a PostgreSQL database: what is taken, what is refused, and that no password ever shows."""

import re
import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInputError
from manager.store.address import CONNECT_TIMEOUT_S, HOSTS_MAX, URL_CHARACTERS_MAX, ServerAddress, ServerHost
from manager.store.place import StorePlace

HIDDEN = "hunter2"


def parse(text: str) -> ServerAddress:
    return ServerAddress.parse(text)


def test_a_whole_url_is_read():
    found = parse(
        "postgresql://cert%40cast:p%2Fw%3A@db1.example.com:5433,db2,[2001:db8::1]:6000/certcast"
        "?sslmode=verify-full&sslrootcert=/etc/ssl/db.pem&connect_timeout=7"
    )
    assert found == ServerAddress(
        hosts=(
            ServerHost(name="db1.example.com", port=5433),
            ServerHost(name="db2", port=5432),
            ServerHost(name="2001:db8::1", port=6000),
        ),
        name="certcast",
        user="cert@cast",
        password="p/w:",
        is_verified=True,
        root_certificates=Path("/etc/ssl/db.pem"),
        connect_timeout_s=7,
    )
    assert str(found) == "'certcast' at db1.example.com:5433, db2:5432, [2001:db8::1]:6000"


def test_the_other_name_of_the_scheme_is_taken():
    assert parse("postgres://u@db/c").name == "c"


def test_what_is_left_out_is_what_people_mean():
    found = parse("postgresql://db.example.com/certcast")
    assert (found.user, found.password, found.hosts[0].port) == ("", "", 5432)
    assert (found.root_certificates, found.connect_timeout_s) == (None, CONNECT_TIMEOUT_S)


@pytest.mark.parametrize(
    ("url", "verified"),
    [
        ("postgresql://u:p@db.example.com/c", True),
        ("postgresql://u:p@192.0.2.1/c", True),
        ("postgresql://u:p@db.example.com/c?sslmode=verify-full", True),
        ("postgresql://u:p@localhost/c", False),
        ("postgresql://u:p@127.0.0.1:5433/c", False),
        ("postgresql://u:p@[::1]/c?sslmode=disable", False),
        ("postgresql://u:p@localhost/c?sslmode=verify-full", True),
        ("postgresql://u:p@localhost/c?sslrootcert=/etc/ssl/db.pem", True),
        ("postgresql://u:p@127.0.0.1/c?sslrootcert=system", True),
        ("postgresql://u:p@localhost,db2.example.com/c", True),
        ("postgresql://u@/c?host=/run/postgresql", False),
        ("postgresql:///c?host=%2Frun%2Fpostgresql&sslmode=disable", False),
    ],
)
def test_only_what_stays_on_this_machine_goes_without_tls(url, verified):
    assert parse(url).is_verified is verified


def test_a_unix_socket_may_have_another_port():
    (host,) = parse("postgresql://u@:5433/c?host=/run/postgresql").hosts
    assert (host.name, host.port, host.is_socket, host.is_local) == ("/run/postgresql", 5433, True, True)
    assert str(host) == "/run/postgresql/.s.PGSQL.5433"


@pytest.mark.parametrize("mode", ["allow", "prefer", "require", "verify-ca"])
@pytest.mark.parametrize("host", ["db.example.com", "localhost"])
def test_a_mode_that_checks_nobody_is_refused_and_told_why(mode, host):
    with pytest.raises(InvalidInputError, match=f"sslmode={mode} does not check who answers"):
        parse(f"postgresql://u:p@{host}/c?sslmode={mode}")


@pytest.mark.parametrize("hosts", ["db.example.com", "192.0.2.1", "localhost,db.example.com"])
def test_plain_text_to_another_machine_is_refused_and_told_why(hosts):
    with pytest.raises(InvalidInputError, match="in plain text to another machine"):
        parse(f"postgresql://u:p@{hosts}/c?sslmode=disable")


@pytest.mark.parametrize(
    "parameter",
    [
        "application_name=x",
        "options=-c%20fsync=off",
        "service=x",
        "target_session_attrs=any",
        "sslkey=/x",
    ],
)
def test_a_parameter_of_libpq_that_is_not_taken_is_named(parameter):
    with pytest.raises(InvalidInputError, match=f"parameter {parameter.partition('=')[0]} is not taken"):
        parse(f"postgresql://u:p@db/c?{parameter}")


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("port=5433", "after the host, .* postgresql://USER@:5432/NAME\\?host=/run/postgresql$"),
        ("user=x", "before the host, as in postgresql://USER:PASSWORD@HOST"),
        (f"password={HIDDEN}", "before the host, as in postgresql://USER:PASSWORD@HOST"),
        ("dbname=x", "as the path"),
        ("hostaddr=192.0.2.1", "the address as the host"),
    ],
)
def test_a_parameter_of_libpq_that_has_another_place_is_told_which(parameter, said):
    with pytest.raises(InvalidInputError, match=f"not taken after '\\?'; .*{said}") as caught:
        parse(f"postgresql:///c?host=/run/postgresql&{parameter}")
    assert HIDDEN not in caught.value.message


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "must begin with postgresql://"),
        ("certcast.db", "must begin with postgresql://"),
        (f"mysql://u:{HIDDEN}@db/c", "must begin with postgresql://"),
        (f"postgresql+asyncpg://u:{HIDDEN}@db/c", "must begin with postgresql://"),
        (f"postgresql://u:{HIDDEN}@db", "name of one database"),
        (f"postgresql://u:{HIDDEN}@db/", "name of one database"),
        (f"postgresql://u:{HIDDEN}@db/a/b", "write '/' as %2F"),
        (f"postgresql://u:x/{HIDDEN}@db/c", "port in the URL|write '/' as %2F"),
        (f"postgresql://u:1/{HIDDEN}@db/c", "write '/' as %2F"),
        (f"postgresql://u:{HIDDEN}#x@db/c", "write it as %23"),
        (f"postgresql://u:x#{HIDDEN}@db/c", "write it as %23"),
        (f"postgresql://u:{HIDDEN}#", "write it as %23"),
        (f"postgresql://u:x?{HIDDEN}=1@db/c", "port in the URL|name of one database|write '\\?' as %3F"),
        (f"postgresql://u:1?{HIDDEN}@db/c", "name of one database|write '\\?' as %3F"),
        (f"postgresql://u:p@db/c?{HIDDEN}=1", "unknown parameter"),
        (f"postgresql://u:p@db/c?{HIDDEN}", "NAME=VALUE"),
        (f"postgresql://u:x@{HIDDEN}@db/c", "write it as %40"),
        (f"postgresql://u:{HIDDEN} x@db/c", "a space"),
        (f"host=db dbname=c user=u password={HIDDEN}", "a space.* it has the form postgresql://"),
        (f"postgresql://u:{HIDDEN}\n@db/c", "a line break"),
        (f"postgresql://u:{HIDDEN}%00@db/c", "NUL"),
        (f"postgresql://u:{HIDDEN}%ff@db/c", "not UTF-8"),
        (f"postgresql://u:{HIDDEN}@/c", "names no host"),
        (f"postgresql://u:{HIDDEN}@db:0/c", "port"),
        (f"postgresql://u:{HIDDEN}@db:99999/c", "port"),
        (f"postgresql://u:{HIDDEN}@db:/c", "port"),
        (f"postgresql://u:{HIDDEN}@db:²/c", "port"),
        (f"postgresql://u:{HIDDEN}@d b/c", "a space"),
        (f"postgresql://u:{HIDDEN}@-db/c", "neither a name nor an address"),
        (f"postgresql://u:{HIDDEN}@db,,db2/c", "neither a name nor an address"),
        (f"postgresql://u:{HIDDEN}@2001:db8::1/c", "port|brackets"),
        (f"postgresql://u:{HIDDEN}@[::zz]/c", "IPv6|form"),
        (f"postgresql://u:{HIDDEN}@[::1/c", "form"),
        (f"postgresql://u:{HIDDEN}@{','.join(['db'] * (HOSTS_MAX + 1))}/c", "hosts"),
        (f"postgresql://u:{HIDDEN}@db/c?host=/run/postgresql", "give one of them"),
        (f"postgresql://u:{HIDDEN}@/c?host=db", "absolute directory"),
        (f"postgresql://u:{HIDDEN}@/c?host=/a,/b", "absolute directory"),
        (f"postgresql://u:{HIDDEN}@/c?host=/a&sslmode=verify-full", "no TLS over a Unix socket"),
        (f"postgresql://u:{HIDDEN}@/c?host=/a&sslrootcert=/b", "no TLS over a Unix socket; leave 'sslrootcert' out"),
        (f"postgresql://u:{HIDDEN}@/c?host=/a&sslmode=disable&sslrootcert=/b", "leave one of them out"),
        (f"postgresql://u:{HIDDEN}@localhost/c?sslmode=disable&sslrootcert=/b", "leave one of them out"),
        (f"postgresql://u:{HIDDEN}@db/c?sslmode=yes", "'sslmode' must be"),
        (f"postgresql://u:{HIDDEN}@db/c?sslmode=", "'sslmode' must be"),
        (f"postgresql://u:{HIDDEN}@db/c?sslrootcert=db.pem", "absolute path"),
        (f"postgresql://u:{HIDDEN}@db/c?sslmode=verify-full&sslmode=verify-full", "given twice"),
        (f"postgresql://u:{HIDDEN}@db/c?connect_timeout=0", "seconds from 1"),
        (f"postgresql://u:{HIDDEN}@db/c?connect_timeout=61", "seconds from 1"),
        (f"postgresql://u:{HIDDEN}@db/c?connect_timeout=1e1", "seconds from 1"),
        (f"postgresql://u:{HIDDEN}@db/{'c' * URL_CHARACTERS_MAX}", "longer than"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_and_told_why_without_its_password(url, said):
    with pytest.raises(InvalidInputError) as caught:
        parse(url)
    assert caught.value.field == "database"
    assert re.search(said, caught.value.message), caught.value.message
    assert HIDDEN not in caught.value.message
    assert HIDDEN not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_no_text_of_an_address_or_a_place_shows_the_password():
    address = parse(f"postgresql://u:{HIDDEN}@db/c")
    place = StorePlace(Path("/data"), address)
    for text in (repr(address), str(address), f"{address}", repr(place), str(place), repr({"place": place})):
        assert HIDDEN not in text


def test_a_place_without_a_server_is_a_file():
    place = StorePlace(Path("/data"), None)
    assert (place.file, str(place)) == (Path("/data/certcast.db"), "/data/certcast.db")
    there = StorePlace(Path("/data"), parse("postgresql://u:p@db/c"))
    assert (there.file, str(there)) == (None, "the database 'c' at db:5432")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for url in (text, f"postgresql://{text}", f"postgresql://u:p@db/c?{text}", f"postgresql://u:{text}@db/c"):
        try:
            parse(url)
        except InvalidInputError:
            continue


@given(st.text(min_size=4, alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_password_that_is_escaped_comes_back_whole(password):
    from urllib.parse import quote

    assert parse(f"postgresql://u:{quote(password, safe='')}@db/c").password == password
