"""Accounts at CAs, from the command line: what is sent, what is asked, and what never stands in an argument."""

import pytest

from common.explained.cas import KNOWN_CAS
from manager.cli import accounts, confirming
from tests.unit.cli.renewal_parts import RENEWAL

SECRET = "c2VjcmV0LWJpbmRpbmcta2V5"
URL = "https://ca.example.com/directory"
TERMS = "https://ca.example.com/terms"
ACCOUNT = {"id": 4, "name": "le", "directory_url": URL, "contact": ["mailto:ops@example.com"]}
REGISTERED = ACCOUNT | {"url": "https://ca.example.com/acct/1", "terms_agreed": True}
SENT = {
    "name": "le",
    "directory_url": URL,
}


@pytest.fixture
def ca(api):
    """A manager that makes an account, at a CA with terms of service."""
    api.answer("POST", "accounts", ACCOUNT, status=201)
    api.answer("GET", "accounts", {"accounts": [ACCOUNT]})
    api.answer("GET", "accounts/4", ACCOUNT)
    api.answer("GET", "accounts/4/directory", {"terms_url": TERMS, "profiles": {"short": "six days"}})
    api.answer("POST", "accounts/4/register", REGISTERED)
    return api


def sent(api, method: str, path: str):
    return [body for asked, where, body in api.asked if (asked, where) == (method, path)]


def test_an_account_is_made_and_then_registered(ca, run):
    done = run("account", "add", "le", "--directory", URL, "--contact", "ops@example.com", "--agree-to-terms")
    assert done.exit_code == 0, done.stderr
    assert sent(ca, "POST", "accounts") == [SENT | {"contact": ["ops@example.com"]}]
    assert sent(ca, "POST", "accounts/4/register") == [{"terms_agreed": True}]
    assert done.stdout == f"Created account 4, le.\nle is registered at {URL}.\n"


def test_a_ca_that_people_know_by_name_is_known_with_its_staging_environment(ca, run):
    known = KNOWN_CAS["letsencrypt"]
    run("account", "add", "le", "--directory", "letsencrypt", "--agree-to-terms")
    addresses = {"directory_url": known.directory_url, "staging_url": known.staging_url}
    assert sent(ca, "POST", "accounts") == [SENT | addresses]


@pytest.mark.parametrize(("agrees", "registered"), [(True, [{"terms_agreed": True}]), (False, [])])
def test_whoever_sits_at_a_terminal_is_asked_for_the_terms(ca, run, monkeypatch, agrees, registered):
    asked = []
    monkeypatch.setattr(accounts, "can_ask", lambda: True)
    monkeypatch.setattr(accounts, "confirm", lambda question: asked.append(question) or agrees)
    done = run("account", "register", "le")
    assert TERMS in asked[0]
    assert sent(ca, "POST", "accounts/4/register") == registered
    assert done.exit_code == (0 if agrees else 1)


def test_a_script_agrees_to_terms_by_an_option_only_and_the_account_is_kept(ca, run):
    done = run("account", "add", "le", "--directory", URL)
    assert done.exit_code == 1
    for words in (TERMS, "--agree-to-terms", "certcast account register 4"):
        assert words in done.stderr
    assert sent(ca, "POST", "accounts/4/register") == []


def test_nobody_is_asked_for_terms_that_were_agreed_to(ca, run):
    ca.answer("GET", "accounts/4", REGISTERED)
    assert run("account", "register", "4").exit_code == 0
    assert sent(ca, "POST", "accounts/4/register") == [{}]


def test_the_key_of_a_binding_comes_from_a_file_or_standard_input(ca, run, tmp_path):
    file = tmp_path / "eab.key"
    file.write_text(f"{SECRET}\n")
    add = ["account", "add", "le", "--directory", URL, "--agree-to-terms", "--eab-id", "kid-1"]
    outputs = [
        run(*add, "--eab-key-file", str(file)).output,
        run(*add, "--eab-key-file", "-", text=SECRET).output,
    ]
    binding = {"binding_id": "kid-1", "binding_key": SECRET}
    assert sent(ca, "POST", "accounts") == [SENT | binding] * 2
    assert SECRET not in "".join(outputs)


