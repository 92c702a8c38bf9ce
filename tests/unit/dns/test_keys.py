"""Keys that updates are signed with: read from a file or a credential that nobody else can read, and never shown."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.dns.keys import FILE_MAX_BYTES, parse_key, read_key
from manager.dns.settings import HostPort, Update
from manager.usecases.renewal.ports import CaError
from tests.bind import TsigKey

SECRET = "bm90IGEgc2VjcmV0IGF0IGFsbA=="


def way(file=None, credential=None) -> Update:
    return Update(server=HostPort("192.0.2.1", 53), key_file=file, key_credential=credential)


def refusal(data: bytes) -> str:
    with pytest.raises(CaError) as refused:
        parse_key(data, "/etc/key")
    assert refused.value.is_final
    return refused.value.message


@pytest.mark.parametrize(
    "algorithm", ["hmac-sha256", "hmac-sha384", "hmac-sha512", "HMAC-SHA256", "hmac-sha256."]
)
def test_a_key_is_read_as_tsig_keygen_writes_it(algorithm):
    key = parse_key(
        TsigKey(name="certcast.example", algorithm=algorithm, secret=SECRET).text.encode(), "/etc/key"
    )
    assert (key.name, key.secret) == ("certcast.example", b"not a secret at all")
    assert key.algorithm == algorithm.lower().removesuffix(".")
    assert key.of_library().secret == key.secret


def test_comments_order_quotes_and_a_byte_order_mark_do_not_matter():
    text = f'\ufeff# ours\nkey certcast {{ // the\n secret {SECRET};/* new */ algorithm "hmac-sha512"; }}'
    assert parse_key(text.encode(), "/etc/key").algorithm == "hmac-sha512"


def test_a_secret_that_stands_in_a_comment_does_not_count():
    text = TsigKey(secret=SECRET).text.replace("\tsecret", '\t// secret "b2xk";\n\tsecret')
    assert parse_key(text.encode(), "/etc/key").secret == b"not a secret at all"


def test_a_secret_with_two_slashes_is_no_comment():
    text = TsigKey(secret="ab//cd//efgh").text
    assert len(parse_key(text.encode(), "/etc/key").secret) == 9


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not a DNS key: it must be one of the form"),
        (SECRET.encode(), "is not a DNS key"),
        (b"\xff\xfe", "is not a DNS key"),
        (b'key "x" { algorithm hmac-sha256; };', "is not a DNS key"),
        (f'key "x" {{ secret "{SECRET}"; }};'.encode(), "is not a DNS key"),
        (
            f'key "x" {{ algorithm hmac-md5; secret "{SECRET}"; }};'.encode(),
            "the algorithm of the DNS key /etc/key is none of hmac-sha256, hmac-sha384, hmac-sha512",
        ),
        (
            f'key "x" {{ algorithm "{SECRET.rstrip("=")}"; secret "AAAA"; }};'.encode(),
            "the algorithm of the DNS key /etc/key is none of",
        ),
        (
            f'key "a..b" {{ algorithm hmac-sha256; secret "{SECRET}"; }};'.encode(),
            "its name is not one of DNS",
        ),
        (b'key "x" { algorithm hmac-sha256; secret "abc"; };', "is not base64"),
        ((TsigKey(secret=SECRET).text * 2).encode(), "is not a DNS key"),
        (TsigKey(secret=SECRET).text.replace("}", 'secret "AAAA"; }').encode(), "is not a DNS key"),
        (b"#" * (FILE_MAX_BYTES + 1), "is larger than 4096 bytes"),
    ],
)
def test_what_is_no_key_is_told_without_what_is_in_it(data, said):
    message = refusal(data)
    assert said in message
    assert SECRET[:8] not in message


@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b'key "x" {', b'key "x" { algorithm hmac-sha256; secret "']),
)
def test_every_file_is_a_key_or_is_refused(data, before):
    try:
        parse_key(before + data, "/etc/key")
    except CaError as error:
        assert error.is_final  # noqa: PT017 - either may happen


def test_no_repr_has_the_secret_in_it():
    key = parse_key(TsigKey(secret=SECRET).text.encode(), "/etc/key")
    assert "secret" not in repr(key)
    assert str(key.secret) not in repr(key)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o666])
def test_a_file_that_others_can_read_is_not_taken(tmp_path, mode):
    file = TsigKey().written(tmp_path / "key")
    file.chmod(mode)
    with pytest.raises(CaError, match=f"can be read by others \\(mode 0{mode:o}\\)"):
        read_key(way(file))


@pytest.mark.services("root")
def test_a_file_of_somebody_else_or_of_a_foreign_group_is_not_taken(tmp_path):
    file = TsigKey().written(tmp_path / "key")
    os.chown(file, 65534, 0)
    with pytest.raises(CaError, match="can be read by others"):
        read_key(way(file))
    os.chown(file, 0, 65534)
    file.chmod(0o640)
    with pytest.raises(CaError, match="can be read by others"):
        read_key(way(file))
    os.chown(file, 0, 0)
    assert read_key(way(file)).name == "certcast"


def test_a_file_that_is_not_there_or_is_no_file_is_told(tmp_path):
    with pytest.raises(CaError, match="key cannot be read: No such file"):
        read_key(way(tmp_path / "key"))
    os.mkfifo(tmp_path / "key")
    with pytest.raises(CaError, match="it is not a regular file"):
        read_key(way(tmp_path / "key"))


def test_a_credential_is_taken_as_the_service_manager_hands_it_over(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(CaError, match="the credential dns-key is not there"):
        read_key(way(credential="dns-key"))
    TsigKey().written(tmp_path / "dns-key").chmod(0o444)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_key(way(credential="dns-key")).name == "certcast"
