"""A setting that is wrong is named with the place where it was set."""

from pathlib import Path

import pytest

from common.errors import InvalidInputError
from manager.settings import Settings


def refusal(config: Path | None = None, **given: object) -> str:
    with pytest.raises(InvalidInputError) as refused:
        Settings.load(config=config, **given)
    return refused.value.message


def test_an_unknown_name_in_a_file_is_told_with_the_nearest_that_there_is(tmp_path):
    path = tmp_path / "manager.toml"
    path.write_text('htps = "0.0.0.0:443"\n')
    assert refusal(path) == f"{path}: htps: there is no such setting; did you mean 'https'?"
    path.write_text("colour = 3\n")
    assert refusal(path) == f"{path}: colour: there is no such setting"


def test_what_is_wrong_is_told_with_the_option_variable_or_file_that_said_it(tmp_path, monkeypatch):
    path = tmp_path / "manager.toml"
    path.write_text("token_days = 99\n")
    monkeypatch.setenv("CERTCAST_MANAGER_LOG_LEVEL", "loud")
    assert sorted(refusal(path, ssh="nowhere").split("; ")) == [
        "--ssh: 'nowhere' is not HOST:PORT (for example 0.0.0.0:443 or [::]:443)",
        f"{path}: token_days: must be at most 30",
        "CERTCAST_MANAGER_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error'",
    ]


def test_a_trusted_proxy_is_an_address_or_a_network_and_never_everybody(tmp_path):
    path = tmp_path / "manager.toml"
    path.write_text('trusted_proxies = ["192.0.2.10", "2001:db8:1::/64"]\n')
    assert Settings.load(config=path).trusted_proxies == ("192.0.2.10", "2001:db8:1::/64")
    for wrong, said in (
        ("proxy.example", "is not an address or a network"),
        ("192.0.2.10/24", "is not an address or a network"),
        ("0.0.0.0/0", "is every address"),
        ("::/0", "is every address"),
    ):
        path.write_text(f'trusted_proxies = ["{wrong}"]\n')
        assert f"'{wrong}' {said}" in refusal(path)


def test_a_store_beside_the_caller_stays_there_when_the_command_leaves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Settings.load(data=Path("store")).data == tmp_path / "store"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"https = = 1\n", " is not TOML: invalid value (at line 1, column 9)"),
        (b"https = '\xff'\n", " is not UTF-8"),
    ],
)
def test_a_settings_file_that_does_not_parse_is_named_with_the_place(tmp_path, content, said):
    path = tmp_path / "manager.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        Settings.load(config=path)
    assert caught.value.message == f"{path}{said}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("ssh = 5", "ssh: must be text in quotes"),
        ('trusted_proxies = "10.0.0.0/33"', 'trusted_proxies: must be a list such as ["A", "B"]'),
        ("advertise = [5]", "advertise: must be text in quotes"),
        ("data = 5", "data: must be a path, as text in quotes"),
        ("audit_heads = []", "audit_heads: must be a path, as text in quotes"),
        ("log_style = 5", "log_style: must be 'auto', 'json' or 'console'"),
        ("token_days = [1]", "token_days: must be a whole number"),
        ("token_days = 1.5", "token_days: must be a whole number"),
        ("token_days = inf", "token_days: must be a whole number"),
        ('token_days = "x"', "token_days: must be a whole number"),
        (f'token_days = "{"1" * 5000}"', "token_days: must be a whole number"),
        ("token_days = 0", "token_days: must be at least 1"),
    ],
)
def test_what_a_setting_must_be_is_said_in_plain_words(tmp_path, line, said):
    path = tmp_path / "manager.toml"
    path.write_text(f"{line}\n")
    assert refusal(path) == f"{path}: {said}"


def test_a_variable_that_is_no_list_is_named_and_not_taken_for_the_file(monkeypatch):
    monkeypatch.setenv("CERTCAST_MANAGER_TRUSTED_PROXIES", "10.0.0.0/8")
    assert refusal() == 'CERTCAST_MANAGER_TRUSTED_PROXIES: must be a list such as ["A", "B"]'


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    path = tmp_path / "manager.toml"
    path.write_bytes(b"\xef\xbb\xbftoken_days = 3\n")
    assert Settings.load(config=path).token_days == 3