def test_the_key_of_a_binding_is_asked_for_at_a_terminal(ca, run, monkeypatch):
    monkeypatch.setattr(accounts, "prompt", lambda text, **_more: f"{SECRET} ")
    run("account", "add", "le", "--directory", URL, "--agree-to-terms", "--eab-id", "kid-1")
    assert sent(ca, "POST", "accounts")[0]["binding_key"] == SECRET


@pytest.mark.parametrize(
    "more", [["--eab-key-file", "x"], ["--eab-id", "x"], ["--trusted-ca", "-", "--eab-key-file", "-"]]
)
def test_half_a_binding_is_refused_before_anything_is_sent(ca, run, more):
    done = run("account", "add", "le", "--directory", URL, *more)
    assert (done.exit_code, sent(ca, "POST", "accounts")) == (2, [])


def test_the_directory_is_verified_with_the_cas_that_are_given(ca, run, tmp_path):
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    run(
        "account",
        "add",
        "le",
        "--directory",
        URL,
        "--trusted-ca",
        str(tmp_path / "ca.pem"),
        "--agree-to-terms",
    )
    assert sent(ca, "POST", "accounts")[0]["trusted_cas"] == "-----BEGIN CERTIFICATE-----\n"


def test_a_ca_that_cannot_be_asked_leaves_an_account_and_says_how_to_go_on(ca, run):
    ca.refuse("GET", "accounts/4/directory", 502, "ca.example.com: connection refused")
    done = run("account", "add", "le", "--directory", URL, "--agree-to-terms")
    assert done.exit_code == 1
    assert "connection refused" in done.stderr
    assert "certcast account register 4" in done.stderr


@pytest.mark.parametrize("command", [["add", "le", "--directory", URL], ["register", "le"]])
def test_a_ca_that_is_not_trusted_is_answered_with_the_option_that_names_its_root(ca, run, command):
    ca.refuse("GET", "accounts/4/directory", 502, "ca.example.com: its certificate is not trusted")
    done = run("account", *command, "--agree-to-terms")
    assert done.stderr.count("certcast account edit 4 --trusted-ca FILE") == 1


def test_terms_that_nobody_agreed_to_are_no_reason_to_correct_an_account(ca, run):
    assert "account edit" not in run("account", "add", "le", "--directory", URL).stderr


def test_accounts_are_listed_with_their_state(api, run):
    ended = ACCOUNT | {"id": 5, "name": "old", "deactivated_at_s": 9.0}
    api.answer("GET", "accounts", {"accounts": [ACCOUNT, ended, REGISTERED | {"id": 6, "name": "new"}]})
    rows = [line.split() for line in run("account", "list").stdout.splitlines()]
    assert [(row[1], row[4:]) for row in rows if row[:1] in (["4"], ["5"], ["6"])] == [
        ("le", ["not", "registered", "yet"]),
        ("old", ["deactivated"]),
        ("new", ["registered"]),
    ]


def test_an_account_is_shown_with_what_its_ca_offers(ca, run):
    assert "ops@example.com" in run("account", "show", "le").stdout
    assert "short: six days" in run("account", "show", "le", "--offers").stdout


def test_an_account_that_is_not_there_is_refused_by_name(ca, run):
    done = run("account", "show", "nobody")
    assert done.exit_code == 2
    assert "certcast account list" in done.stderr


def test_a_name_counts_before_a_number(api, run):
    api.answer("GET", "accounts", {"accounts": [ACCOUNT | {"id": 7, "name": "4"}, ACCOUNT]})
    api.answer("DELETE", "accounts/7", "", status=204)
    assert run("account", "remove", "4").stdout == "Removed account 7.\n"


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--contact", "a@example.com", "--contact", "b@example.com"], ["a@example.com", "b@example.com"]),
        (["--no-contact"], []),
    ],
)
def test_contacts_are_replaced_as_a_whole(ca, run, arguments, body):
    ca.answer("PATCH", "accounts/4", ACCOUNT)
    assert run("account", "edit", "le", *arguments).exit_code == 0
    assert sent(ca, "PATCH", "accounts/4") == [{"contact": body}]
    assert run("account", "edit", "le").exit_code == 2


