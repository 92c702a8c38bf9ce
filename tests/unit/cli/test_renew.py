"""Renewing now: which renewal is meant, what is told while it goes on, and how the command ends."""

import pytest

from manager.cli import renew
from tests.unit.cli.renewal_parts import BEGUN, FIRST, LATER_S, RENEWAL, order

WORDS = "ca.example.com refused (caa): CAA forbids it"


DONE = order((1.0, "created", ""), (2.0, "ordered", ""), (9.0, "served", ""))


@pytest.fixture
def made(api):
    api.answer("GET", "renewals", {"renewals": [RENEWAL, FIRST]})
    api.answer("POST", "renewals/3/order", BEGUN, status=201)
    api.answer("POST", "renewals/3/test", BEGUN, status=201)
    api.answer("GET", "renewals/3", RENEWAL | {"orders": [DONE]})
    return api


@pytest.mark.parametrize("certificate", ["7", "meet.example.com"])
def test_the_renewal_of_a_certificate_is_ordered_now(made, run, certificate):
    done = run("renew", certificate)
    assert done.exit_code == 0, done.stderr
    assert done.stdout == "Order 12 for meet.example.com has begun.\n"
    assert made.asked[-1] == ("POST", "renewals/3/order", {})


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (
            "3",
            "certificate 3 has no renewal (set one up: certcast renewal set --certificate 3 --account ACCOUNT); renewal 3 is for certificate 7 (to renew it: certcast renew 7)\n",
        ),
        (
            "5",
            "renewal 5 is for a certificate that is not there yet (to renew it: certcast renew new.example.com)\n",
        ),
        ("9", "certificate 9 has no renewal; set one up: certcast renewal set --certificate 9"),
    ],
)
def test_the_number_of_a_renewal_is_told_from_that_of_a_certificate(made, run, certificate, words):
    done = run("renew", certificate)
    assert (done.exit_code, words in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("certificate", ["3", "other.example.com"])
def test_a_certificate_without_a_renewal_is_answered_with_how_to_set_one_up(made, run, certificate):
    done = run("renew", certificate)
    assert done.exit_code == 2
    assert "certcast renewal set --certificate" in done.stderr


@pytest.mark.parametrize("command", [["renew", "7"], ["renewal", "test", "3"]])
def test_whoever_waits_is_told_each_step_once_until_the_end(made, run, command):
    done = run(*command, "--wait")
    assert done.exit_code == 0, done.stderr
    told = [line.rpartition(" (")[0] for line in done.stderr.splitlines()]
    assert told == [
        "a key and a request are made",
        "the CA has the order",
        "every node that has the certificate serves it",
    ]


WAITS = "conf2 does not show the proof"


def test_what_is_waited_for_and_every_look_is_told_of_as_it_changes(made, run, monkeypatch):
    monkeypatch.setattr(renew, "ORDER_POLL_S", 0.01)
    looks = [
        order((1.0, "created", "")),
        order((1.0, "created", ""), problem={"message": WAITS}, waits_for=WAITS),
        order((1.0, "created", ""), problem={"message": WAITS}, waits_for=WAITS),
        DONE,
    ]
    made.answer_in_turn("GET", "renewals/3", [RENEWAL | {"orders": [each]} for each in looks])
    done = run("renew", "7", "--wait")
    assert done.exit_code == 0, done.stderr
    assert [line.rpartition(" (")[0] for line in done.stderr.splitlines()] == [
        "a key and a request are made",
        f"waits: {WAITS}",
        "the CA has the order",
        "every node that has the certificate serves it",
    ]


def test_a_failure_ends_the_waiting_and_tells_when_it_is_tried_again(made, run):
    failed = order((1.0, "created", ""), (2.0, "created", WORDS), problem={"at_s": 2.0, "message": WORDS})
    resting = {"state": "failing", "failures": 1, "retry_at_s": LATER_S}
    made.answer("GET", "renewals/3", RENEWAL | resting | {"orders": [failed]})
    done = run("renew", "7", "--wait")
    assert done.exit_code == 1
    assert WORDS in done.stderr
    assert "tried again in 20 d" in done.stderr


def test_the_failure_that_an_order_rests_after_is_not_told_again_when_it_goes_on(made, run, monkeypatch):
    monkeypatch.setattr(renew, "ORDER_POLL_S", 0.01)
    rested = order((1.0, "created", ""), (2.0, "created", WORDS), problem={"at_s": 2.0, "message": WORDS})
    steps = (1.0, "created", ""), (2.0, "created", WORDS)
    made.answer("POST", "renewals/3/order", rested, status=201)
    looks = [rested, order(*steps, (9.0, "ordered", "")), order(*steps, (9.0, "served", ""))]
    made.answer_in_turn("GET", "renewals/3", [RENEWAL | {"orders": [each]} for each in looks])
    done = run("renew", "7", "--wait")
    assert (done.exit_code, WORDS in done.stderr) == (0, False), done.stderr
    assert "Order 12 for meet.example.com goes on." in done.stdout
    assert [line.rpartition(" (")[0] for line in done.stderr.splitlines()] == [
        "the CA has the order",
        "every node that has the certificate serves it",
    ]


def test_an_order_that_goes_on_and_fails_again_ends_the_waiting(made, run, monkeypatch):
    monkeypatch.setattr(renew, "ORDER_POLL_S", 0.01)
    first, second = (2.0, "created", WORDS), (9.0, "created", WORDS)
    rested = order((1.0, "created", ""), first, problem={"at_s": 2.0, "message": WORDS})
    again = order((1.0, "created", ""), first, second, problem={"at_s": 9.0, "message": WORDS})
    made.answer("POST", "renewals/3/order", rested, status=201)
    made.answer_in_turn("GET", "renewals/3", [RENEWAL | {"orders": [each]} for each in (rested, again)])
    done = run("renew", "7", "--wait")
    assert (done.exit_code, done.stderr.count(WORDS)) == (1, 1)
    assert "It failed, and is tried again in 20 d" in done.stderr


@pytest.mark.parametrize("command", [["renew", "7", "--wait"], ["renewal", "show", "3"]])
def test_terms_that_nobody_has_agreed_to_are_told_with_the_command_for_that(made, run, command):
    problem = {"at_s": 2.0, "message": "somebody must act", "type": "userActionRequired", "detail": ""}
    failed = order((2.0, "failed", "somebody must act"), problem=problem)
    made.answer("GET", "accounts", {"accounts": []})
    made.answer("GET", "renewals/3", RENEWAL | {"orders": [failed], "failures": 1, "problem": problem})
    done = run(*command)
    assert "certcast account register 4 --agree-to-terms" in done.stdout + done.stderr


def test_terms_that_have_changed_are_agreed_to_at_the_ca_and_by_no_command(made, run):
    message = "agree to its terms of service at https://ca.example/agree"
    problem = {"at_s": 2.0, "message": message, "type": "userActionRequired", "detail": ""}
    made.answer("GET", "accounts", {"accounts": []})
    made.answer(
        "GET", "renewals/3", RENEWAL | {"problem": problem, "failures": 1, "account_registered": True}
    )
    done = run("renewal", "show", "3")
    assert "https://ca.example/agree" in done.stdout
    assert "account register" not in done.stdout + done.stderr


def test_a_test_order_that_failed_is_not_said_to_be_tried_again(made, run):
    failed = order((2.0, "failed", WORDS), test=True, problem={"message": WORDS})
    made.answer("GET", "renewals/3", RENEWAL | {"orders": [failed]})
    done = run("renewal", "test", "3", "--wait")
    assert done.exit_code == 1
    assert "nothing else was changed" in done.stderr


@pytest.mark.parametrize(("began_at_s", "took_place"), [(2.0, True), (3.0, False)])
def test_a_test_order_in_whose_place_the_real_one_began_is_not_said_to_have_failed(
    made, run, began_at_s: float, took_place: bool
):
    ended = order((2.0, "failed", WORDS), test=True, problem={"message": WORDS})
    real = ended | {"id": ended["id"] + 1, "test": False, "state": "created", "created_at_s": began_at_s}
    made.answer("GET", "renewals/3", RENEWAL | {"orders": [real, ended]})
    done = run("renewal", "test", "3", "--wait")
    assert done.exit_code == 1
    assert ("The real order took its place." in done.stderr) is took_place
    assert ("The test order failed" in done.stderr) is not took_place


def test_an_order_that_takes_too_long_is_left_to_the_manager(made, run):
    made.answer("GET", "renewals/3", RENEWAL | {"orders": [BEGUN]})
    done = run("renew", "7", "--wait", "--timeout", "1")
    assert done.exit_code == 1
    assert "goes on by itself" in done.stderr


def test_an_order_that_is_gone_ends_the_waiting(made, run):
    made.answer("GET", "renewals/3", RENEWAL)
    assert "is gone" in run("renew", "7", "--wait").stderr


UNDER_WAY = "an order of this renewal is running; wait until it has ended"
PAUSED = "this renewal is paused; resume it first"
SHOW = "'certcast renewal show 3'"
ANOTHER = "certcast renewal set 3 --account ACCOUNT"


@pytest.mark.parametrize(
    ("command", "refused", "stands", "told"),
    [
        ("order", PAUSED, {"paused": True}, "renewal 3 is paused; to go on: certcast renewal resume 3"),
        ("order", UNDER_WAY, {"orders": [BEGUN]}, f"{UNDER_WAY}; {SHOW} has its steps"),
        ("test", UNDER_WAY, {"orders": [BEGUN], "paused": True}, f"{UNDER_WAY}; {SHOW} has its steps"),
        ("order", "it ended", {"state": "stopped"}, f"it ended; to give it another account: {ANOTHER}"),
        ("order", "it is asked for", {"account": None}, f"it is asked for; to order it: {ANOTHER}"),
        ("order", "wait", {"orders": [DONE]}, f"wait; {SHOW} has its state and its orders"),
    ],
)
def test_what_is_not_ordered_is_answered_with_what_to_do_as_the_renewal_stands(
    made, run, command, refused, stands, told
):
    made.refuse("POST", f"renewals/3/{command}", 409, refused)
    made.answer("GET", "renewals/3", RENEWAL | stands)
    done = run("renew", "7") if command == "order" else run("renewal", "test", "3")
    assert (done.exit_code, done.stderr) == (1, f"certcast: {told}\n")
