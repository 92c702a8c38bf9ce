"""Guessed commands and options are answered with what to type, and nothing is sent to the manager."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from manager.admin import app as manager_app
from manager.cli.app import app

GROUPS = {
    name: tuple(each.commands)
    for name, each in typer.main.get_command(app).commands.items()
    if hasattr(each, "commands")
}
GUESSES = (
    "list", "ls", "show", "get", "describe", "add", "create", "new", "delete", "remove", "rm", "edit", "update", "download", "export", "ack",
)  # fmt: skip


@pytest.mark.parametrize("guess", GUESSES)
@pytest.mark.parametrize("group", GROUPS)
def test_each_obvious_guess_in_each_group_is_a_command_or_is_answered_with_one_that_exists(
    api: Any, run: Any, group: str, guess: str
):
    if guess in GROUPS[group]:
        return
    done = run(group, guess, "7")
    assert done.exit_code == 2, done.output
    answer = " ".join(done.stderr.split()).partition(f" {guess}'. ")[2]
    assert len(answer.split()) >= 2, done.stderr
    assert_only_commands_that_exist(done.stderr)
    assert not api.asked


@pytest.mark.parametrize(
    "guess", ["list", "show", "nodes", "certs", "login", "version", "renew", "log", "delete"]
)
def test_a_guess_without_a_group_is_answered_with_a_group_or_an_option(run: Any, guess: str):
    done = run(guess)
    assert done.exit_code == 2
    assert_only_commands_that_exist(done.stderr)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (["audit", "list"], "Use 'certcast audit'."),
        (["user", "delete", "anna"], "user remove'."),
        (["token", "add"], "token create'."),
        (["alarm", "ack", "3"], "alarm acknowledge'."),
        (["cert", "ls"], "cert list'."),
        (["node", "addd"], "node add'?"),
        (["csr", "frobnicate"], "csr create'"),
        (["csr", "upload", "1", "signed.pem"], "Use 'certcast csr answer'"),
        (["csr", "submit"], "'certcast csr show' prints the request"),
        (["import", "node1.pem"], "certificate import'"),
        (["assign", "7"], "certificate assign'"),
        (["diff", "7", "9"], "certificate diff'"),
        (["user", "passwd", "anna"], "certcast-manager user password NAME'"),
        (["change-password"], "certcast-manager user password NAME'"),
    ],
)
def test_the_answer_names_the_command_that_does_it(run: Any, typed: list[str], answer: str):
    assert answer in " ".join(run(*typed).stderr.split())


@pytest.mark.parametrize(
    "typed",
    [
        ["status", "-o", "yaml"],
        ["status", "--output", "yaml"],
        ["node", "list", "--format", "json"],
        ["audit", "-o", "table"],
        ["certificate", "download", "7", "-o", "x.pem"],
    ],
)
def test_a_form_of_output_that_does_not_exist_is_answered_with_those_that_do(api: Any, run: Any, typed: Any):
    done = run(*typed)
    assert done.exit_code == 2
    for text in ("-o json", "--json", "--output FILE", "no YAML"):
        assert text in done.stderr, done.stderr
    assert not api.asked


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (["user", "delete", "x"], "certcast user remove NAME"),
        (["user", "reset", "x"], "certcast-manager user password NAME"),
        (["password"], "certcast-manager user password NAME"),
        (["node", "list"], "certcast --help"),
        (["start"], "systemctl start certcast-manager"),
        (["restart"], "systemctl restart certcast-manager"),
        (["reload"], "systemctl reload certcast-manager"),
        (["stop"], "systemctl stop certcast-manager"),
        (["logs"], "journalctl -u certcast-manager"),
        (["user", "change-password"], "certcast-manager user password NAME"),
    ],
)
def test_the_managers_own_command_answers_guesses_too(typed: list[str], answer: str):
    done = CliRunner().invoke(manager_app, typed)
    assert done.exit_code == 2
    assert answer in done.stderr


@pytest.mark.parametrize("typed", ["restart", "reload", "stop", "start", "restor"])
def test_nobody_who_wants_the_daemon_restarted_is_told_to_mark_the_store_as_restored(typed: str):
    stderr = CliRunner().invoke(manager_app, [typed]).stderr
    assert "Use 'certcast-manager restored'" not in stderr
    assert ("Did you mean" in stderr) == (typed == "restor")


def test_a_lost_password_is_told_of_where_somebody_would_look(api: Any, run: Any):
    way = "certcast-manager user password"
    api.answer("GET", "fleet", {"error": {"code": "unauthenticated", "message": "sign in"}}, status=401)
    printed = (
        run("status").stderr,
        run("--help").stdout,
        run("user", "password").stderr,
        CliRunner().invoke(manager_app, []).stdout,
        CliRunner().invoke(manager_app, ["user", "password", "--help"]).stdout,
    )
    for each in printed:
        assert way in " ".join(each.split()), each


def assert_only_commands_that_exist(text: str) -> None:
    """Hold every quoted command of the operator's against the commands that there are."""
    for words in _commands(text):
        if words and not words[0].startswith("-") and not words[0].isupper():
            name = {"cert": "certificate"}.get(words[0], words[0])
            command = typer.main.get_command(app).commands[name]
            if len(words) > 1 and words[1].islower() and not words[1].startswith("-"):
                assert words[1] in command.commands, text


def _commands(text: str) -> Iterator[list[str]]:
    answer = re.split(r"There is no command '[^']*'\. ", " ".join(text.split()))[-1]
    for quoted in re.findall(r"'((?:certcast|root|start)(?: [^']*)?)'", answer):
        yield quoted.split()[1:]