def test_what_was_wrong_is_corrected_and_the_rest_is_left_as_it_is(ca, run, tmp_path):
    ca.answer("PATCH", "accounts/4", ACCOUNT)
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "eab.key").write_text(f"{SECRET}\n")
    known = KNOWN_CAS["letsencrypt"]
    edits = [
        (["--trusted-ca", str(tmp_path / "ca.pem")], {"trusted_cas": "-----BEGIN CERTIFICATE-----\n"}),
        (["--no-trusted-ca", "--no-staging"], {"trusted_cas": "", "staging_url": ""}),
        (["--eab-key-file", str(tmp_path / "eab.key")], {"binding_key": SECRET}),
        (["--no-eab"], {"binding_id": "", "binding_key": ""}),
        (["--name", "own", "--directory", URL], {"name": "own", "directory_url": URL}),
        (
            ["--directory", "letsencrypt"],
            {"directory_url": known.directory_url, "staging_url": known.staging_url},
        ),
    ]
    done = [run("account", "edit", "le", *arguments) for arguments, _ in edits]
    assert {each.exit_code for each in done} == {0}
    assert sent(ca, "PATCH", "accounts/4") == [body for _, body in edits]
    assert "certcast account register 4" in done[0].stdout
    assert SECRET not in "".join(each.output for each in done)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--trusted-ca", "x", "--no-trusted-ca"],
        ["--eab-id", "x", "--no-eab"],
        ["--staging", "https://s", "--no-staging"],
        ["--contact", "a@example.com", "--no-contact"],
    ],
)
def test_what_is_given_and_to_be_none_at_once_is_refused_before_anything_is_sent(ca, run, arguments):
    done = run("account", "edit", "le", *arguments)
    assert (done.exit_code, sent(ca, "PATCH", "accounts/4")) == (2, [])
    assert "exclude each other" in done.stderr


def test_a_key_is_replaced_and_an_account_ended(ca, run):
    ca.answer("POST", "accounts/4/change-key", REGISTERED)
    ca.answer("POST", "accounts/4/deactivate", REGISTERED)
    assert run("account", "change-key", "le").stdout == "le has a new key.\n"
    assert run("account", "deactivate", "le", "--force").stdout == "le was deactivated.\n"


@pytest.mark.parametrize("can_ask", [False, True])
def test_an_account_is_ended_for_good_only_by_whoever_was_told_what_stops(ca, run, monkeypatch, can_ask):
    ca.answer("GET", "renewals", {"renewals": [RENEWAL, RENEWAL | {"id": 8, "account": 9}]})
    monkeypatch.setattr(confirming, "can_ask", lambda: can_ask)
    monkeypatch.setattr(confirming, "confirm", lambda question: False)
    done = run("account", "deactivate", "le")
    assert done.exit_code == 1
    assert "renewal 3 of meet.example.com (certificate 7) would stop" in done.stderr
    assert "certcast renewal set 3 --account ACCOUNT" in done.stderr
    assert "renewal 8" not in done.stderr
    assert ("repeat it with --force" in done.stderr) == (not can_ask)
    assert {method for method, _, _ in ca.asked} == {"GET"}


@pytest.mark.parametrize("command", ["deactivate", "remove"])
def test_what_cannot_be_undone_is_asked_for_at_a_terminal(ca, run, monkeypatch, command):
    ca.answer("GET", "renewals", {"renewals": []})
    monkeypatch.setattr(confirming, "can_ask", lambda: True)
    monkeypatch.setattr(confirming, "confirm", lambda question: False)
    done = run("account", command, "le")
    assert done.exit_code == 1
    assert {method for method, _, _ in ca.asked} == {"GET"}
