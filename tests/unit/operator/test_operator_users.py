import json

from tests.unit.operator.conftest import PASSWORD


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
    api.answer("GET", "users", {"users": [{"name": "bert", "role": "operator", "created_s": 0}]})
    api.answer("DELETE", "users/a%2Fb%3F", "", status=204)
    assert "1970-01-01" in run("user", "list").stdout
    assert run("user", "remove", "a/b?").exit_code == 0
    assert run("user", "remove", "..").exit_code == 2


def test_a_token_alone_is_on_standard_output(api, run):
    api.answer("POST", "tokens", {"token": "cct_x", "expires_s": 0}, status=201)
    done = run("token", "create", "--label", "backup", "--days", "30")
    assert done.stdout == "cct_x\n"
    assert api.asked[0][2] == {"label": "backup", "days": 30}
    assert json.loads(run("token", "create", "--label", "b", "--json").stdout)["token"] == "cct_x"
