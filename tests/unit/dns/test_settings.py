"""The table `[dns]`: which values are right, what is said of others, and which zone a record belongs to."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidInputError
from manager.dns.settings import Hook, HostPort, Update, parse_host_port
from manager.settings import Settings
from tests.patience import PATIENCE_S

UPDATE = '[[dns.zone]]\nnames = ["example.com"]\nserver = "192.0.2.1"\nkey_file = "/etc/certcast/key"\n'
HOOK = '[[dns.zone]]\nnames = ["example.net"]\npresent = ["/bin/change", "present"]\ncleanup = ["/bin/change", "cleanup"]\n'


def load(path: Path, text: str) -> Settings:
    path.write_text(text)
    return Settings.load(config=path)


def refusal(path: Path, text: str) -> str:
    with pytest.raises(InvalidInputError) as refused:
        load(path, text)
    return refused.value.message.removeprefix(f"{path}: ")


@pytest.fixture
def config(tmp_path) -> Path:
    return tmp_path / "manager.toml"


def test_without_the_table_no_zone_is_known(config):
    dns = load(config, "").dns
    assert (dns.zone, dns.resolvers, dns.persist) == ((), (), False)
    assert dns.way_of("_acme-challenge.example.com") is None


def test_a_zone_is_changed_by_a_server_or_by_commands(config):
    dns = load(
        config, f'[dns]\nresolvers = ["192.0.2.53", "[2001:db8::1]:5353"]\npersist = true\n{UPDATE}{HOOK}'
    ).dns
    assert dns.resolvers == (HostPort("192.0.2.53", 53), HostPort("2001:db8::1", 5353))
    assert dns.persist
    assert dns.way_of("_acme-challenge.Example.com") == Update(
        server=HostPort("192.0.2.1", 53), key_file=Path("/etc/certcast/key"), key_credential=None
    )
    assert dns.way_of("_acme-challenge.a.example.net") == Hook(
        present=("/bin/change", "present"), cleanup=("/bin/change", "cleanup"), timeout_s=60
    )


def test_the_nearest_name_above_a_record_counts_and_none_beside_it(config):
    near = UPDATE.replace("example.com", "_acme-challenge.a.example.com").replace(
        "192.0.2.1", "ns1.example.com:5353"
    )
    dns = load(config, UPDATE + near).dns
    assert dns.way_of("_acme-challenge.b.example.com").server == HostPort("192.0.2.1", 53)
    assert dns.way_of("_acme-challenge.a.example.com").server == HostPort("ns1.example.com", 5353)
    assert dns.way_of("_acme-challenge.notexample.com") is None
    assert dns.way_of("com") is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dns = 3\n", "dns: must be a table"),
        ("[dns]\nresolver = []\n", "dns.resolver: there is no such setting; did you mean 'resolvers'?"),
        ('[dns]\nresolvers = ["ns.example.com"]\n', "dns.resolvers 1: 'ns.example.com' is a name"),
        ('[dns]\npersist = "x"\n', "dns.persist: must be true or false"),
        (
            UPDATE.replace("server", "servr"),
            "dns.zone 1.servr: there is no such setting; did you mean 'server'?",
        ),
        (UPDATE.replace("names", "#"), "dns.zone 1.names: must be given"),
        (UPDATE + UPDATE, "dns: the name 'example.com' is given twice"),
        (UPDATE.replace("example.com", "example.com."), "dns.zone 1.names 1: 'example.com.' ends in a dot"),
        (UPDATE.replace("example.com", "*.example.com"), "'*.example.com' has a wildcard"),
        (UPDATE.replace("example.com", "bücher.example"), "write it as 'xn--bcher-kva.example'"),
        (
            UPDATE.replace("192.0.2.1", "192.0.2.1:0"),
            "dns.zone 1.server: '192.0.2.1:0' does not end in a port",
        ),
        (UPDATE.replace("192.0.2.1", "https://x"), "does not end in a port"),
        (UPDATE.replace("192.0.2.1", "a/b"), "'a/b' is not the place of a server"),
        (UPDATE.replace("/etc/certcast/key", "key"), "dns.zone 1.key_file: 'key' is not an absolute path"),
        (UPDATE.replace("key_file", "#"), "dns.zone 1: must have either key_file or key_credential"),
        (UPDATE + 'key_credential = "x"\n', "dns.zone 1: must have either key_file or key_credential"),
        (UPDATE + 'cleanup = ["/bin/x"]\n', "dns.zone 1: cleanup and timeout_seconds belong to commands"),
        (UPDATE + "timeout_seconds = 5\n", "dns.zone 1: cleanup and timeout_seconds belong to commands"),
        (UPDATE + HOOK.partition("\n")[2].partition("\n")[2], "dns.zone 1: must have either a server"),
        ('[[dns.zone]]\nnames = ["example.com"]\n', "dns.zone 1: must have either a server"),
        (HOOK.replace("cleanup =", "#"), "dns.zone 1: must have cleanup beside present"),
        (HOOK + 'key_file = "/k"\n', "dns.zone 1: key_file and key_credential belong to a server"),
        (
            HOOK.replace("/bin/change", "change"),
            "dns.zone 1.present: 'change' is not the absolute path of a program",
        ),
        (HOOK.replace('["/bin/change", "present"]', "[]"), "dns.zone 1.present: must be a list of words"),
        (HOOK.replace('["/bin/change", "present"]', '"/bin/change"'), "dns.zone 1.present: must be a list"),
        (
            HOOK.replace('"present"]', '"present"' + ', "x"' * 31 + "]"),
            "dns.zone 1.present: has more than 32 words",
        ),
        (HOOK + "timeout_seconds = 601\n", "dns.zone 1.timeout_seconds: must be at most 600"),
        (UPDATE.replace("key_file", "key_credential"), "dns.zone 1.key_credential: "),
    ],
)
def test_what_is_wrong_is_told_with_the_table_that_it_is_in(config, text, said):
    assert said in refusal(config, text)


def test_a_variable_cannot_stand_for_the_table(config, monkeypatch):
    monkeypatch.setenv("CERTCAST_MANAGER_DNS", '{"persist": true}')
    config.write_text("")
    with pytest.raises(InvalidInputError, match="CERTCAST_MANAGER_DNS: must be a table"):
        Settings.load(config=config)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("192.0.2.1", HostPort("192.0.2.1", 53)),
        ("192.0.2.1:5353", HostPort("192.0.2.1", 5353)),
        ("2001:db8::1", HostPort("2001:db8::1", 53)),
        ("[2001:db8::1]", HostPort("2001:db8::1", 53)),
        ("[2001:db8::1]:5353", HostPort("2001:db8::1", 5353)),
        ("ns1.example.com", HostPort("ns1.example.com", 53)),
        ("ns1.example.com:5353", HostPort("ns1.example.com", 5353)),
    ],
)
def test_a_server_is_named_as_people_name_it(text, place):
    assert parse_host_port(text) == place
    assert parse_host_port(str(place)) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":53",
        "[]:53",
        "[192.0.2.1]x:53",
        "[ns1.example.com]:53",
        "*.example.com",
        "fe80::1%eth0",
        "a:b:53",
        "x:99999",
        "x:+1",
    ],
)
def test_what_is_no_place_is_refused(text):
    with pytest.raises(ValueError):
        parse_host_port(text)


@given(st.text(max_size=30) | st.text("[]:.1aF*", max_size=20))
def test_every_text_is_a_place_or_is_refused(text):
    try:
        place = parse_host_port(text)
    except ValueError:
        return
    assert parse_host_port(str(place)) == place


def test_the_settings_load_nothing_that_asks_dns_or_a_ca():
    program = "import sys, manager.settings; print(sorted({'dns', 'acme', 'josepy', 'requests'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    assert done.stdout == "[]\n"
