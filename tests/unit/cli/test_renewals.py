"""Renewals from the command line: what is sent to set one up or to change it, and how they are shown."""

import pytest

from manager.cli import confirming
from tests.unit.cli.contract import stated
from tests.unit.cli.renewal_parts import FIRST, LATER_S, ORDER, RENEWAL, TERMS

WAITING = ORDER | {"waits_for": f"node 'conf2', port 80 does not show the proof for {'meet' * 20} (404)."}


@pytest.fixture
def made(api):
    """A manager with an account, a certificate and renewals of both kinds."""
    api.answer("GET", "accounts", {"accounts": [{"id": 4, "name": "le"}]})
    api.answer("GET", "renewals", {"renewals": [RENEWAL, FIRST]})
    api.answer("GET", "renewals/3", RENEWAL)
    api.answer("POST", "renewals", RENEWAL, status=201)
    api.answer("PUT", "renewals/3", RENEWAL)
    return api


def sent(api, method: str):
    return [body for asked, _, body in api.asked if asked == method]


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--certificate", "7", "--account", "le"], {"certificate": 7, "account": 4}),
        (
            [
                "--certificate",
                "7",
                "--account",
                "4",
                "--challenge",
                "dns-01",
                "--profile",
                "short",
                "--paused",
            ],
            {"certificate": 7, "account": 4, "challenge": "dns-01", "profile": "short", "paused": True},
        ),
        (
            ["--certificate", "7", "--account", "le", "--keep-key", "--preferred-chain", "Root X"],
            {"certificate": 7, "account": 4, "keeps_key": True, "preferred_chain": "Root X"},
        ),
        (
            [
                *("--account", "le", "--name", "a.example.com", "--name", "b.example.com"),
                *("--node", "conf1", "--slot", "client", "--key-type", "RSA4096"),
            ],
            {
                "account": 4,
                "names": ["a.example.com", "b.example.com"],
                "nodes": ["conf1"],
                "slot": "client",
                "key": "RSA4096",
                "confirm": "",
            },
        ),
        (
            ["--certificate", "7", "--by-request", "--send-to", "pki@example.com"],
            {"certificate": 7, "send_to": "pki@example.com"},
        ),
    ],
)
def test_a_renewal_is_set_up_with_what_was_said_and_the_rest_is_left_to_the_manager(
    made, run, arguments, body
):
    done = run("renewal", "set", *arguments)
    assert done.exit_code == 0, done.stderr
    assert sent(made, "POST") == [body]
    assert done.stdout.startswith("Set up renewal 3, of meet.example.com (certificate 7); waiting.\n")


@pytest.mark.parametrize(("registered", "is_told"), [(False, True), (True, False), (None, False)])
def test_whoever_orders_with_an_account_that_no_ca_knows_is_told_what_comes_of_it(
    made, run, registered, is_told
):
    made.answer("POST", "renewals", RENEWAL | {"account_registered": registered}, status=201)
    done = run("renewal", "set", "--certificate", "7", "--account", "le")
    assert (done.exit_code, "certcast account register 4" in done.stdout) == (0, is_told)


TAKEN = {
    "code": "slot_taken",
    "message": "conf1 loses certificate 8 to the new one, once its CA has signed it.",
    "severity": "warning",
    "asks": True,
    "nodes": ["conf1"],
}
ASKED = {
    "error": {
        "reason": "confirmation_needed",
        "message": "this needs confirmation",
        "confirmation": {"token": "t1", "consequences": [TAKEN]},
    }
}


def test_an_order_that_takes_a_slot_is_told_and_made_only_if_that_is_meant(
    made, run, monkeypatch: pytest.MonkeyPatch
):
    made.answer("POST", "renewals", ASKED, status=409)
    order = ["renewal", "set", "--account", "le", "--name", "a.example.com", "--node", "conf1"]
    refused = run(*order)
    assert refused.exit_code != 0
    assert "conf1 loses certificate 8" in refused.stderr
    assert "repeat it with --force" in refused.stderr
    monkeypatch.setattr(confirming, "can_ask", lambda: True)
    monkeypatch.setattr(confirming, "confirm", lambda _question: False)
    assert run(*order).exit_code != 0
    made.answer("POST", "renewals", RENEWAL, status=201)
    assert run(*order, "--force").exit_code == 0
    assert [body.get("confirm") for body in sent(made, "POST")] == ["", "", None]


