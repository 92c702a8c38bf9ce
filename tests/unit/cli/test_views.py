import re
import stat
import time
from pathlib import Path

import msgspec
import pytest

from common.api import codes
from common.api.certificates import CertificateAnswer
from manager.cli import certificate_tables, certificate_views, output
from tests.unit.cli.contract import complete
from tests.unit.cli.fake_api import LEAF

PEM = "-----BEGIN CERTIFICATE-----\r\nMIIx\r\n-----END CERTIFICATE-----\r\n"
FAR_S = 4102444800
LISTED = {
    "id": 7,
    "subject_name": "a.example.com",
    "issuer_name": "Example CA",
    "fingerprint": LEAF,
    "not_before_s": 0,
    "not_after_s": FAR_S,
    "status": "19 days left",
    "statuses": [{"code": "expiring", "text": "19 days left"}, {"code": "weak_signature", "text": "Weak"}],
    "chain_state": "incomplete",
    "nodes": [{"node": f"conf{number}", "slot": "server"} for number in range(9)],
}
SHOWN = LISTED | {
    "raw_subject": "CN=a.example.com",
    "raw_issuer": "CN=Example CA",
    "serial_no": "01",
    "key_type": "RSA",
    "key_bits": 2048,
    "subject_alt_names": ["a.example.com"],
    "chain_of_trust": {
        "state": "incomplete",
        "explanation": "The chain of trust is incomplete: issuer CN=Root not found.",
        "missing_issuer": "CN=Root",
        "strict_client": "validation failed: candidates exhausted",
        "links": [
            {"subject": "CN=a.example.com", "source": "leaf", "not_after_s": FAR_S, "problems": ["weak_key"]},
            {"subject": "CN=Example CA", "source": "uploaded", "not_after_s": FAR_S, "problems": []},
        ],
    },
    "findings": [
        {"code": "wildcard", "message": "*.example.com is a wildcard; SIP does not allow those."},
        {"code": "chain", "message": "The chain of trust is incomplete: issuer CN=Root not found."},
    ],
    "certificate": PEM,
    "parameters": "-----BEGIN DH PARAMETERS-----\nMII\n-----END DH PARAMETERS-----\n",
    "text": "Certificate:\n    Data:\n",
}
FIRST_PAGE = "certificates?order=id&limit=100"
ALL_PAGES = "certificates?order=id&limit=10000&offset="


def test_a_list_shows_status_chain_expiry_and_a_few_places(api, run):
    api.answer("GET", FIRST_PAGE, {"total": 1, "certificates": [LISTED]})
    shown = run("certificate", "list").stdout
    for text in ("a.example.com", "Example CA", "abababab", "19 days left", "chain incomplete", "in "):
        assert text in shown
    assert "conf2" in shown
    assert "and 6 more" in shown
    assert "conf3" not in shown


def test_a_list_fits_an_ordinary_terminal(monkeypatch, capsys):
    monkeypatch.setattr(output, "WIDE", 80)
    listed = LISTED | {
        "id": 12345,
        "subject_name": "conference.example.com",
        "issuer_name": "Example Issuing CA 1",
        "chain_state": "not_yet_valid",
        "headline": {"code": "weak_signature", "text": "Weak signature", "severity": "error"},
        "statuses": [],
        "nodes": [],
    }
    one = msgspec.convert(complete(listed, CertificateAnswer), CertificateAnswer)
    rows = [certificate_tables.list_row(one, time.time())]
    output.show_table(certificate_tables.LIST_HEADINGS, rows, nothing="", folded=certificate_tables.FOLDED)
    shown = capsys.readouterr().out
    assert all(len(line) <= 80 for line in shown.splitlines())
    for whole in ("12345", "conference.example.com", "abababab", "Weak signature", "chain not yet valid"):
        assert whole in shown


def test_filters_order_and_limit_are_sent_and_what_is_left_out_is_told(api, run):
    query = "search=a+b%26c&status=expiring&node=&order=-expiry&limit=1"
    api.answer("GET", f"certificates?{query}", {"total": 3, "certificates": [LISTED]})
    options = ["--search", "a b&c", "--status", "expiring", "--unassigned", "--order", "expiry", "--reverse"]
    done = run("certificate", "list", *options, "--limit", "1")
    assert done.exit_code == 0, done.stderr
    assert "2 more of 3" in done.stderr


def test_all_pages_are_one_list_in_json_too(api, run):
    other = LISTED | {"id": 8, "extra": [1, {"kept": "as it came"}]}
    api.answer("GET", f"{ALL_PAGES}0", {"total": 2, "certificates": [LISTED]})
    api.answer("GET", f"{ALL_PAGES}1", {"total": 2, "certificates": [other]})
    assert run("certificate", "list", "--all").stdout.count("a.example.com") == 2
    answer = run("certificate", "list", "--all", "--json").stdout
    assert answer.count('"id":') == 2
    assert '"kept": "as it came"' in answer


