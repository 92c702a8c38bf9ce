import json

import pytest

from manager.cli import confirming

NAMED = {"subject": "CN=new.example.com", "issuer": "CN=Issuing", "fingerprint": "ab" * 32, "not_after_s": 0}
OLD = NAMED | {"subject": "CN=old.example.com", "fingerprint": "cd" * 32}
DIFFERENCE = {
    "files": [{"path": "server/privkey.pem", "change": "changed", "before_bytes": 241, "after_bytes": 242}],
    "slots": [{"slot": "server", "before": [OLD], "after": [NAMED]}],
    "anchors_added": [NAMED | {"subject": "CN=Company \x1b[2J Root"}],
    "anchors_removed": [],
}


def test_generations_are_listed_with_their_leaves_and_what_stands_in(api, run):
    one = {
        "epoch": 1,
        "generation": 7,
        "digest": "0" * 64,
        "created_at_s": 0,
        "cause": "republished generation 4",
    }
    one |= {"slots": {"server": "ab" * 32}, "anchors": 118, "stands_in": True}
    api.answer("GET", "nodes/conf1/generations", {"generations": [one]})
    line = run("node", "generations", "conf1").stdout.splitlines()[-1]
    for text in ("7", "1970-01-01", "republished generation 4 (stands in", "server abababab", "118"):
        assert text in line
    assert json.loads(run("node", "generations", "conf1", "--json").stdout)["generations"] == [one]


def test_a_difference_is_told_by_names_anchors_and_files(api, run):
    body = {"node": "conf1", "before": 4, "after": 7, "difference": DIFFERENCE}
    api.answer("GET", "nodes/conf1/generations/7/difference?from=4", body)
    shown = run("node", "difference", "conf1", "7", "--from", "4").stdout
    assert "generation 7, compared with generation 4" in shown
    assert "server: CN=old.example.com (cdcdcdcd, until 1970-01-01 00:00:00Z)" in shown
    assert "becomes CN=new.example.com" in shown
    assert "anchor added: CN=Company" in shown
    assert "changed server/privkey.pem (241 bytes -> 242 bytes)" in shown
    assert "\x1b" not in shown


def test_nothing_that_differs_and_nothing_before_are_said(api, run):
    nothing = {"files": [], "slots": [], "anchors_added": [], "anchors_removed": []}
    body = {"node": "conf1", "before": None, "after": 1, "difference": nothing}
    api.answer("GET", "nodes/conf1/generations/1/difference", body)
    shown = run("node", "difference", "conf1", "1").stdout
    assert "compared with nothing: it is the first" in shown
    assert "nothing differs" in shown


def test_republishing_says_which_generation_came_of_it(api, run):
    done = {"node": "conf1", "action": "publish_and_push", "why": "what it runs differs", "generation": 8}
    api.answer("POST", "nodes/conf1/generations/4/republish?confirm=", done, status=201)
    shown = run("node", "republish", "conf1", "4").stdout
    assert shown == "Generation 4 of conf1 was published again as generation 8: what it runs differs.\n"


def test_who_is_at_a_terminal_sees_what_republishing_changes_before_it_is_done(api, run, monkeypatch):
    monkeypatch.setattr(confirming, "can_ask", lambda: True)
    one = {
        "epoch": 1,
        "generation": 7,
        "digest": "0" * 64,
        "created_at_s": 0,
        "cause": "x",
        "slots": {},
        "anchors": 1,
    }
    api.answer("GET", "nodes/conf1/generations", {"generations": [one | {"stands_in": False}]})
    output = {"code": "untrusted", "message": "conf1 stops trusting 'CN=Old'.", "severity": "warning"}
    body = {"node": "conf1", "before": 7, "after": 4, "difference": DIFFERENCE}
    body |= {"consequences": [output], "confirmation": "seen"}
    api.answer("GET", "nodes/conf1/generations/4/difference?from=7", body)
    done = {"node": "conf1", "action": "publish_and_push", "why": "it differs", "generation": 8}
    for query in ("?confirm=seen", ""):
        api.answer("POST", f"nodes/conf1/generations/4/republish{query}", done, status=201)
    refused = run("node", "republish", "conf1", "4", text="n\n")
    assert refused.exit_code == 1
    assert "becomes CN=new.example.com" in refused.stderr
    assert "warning: conf1 stops trusting 'CN=Old'." in refused.stderr
    assert [method for method, _, _ in api.asked] == ["GET", "GET"]
    assert run("node", "republish", "conf1", "4", text="y\n").exit_code == 0
    assert run("node", "republish", "conf1", "4", "--force").exit_code == 0


def test_what_republishing_means_is_confirmed_by_whoever_is_not_at_a_terminal_with_force(api, run):
    output = {"code": "untrusted", "message": "conf1 stops trusting 'CN=Old'.", "severity": "warning"}
    refusal = {
        "code": "confirmation_needed",
        "message": "this needs confirmation",
        "confirmation": {"token": "t", "consequences": [output | {"asks": True, "nodes": []}]},
    }
    api.answer("POST", "nodes/conf1/generations/4/republish?confirm=", {"error": refusal}, status=409)
    done = {"node": "conf1", "action": "push", "why": "it differs", "generation": 8, "consequences": [output]}
    api.answer("POST", "nodes/conf1/generations/4/republish", done, status=201)
    refused = run("node", "republish", "conf1", "4")
    assert refused.exit_code == 1
    assert "stops trusting 'CN=Old'" in refused.stderr
    assert "--force" in refused.stderr
    assert (
        "warning: conf1 stops trusting 'CN=Old'." in run("node", "republish", "conf1", "4", "--force").stdout
    )


@pytest.mark.parametrize("arguments", [["difference", "../x", "1"], ["republish", "conf1", "0"]])
def test_what_cannot_be_is_not_sent(api, run, arguments):
    assert run("node", *arguments).exit_code == 2
    assert not api.asked


def test_a_dry_run_shows_what_would_change(api, run):
    plan = {"node": "conf1", "action": "publish_and_push", "why": "it differs", "generation": 5}
    api.answer("POST", "push", {"pushes": [plan | {"difference": DIFFERENCE}]})
    shown = run("push", "conf1", "--dry-run").stdout
    assert shown.startswith("conf1: would publish and push generation 5 (it differs)\n  server: CN=old")
    assert "  changed server/privkey.pem" in shown