@pytest.mark.parametrize(
    ("arguments", "changes"),
    [
        (["--profile", ""], {"profile": ""}),
        (["--challenge", "http-01", "--new-key"], {"challenge": "http-01", "keeps_key": False}),
        (["--certificate-names"], {"names": []}),
        (["--name", "other.example.com"], {"names": ["other.example.com"]}),
    ],
)
def test_what_is_not_given_stays_when_a_renewal_is_changed(made, run, arguments, changes):
    done = run("renewal", "set", "meet.example.com", *arguments)
    assert done.exit_code == 0, done.stderr
    assert sent(made, "PUT") == [stated("PUT", "renewals/3", TERMS | changes)]


def test_a_change_says_what_it_was_begun_with(made, run):
    made.answer("GET", "renewals/3", RENEWAL | {"tag": "abc"})
    assert run("renewal", "set", "3", "--profile", "").exit_code == 0
    assert sent(made, "PUT") == [stated("PUT", "renewals/3", TERMS | {"profile": "", "seen": "abc"})]


def test_an_order_becomes_a_request_and_a_request_an_order_with_nothing_left_of_the_other(made, run):
    assert run("renewal", "set", "3", "--by-request", "--send-to", "pki@example.com").exit_code == 0
    made.answer("GET", "renewals/3", RENEWAL | {"account": None, "send_to": "pki@example.com", "names": []})
    assert run("renewal", "set", "3", "--account", "le").exit_code == 0
    assert run("renewal", "set", "3").exit_code == 0
    assert sent(made, "PUT") == [
        {"send_to": "pki@example.com"},
        {"account": 4},
        {"send_to": "pki@example.com"},
    ]


def test_names_of_nodes_are_taken_from_the_manager(made, run):
    names = ["meet.example.com", "conf1.example.com"]
    made.answer("GET", "certificates/7/renewal-fields", {"names": names, "key": "RSA2048"})
    run("renewal", "set", "3", "--node-names")
    run("renewal", "set", "--certificate", "7", "--account", "le", "--node-names")
    assert [body["names"] for body in (*sent(made, "PUT"), *sent(made, "POST"))] == [names, names]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--certificate", "7"],
        ["--account", "le"],
        ["--certificate", "7", "--by-request", "--account", "le"],
        ["--by-request", "--name", "a.example.com"],
        ["--certificate", "7", "--account", "le", "--name", "x.example.com", "--certificate-names"],
        ["3", "--certificate", "7"],
        ["3", "--node", "conf1"],
        ["3", "--paused"],
        ["5", "--node-names"],
        ["nobody.example.com", "--profile", "x"],
        ["--certificate", "7", "--account", "nobody"],
        ["--certificate", "7", "--account", "le", "--challenge", "tls-alpn-01"],
    ],
)
def test_what_contradicts_itself_is_refused_before_anything_is_changed(made, run, arguments):
    made.answer("GET", "renewals/5", FIRST)
    done = run("renewal", "set", *arguments)
    assert done.exit_code == 2, done.output
    assert {method for method, _, _ in made.asked} <= {"GET"}


@pytest.mark.parametrize(
    ("certificate", "hint"), [("7", "; to change renewal 3: certcast renewal set 3"), ("9", "")]
)
def test_a_second_renewal_of_a_certificate_is_answered_with_how_to_change_the_first(
    made, run, certificate, hint
):
    made.refuse("POST", "renewals", 409, "it is renewed already")
    done = run("renewal", "set", "--certificate", certificate, "--by-request")
    assert (done.exit_code, done.stderr) == (1, f"certcast: it is renewed already{hint}\n")


def test_any_name_of_its_certificate_means_a_renewal_by_request_however_it_is_written(api, run):
    names = {"subject_name": "meet.example.com", "ordered_names": ["meet.example.com", "Talk.Example.com"]}
    by_request = RENEWAL | names | {"account": None}
    api.answer("GET", "renewals", {"renewals": [by_request]})
    api.answer("POST", "renewals/3/pause", by_request)
    done = run("renewal", "pause", "talk.example.com")
    assert done.exit_code == 0, done.stderr