def test_a_list_that_shrinks_while_it_is_paged_ends(api, run):
    api.answer("GET", f"{ALL_PAGES}0", {"total": 2, "certificates": [LISTED]})
    api.answer("GET", f"{ALL_PAGES}1", {"total": 2, "certificates": []})
    assert run("certificate", "list", "--all").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [([], "No certificates yet"), (["--status", "expired"], "No certificate matches")],
)
def test_an_empty_list_says_whether_anything_was_asked_for(api, run, arguments, printed):
    path = f"certificates?{'status=expired&' if arguments else ''}order=id&limit=100"
    api.answer("GET", path, {"total": 0, "certificates": []})
    assert printed in run("certificate", "list", *arguments).stdout


def test_each_nodes_slots_are_listed_and_an_empty_one_is_told(api, run):
    slots = [
        {"node": "conf1", "slot": "server", "certificate": LISTED},
        {"node": "conf2", "slot": "server", "certificate": None},
    ]
    api.answer("GET", "certificates/by-node", {"slots": slots})
    lines = run("certificate", "list", "--by-node").stdout.splitlines()
    assert any("conf1" in line and "a.example.com" in line for line in lines)
    assert any("conf2" in line and "no certificate" in line for line in lines)
    only = run("certificate", "list", "--by-node", "--node", "conf2").stdout
    assert "conf1" not in only


@pytest.mark.parametrize(
    "arguments",
    [
        ["--node", "a", "--unassigned"],
        ["--by-node", "--search", "x"],
        ["--status", "fine"],
        ["--limit", "0"],
        ["--limit", "10001"],
    ],
)
def test_a_list_that_makes_no_sense_is_exit_status_2(api, run, arguments):
    assert run("certificate", "list", *arguments).exit_code == 2
    assert not api.asked


def test_one_certificate_is_shown_decoded_with_its_chain_link_by_link(api, run):
    api.answer("GET", "certificates/7", SHOWN)
    shown = run("certificate", "show", "7").stdout
    for text in (
        *("CN=a.example.com", "RSA 2048", LEAF, "19 days left, Weak", "DH PARAMETERS", "conf8"),
        *("this certificate", "weak key", "came with it", "wildcard", "in "),
    ):
        assert text in shown
    assert "refuses it: there is no way to a trusted root" in shown
    assert shown.count("issuer CN=Root not found") == 1, "it is told once"
    missing = next(line for line in shown.splitlines() if line.startswith("?"))
    assert "CN=Root" in missing
    assert "certcast ca add" in missing
    assert "BEGIN CERTIFICATE" not in shown


@pytest.mark.parametrize("arguments", [["list"], ["list", "--by-node"], ["show", "7"]])
def test_good_never_stands_where_something_is_worse(api, run, arguments):
    worst = {"code": "not_yet_valid", "text": "Chain not valid yet", "severity": "error"}
    good = {"status": "Good", "statuses": [{"code": "good", "text": "Good"}], "chain_state": "not_yet_valid"}
    each = SHOWN | good | {"headline": worst}
    api.answer("GET", FIRST_PAGE, {"total": 1, "certificates": [each]})
    api.answer("GET", "certificates/7", each)
    slot = {"node": "conf1", "slot": "server", "certificate": each}
    api.answer("GET", "certificates/by-node", {"slots": [slot]})
    shown = run("certificate", *arguments).stdout
    assert "Chain not valid yet" in shown
    assert "Good" not in shown


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["list", "--status", "odd"], "'--status': 'odd' is not one of 'expired'"),
        (["list", "--limit", "some"], "'--limit': 'some' is not a whole number."),
        (["list", "--limit", "0"], "'--limit': 0 is too small: it must be at least 1."),
    ],
)
def test_a_value_that_an_option_does_not_take_is_refused_in_plain_words(api, run, arguments, printed):
    done = run("certificate", *arguments)
    assert done.exit_code == 2
    assert printed in done.stderr


@pytest.mark.parametrize(
    ("state", "verdict", "printed"),
    [
        ("complete", "", "accepts it"),
        ("complete", "the key is too short", "refuses it: the key is too short"),
    ],
)
def test_the_strict_clients_verdict_is_shown(api, run, state, verdict, printed):
    chain = SHOWN["chain_of_trust"] | {"state": state, "strict_client": verdict}
    api.answer("GET", "certificates/7", SHOWN | {"chain_of_trust": chain})
    assert printed in run("certificate", "show", "7").stdout


