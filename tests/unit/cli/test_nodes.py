import json
import shlex
import time

from common.text import HIDDEN
from tests.unit.cli.fake_api import failed, node, pushed

TOKEN = "certcast1.abc_DEF-123"


def _joining(api, path="nodes"):
    body = {"join_token": TOKEN, "expires_at_s": time.time() + 86400}
    api.answer("POST", path, body | ({"node": {"name": "conf1"}} if path == "nodes" else {}), status=201)


def test_adding_a_node_sends_its_names_and_prints_the_command_for_the_node(api, run):
    _joining(api)
    arguments = ["--name", "a.example.com", "--name", "b.example.com", "--address", "192.0.2.1"]
    done = run("node", "add", "conf1", *arguments)
    assert done.exit_code == 0
    body = {"name": "conf1", "names": ["a.example.com", "b.example.com"], "addresses": ["192.0.2.1"]}
    assert api.asked == [("POST", "nodes", body)]
    assert f"  certcast-nodeagent join {TOKEN}\n" in done.stdout
    assert "23 h" in done.stdout


def test_a_join_token_is_quoted_for_the_shell(api, run):
    api.answer("POST", "nodes", {"join_token": "x; rm -rf /", "expires_at_s": 0}, status=201)
    assert shlex.quote("x; rm -rf /") in run("node", "add", "conf1").stdout


def test_json_is_the_answer_as_it_is(api, run):
    answer = '{"node": {"name":"conf1"},  "join_token": "t", "expires_at_s": 5, "new_field": [1]}'
    api.answer("POST", "nodes", answer, status=201)
    assert run("node", "add", "conf1", "--json").stdout == answer + "\n"


def test_a_name_that_is_none_is_refused_before_it_is_sent(api, run):
    for command in (["add"], ["show"], ["remove"], ["join-token"]):
        done = run("node", *command, "../users")
        assert done.exit_code == 2
        assert "is not a node name" in done.stderr
    assert not api.asked


def test_a_name_in_use_is_exit_status_1_and_the_managers_sentence(api, run):
    api.refuse("POST", "nodes", 409, "a node 'conf1' already exists")
    done = run("node", "add", "conf1")
    assert done.exit_code == 1
    assert done.stderr == "certcast: a node 'conf1' already exists\n"
    assert done.stdout == ""


def test_a_refused_field_is_named(api, run):
    api.refuse("POST", "nodes", 400, "'1.2.3' is no address", field="addresses")
    assert (
        run("node", "add", "c", "--address", "1.2.3").stderr == "certcast: addresses: '1.2.3' is no address\n"
    )


def test_nodes_are_listed_with_what_they_serve(api, run):
    listed = {"name": "conf1", "kind": "node", "names": ["a.example.com"], "addresses": ["192.0.2.1"]}
    api.answer(
        "GET", "nodes", {"nodes": [listed | {"joined": True, "created_at_s": 0, "enrolled_at_s": None}]}
    )
    shown = run("node", "list").stdout
    assert "a.example.com" in shown
    assert "192.0.2.1" in shown
    assert "1970-01-01" in shown
    assert json.loads(run("node", "list", "--json").stdout)["nodes"][0]["name"] == "conf1"


def test_an_empty_list_says_how_to_begin(api, run):
    api.answer("GET", "nodes", {"nodes": []})
    assert "certcast node add NAME" in run("node", "list").stdout


def test_one_node_is_shown_with_its_four_facts_and_its_failure(api, run):
    facts = node(
        state="failed",
        last_failed=failed(),
        push=pushed(result="rolled_back", reason="reload_failed", message="nginx: bad directive"),
        names=["a.example.com"],
        addresses=[],
        drifts=3,
        clock_skew_s=-7.25,
    )
    api.answer("GET", "nodes/conf1", facts)
    shown = run("node", "show", "conf1").stdout
    assert "desired abababab, offered abababab, applied abababab, serving abababab" in shown
    assert "generation 5 in reload, tried 2 times: reload_failed: nginx: bad directive" in shown
    assert "repaired 3 times" in shown
    assert "-7.2 s" in shown


def test_a_node_is_shown_with_what_waits_and_what_was_seen_at_its_failure(api, run):
    facts = node(
        state="reload_waiting",
        waiting=[{"consumer": "sip", "since_s": 0, "reason": "window", "message": "it waits for its window"}],
        configuration=[{"code": "services_invalid", "message": "/etc/x.toml: line 3: relaod: no such key"}],
        diagnostics="reload of 'sip': exit status 1\n0600 server/privkey.pem",
        names=[],
        addresses=[],
    )
    facts["serving"][0] |= {"tls": "TLSv1.3", "sent": 1, "strict_client": "no issuer"}
    api.answer("GET", "nodes/conf1", facts)
    shown = run("node", "show", "conf1").stdout
    assert "reload_waiting" in shown
    assert "due since 1970-01-01" in shown
    assert "it waits for its window" in shown
    assert "/etc/x.toml: line 3: relaod: no such key" in shown
    assert "0600 server/privkey.pem" in shown
    assert HIDDEN not in shown
    assert "with 1 more, TLSv1.3" in shown
    assert "a strict client refuses it: no issuer" in shown


def test_a_join_token_is_made_anew(api, run):
    _joining(api, "nodes/conf1/join-token")
    shown = run("node", "join-token", "conf1").stdout
    assert TOKEN in shown
    assert HIDDEN not in shown


def test_a_node_is_removed_and_an_empty_answer_is_no_json(api, run):
    api.answer("DELETE", "nodes/conf1", "", status=204)
    assert "Removed conf1" in run("node", "remove", "conf1", "--force").stdout
    assert run("node", "remove", "conf1", "--force", "--json").stdout == ""


def test_join_tokens_are_listed_without_their_secret_and_revoked_by_number(api, run):
    listed = {"id": 3, "node": "conf1", "created_at_s": 0, "expires_at_s": 4102444800, "created_by": "ada"}
    api.answer("GET", "join-tokens", {"join_tokens": [listed]})
    api.answer("DELETE", "nodes/conf1/join-tokens/3", "", status=204)
    output = run("node", "join-tokens").stdout
    assert all(each in output for each in ("conf1", "ada", "2100-01-01"))
    assert "Revoked join token 3 of conf1." in run("node", "revoke-join-token", "conf1", "3").stdout
    assert api.asked[-1][:2] == ("DELETE", "nodes/conf1/join-tokens/3")