def test_a_name_of_several_renewals_chooses_none_and_names_all(api, run):
    api.answer("GET", "renewals", {"renewals": [RENEWAL, FIRST | {"ordered_names": ["meet.example.com"]}]})
    done = run("renewal", "show", "Meet.example.com")
    assert done.exit_code == 2
    assert "3 (certificate 7); 5 (certificate not there yet)" in done.stderr


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({}, ["7: meet.example.com", "le, dns-01", "in 20 d", "waiting"]),
        ({"waits_until": "order 5 is over"}, ["waits until order 5 is over"]),
        ({"state": "stopped", "next_at_s": None}, ["stopped: its account was deactivated"]),
        ({"state": "paused", "next_at_s": None}, ["paused"]),
        (
            {"state": "failing", "failures": 3, "next_at_s": LATER_S},
            ["failed 3 times, tried again in 20 d"],
        ),
        ({"state": "failing", "failures": 1, "next_at_s": 0.0}, ["failed 1 time, tried again now"]),
        ({"state": "ordering", "orders": [ORDER]}, ["ordering: the CA has the order"]),
        (
            {"state": "ordering", "orders": [WAITING]},
            ["ordering, waiting for: node 'conf2', port 80 does not show"],
        ),
        (
            {"state": "requested", "account": None, "send_to": "pki@example.com", "request": 9},
            ["a request to pki@example.com", "request 9 waits for its answer"],
        ),
        ({"state": "resting", "account": 99}, ["account 99, dns-01", "resting"]),
    ],
)
def test_a_list_says_what_is_renewed_how_and_how_that_stands(made, run, changes, shown):
    made.answer("GET", "renewals", {"renewals": [RENEWAL | changes]})
    row = run("renewal", "list").stdout.splitlines()[-1]
    for words in shown:
        assert words in row


def test_a_renewal_is_shown_with_its_orders_step_by_step_and_the_words_of_the_ca(made, run):
    problem = {"at_s": 1003.0, "message": "ca.example.com refused (caa): CAA forbids it", "type": "caa"}
    order = ORDER | {"problem": problem | {"detail": "CAA forbids it"}}
    window = {"starts_at_s": 1000.0, "ends_at_s": 2000.0, "why": "https://ca.example.com/why"}
    made.answer(
        "GET", "renewals/3", RENEWAL | {"orders": [order], "window": window, "problem": order["problem"]}
    )
    shown = run("renewal", "show", "3").stdout
    for words in (
        "Root X",
        "new each time, ECDSAP384",
        "https://ca.example.com/why",
        "order 12 for meet.example.com: the CA has the order",
        "1970-01-01 00:16:40Z  a key and a request are made",
        "1970-01-01 00:16:43Z  the CA has the order: ca.example.com refused (caa): CAA forbids it",
    ):
        assert words in shown
    assert "waits:" not in shown


def test_what_an_order_waits_for_is_shown_beside_its_steps(made, run):
    waits = {"at_s": 1004.0, "message": "conf2 does not show the proof for meet.example.com (404)."}
    made.answer(
        "GET", "renewals/3", RENEWAL | {"orders": [ORDER | {"problem": waits, "waits_for": waits["message"]}]}
    )
    assert "00:16:44Z  waits: conf2 does not show the proof" in run("renewal", "show", "3").stdout


@pytest.mark.parametrize(("command", "done"), [("pause", "Paused"), ("resume", "Resumed")])
def test_a_renewal_is_paused_and_resumed(made, run, command, done):
    made.answer("POST", f"renewals/3/{command}", RENEWAL)
    assert run("renewal", command, "3").stdout == (
        f"{done} renewal 3, of meet.example.com (certificate 7); waiting.\n"
    )


def test_a_renewal_that_is_paused_is_said_to_be_so_once(made, run):
    made.answer("POST", "renewals/3/pause", RENEWAL | {"state": "paused"})
    assert run("renewal", "pause", "3").stdout == "Paused renewal 3, of meet.example.com (certificate 7).\n"


def test_whoever_names_a_profile_is_told_how_to_see_whether_the_ca_has_it(made, run):
    hint = "Whether the CA has the profile 'nosuch' shows with the first order. To check it now: certcast renewal test 3\n"
    assert run("renewal", "set", "3", "--profile", "nosuch").stdout.endswith(hint)
    assert "profile" not in run("renewal", "set", "3", "--profile", "").stdout
    assert hint not in run("renewal", "set", "3", "--profile", "nosuch", "--json").stdout


@pytest.mark.parametrize(
    ("challenge", "is_told"), [("dns-01", True), ("dns-persist-01", True), ("http-01", False)]
)
def test_whoever_lets_names_be_proven_by_dns_is_told_how_to_try_it(made, run, challenge, is_told):
    hint = "Whether its names can be proven by DNS shows with the first order. To check it now: certcast renewal test 3\n"
    assert run("renewal", "set", "3", "--challenge", challenge).stdout.endswith(hint) is is_told


def test_a_renewal_is_removed_after_a_question(made, run, monkeypatch):
    made.answer("DELETE", "renewals/3", "", status=204)
    monkeypatch.setattr(confirming, "can_ask", lambda: True)
    monkeypatch.setattr(confirming, "confirm", lambda question: False)
    assert run("renewal", "remove", "3").exit_code == 1
    assert run("renewal", "remove", "3", "--force").stdout == "Removed renewal 3.\n"
    assert len(sent(made, "DELETE")) == 1