@pytest.mark.parametrize(
    ("purpose", "printed"),
    [("client", r"strict server +accepts it from a client"), ("server", r"strict client +accepts it *\n")],
)
def test_a_certificate_that_only_a_client_shows_is_not_said_to_be_accepted_by_clients(
    api, run, purpose, printed
):
    chain = SHOWN["chain_of_trust"] | {"state": "complete", "strict_client": "", "purpose": purpose}
    api.answer("GET", "certificates/7", SHOWN | {"chain_of_trust": chain})
    assert re.search(printed, run("certificate", "show", "7").stdout)


def test_pem_and_text_are_printed_as_they_are_kept(api, run):
    api.answer("GET", "certificates/7", SHOWN)
    assert run("certificate", "show", "7", "--pem").stdout_bytes == PEM.encode()
    assert run("certificate", "show", "7", "--text").stdout == SHOWN["text"]
    assert run("certificate", "show", "7", "--text", "--pem").exit_code == 2


@pytest.fixture
def here(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_download_is_named_by_the_manager_and_replaces_nothing_unasked(api, run, here):
    api.answer_file("POST", "certificates/download", "a_certificate.pem", PEM)
    done = run(
        "certificate", "download", "7", "8", "--no-leaf", "--no-intermediates", "--format", "pfx-legacy"
    )
    assert done.stdout == "Wrote a_certificate.pem.\n"
    assert api.asked[0][2] == {
        "ids": [7, 8],
        "format": "pfx_legacy",
        "include_certificate": False,
        "include_intermediates": False,
    }
    (here / "a_certificate.pem").write_text("mine")
    refused = run("certificate", "download", "7")
    assert refused.exit_code == 2
    assert "--force replaces it" in refused.stderr
    assert (here / "a_certificate.pem").read_text() == "mine"
    assert run("certificate", "download", "7", "--force").exit_code == 0
    assert (here / "a_certificate.pem").read_bytes() == PEM.encode()


def test_a_key_file_is_for_its_owner_only_even_in_place_of_an_open_one(api, run, here):
    api.answer_file("POST", "certificates/download", "a_keycert.pem", PEM)
    phrase = ["--with-key", "--passphrase-stdin"]
    done = run("certificate", "download", "7", *phrase, text="a long passphrase\n")
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2]["passphrase"] == "a long passphrase"
    assert "a long passphrase" not in done.output
    (here / "open").write_text("old")
    (here / "open").chmod(0o666)
    arguments = ["--output", "open", "--force"]
    assert run("certificate", "download", "7", *phrase, *arguments, text="a long passphrase\n").exit_code == 0
    for name in ("a_keycert.pem", "open"):
        assert stat.S_IMODE((here / name).stat().st_mode) == 0o600


def test_a_download_goes_to_standard_output_or_into_a_directory(api, run, here):
    api.answer_file("POST", "certificates/download", "a_certificate.pem", PEM)
    done = run("certificate", "download", "7", "--output", "-")
    assert done.stdout_bytes == PEM.encode()
    (here / "there").mkdir()
    printed = run("certificate", "download", "7", "--output", "there", "--json").stdout
    assert printed == f'{{"name":"there/a_certificate.pem","bytes":{len(PEM)},"with_key":false}}\n'
    assert (here / "there" / "a_certificate.pem").exists()


@pytest.mark.parametrize("name", ["../evil.pem", "/etc/evil.pem", ".hidden", "a\\b.pem"])
def test_a_managers_name_cannot_leave_the_directory(api, run, here, name):
    api.answer_file("POST", "certificates/download", name, PEM)
    assert run("certificate", "download", "7").stdout == "Wrote download.\n"
    assert [each.name for each in here.iterdir()] == ["download"]


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["--with-key"], "no terminal"),
        (["--passphrase-stdin"], "for --with-key"),
        (["--output", "/dev/null", "--force"], "is not a file"),
        (["--output", "link"], "already exists"),
        (["--output", "no/where"], "cannot write no/where: No such file"),
    ],
)
def test_what_cannot_be_downloaded_or_written_is_exit_status_2(api, run, here, arguments, printed):
    (here / "link").symlink_to("nowhere")
    api.answer_file("POST", "certificates/download", "a_certificate.pem", PEM)
    done = run("certificate", "download", "7", *arguments)
    assert done.exit_code == 2
    assert printed in done.stderr
    assert [each.name for each in here.iterdir()] == ["link"]


def test_each_form_of_a_download_is_one_of_the_apis():
    assert [each.replace("-", "_") for each in certificate_views.DownloadFormat] == list(codes.Format)
