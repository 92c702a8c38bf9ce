import json

import pytest

from manager.cli import confirming
from tests.unit.cli.conftest import PASSWORD


def test_a_users_password_follows_the_logins_on_standard_input_and_is_not_shown(api, run):
    api.answer("POST", "users", {"name": "bert", "role": "operator"}, status=201)
    text = f"{PASSWORD}\nberts-password\n"
    arguments = ["user", "add", "bert", "--role", "operator", "--new-password-stdin"]
    done = run("--password-stdin", *arguments, text=text)
    assert done.exit_code == 0, done.stderr
    assert api.asked == [
        ("POST", "users", {"name": "bert", "role": "operator", "password": "berts-password"})
    ]
    assert "berts-password" not in done.output


def test_without_a_terminal_a_new_password_is_not_guessed(api, run):
    done = run("user", "add", "bert", "--role", "operator", text="x\n")
    assert done.exit_code == 2
    assert "--new-password-stdin" in done.stderr
    assert not api.asked


def test_a_role_is_one_of_three(api, run):
    assert run("user", "add", "bert", "--role", "king").exit_code == 2


def test_users_are_listed_and_removed_whatever_their_name_holds(api, run):
    api.answer("GET", "users", {"users": [{"name": "bert", "role": "operator", "created_at_s": 0}]})
    api.answer("DELETE", "users/a%2Fb%3F", "", status=204)
    assert "1970-01-01" in run("user", "list").stdout
    assert run("user", "remove", "a/b?").exit_code == 0
    assert run("user", "remove", "..").exit_code == 2


def test_a_token_alone_is_on_standard_output(api, run):
    api.answer("POST", "tokens", {"token": "cct_x", "expires_at_s": 0}, status=201)
    done = run("token", "create", "--label", "backup", "--days", "30")
    assert done.stdout == "cct_x\n"
    assert api.asked[0][2] == {"label": "backup", "days": 30}
    assert json.loads(run("token", "create", "--label", "b", "--json").stdout)["token"] == "cct_x"


TOKENS = {
    "tokens": [
        {"id": 4, "label": "ci", "created_at_s": 0, "expires_at_s": 4102444800},
        {"id": 5, "label": "backup", "created_at_s": 0, "expires_at_s": 4102444800},
        {"id": 6, "label": "ci", "created_at_s": 0, "expires_at_s": 4102444800},
    ]
}


def test_tokens_are_listed_and_revoked_by_number_or_label(api, run):
    api.answer("GET", "tokens", TOKENS)
    assert "2100-01-01" in run("token", "list").stdout
    for wanted, number in (("backup", 5), ("6", 6)):
        api.answer("DELETE", f"tokens/{number}", "", status=204)
        assert run("token", "revoke", wanted).stdout.startswith(f"Revoked token {number} (")


def test_a_label_of_several_tokens_revokes_none(api, run):
    api.answer("GET", "tokens", TOKENS)
    done = run("token", "revoke", "ci")
    assert done.exit_code == 2
    assert "say which of 4, 6" in done.stderr
    assert run("token", "revoke", "other").exit_code == 2


def test_a_users_role_is_changed(api, run):
    api.answer("PUT", "users/bert/role", "", status=204)
    done = run("user", "role", "bert", "administrator")
    assert done.stdout == "bert is now administrator.\n"
    assert api.asked == [("PUT", "users/bert/role", {"role": "administrator"})]


@pytest.mark.parametrize("group", ["user", "oauth-client"])
def test_who_is_at_a_terminal_is_asked_before_somebody_is_shut_out(api, run, group, monkeypatch):
    known = [{"name": "anna", "role": "operator", "created_at_s": 0, "client_id": "c"}]
    api.answer("GET", f"{group}s", {"users": known, "clients": known})
    api.answer("DELETE", f"{group}s/anna", "", status=204)
    removed = run(group, "remove", "anna")
    assert removed.exit_code == 0, removed.stderr  # a script is not held up
    monkeypatch.setattr(confirming, "can_ask", lambda: True)
    api.asked.clear()
    refused = run(group, "remove", "anna", text="n\n")
    assert (refused.exit_code, "Remove the" in refused.stderr) == (1, True)
    nobody = run(group, "remove", "nobody", text="y\n")
    assert nobody.exit_code == 1
    assert "'nobody'; 'certcast" in nobody.stderr
    assert "Remove the" not in nobody.stderr
    assert {method for method, _, _ in api.asked} == {"GET"}
    assert run(group, "remove", "anna", text="y\n").exit_code == 0
    assert run(group, "remove", "anna", "--force").exit_code == 0
    assert [method for method, _, _ in api.asked if method != "GET"] == ["DELETE", "DELETE"]


def test_an_administrator_lists_and_revokes_everybodys_tokens(api, run):
    listed = {
        "id": 9,
        "user": "bert",
        "label": "ci",
        "scope": "push-only",
        "created_at_s": 0,
        "expires_at_s": 4102444800,
    }
    used = listed | {"id": 8, "last_used_at_s": 86400.0, "last_source": "192.0.2.7"}
    api.answer("GET", "tokens?all=true", {"tokens": [listed, used]})
    api.answer("DELETE", "tokens/9", "", status=204)
    printed = run("token", "list", "--all").stdout
    assert all(each in printed for each in ("bert", "push-only", "never", "1970-01-02", "192.0.2.7"))
    assert "of bert" in run("token", "revoke", "9", "--all").stdout


def test_a_token_is_left_aside_where_only_a_password_will_do(api, run):
    api.answer("POST", "tokens", {"token": "cct_new", "expires_at_s": 0}, status=201)
    done = run("token", "create", "--label", "x", "--scope", "read-only", CERTCAST_TOKEN="cct_old")
    assert done.exit_code == 0, done.stderr
    assert api.asked[0][2] == {"label": "x", "scope": "read-only"}
    assert api.headers[0]["Authorization"].startswith("Basic ")
