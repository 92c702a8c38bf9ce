"""Below the front ends no message names a command, a flag or a page: an error carries a hint, which each front end words."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import manager
from common.errors import Hint, NotFoundError
from manager.cli import decoding
from manager.http.errors import answer
from manager.web import site
from nodeagent import cli
from nodeagent.app import hold_data_lock
from nodeagent.channel.identity import Pin, ensure_key, save_pin

ROOT = Path(manager.__file__).parents[1]
BELOW = ("common/wire", "common/pki", "common/bundle", "common/api", "manager/domain", "manager/usecases")
BELOW += (
    "manager/store",
    "manager/channel",
    "manager/fleet",
    "manager/pki",
    "manager/dns",
    "manager/acme",
    "manager/http",
)
THE_COMMAND_OF_THE_NODE = {"__main__.py", "cli.py", "entry.py", "guesses.py"}
BELOW_THE_COMMAND_OF_THE_NODE = (
    *("common", "nodeagent/core", "nodeagent/install", "nodeagent/channel", "nodeagent/health"),
    *(
        f"nodeagent/{path.name}"
        for path in sorted((ROOT / "nodeagent").glob("*.py"))
        if path.name not in THE_COMMAND_OF_THE_NODE
    ),
)
SETTINGS = (
    ROOT / "manager/settings.py"
)  # which says of a wrong setting where it was set, and that may be an option
PLUGIN = "nodeagent/health/plugin.py"
EXPLAINED = "common/explained/alarms.py"  # for the manager's command and pages alone
WORDED = re.compile(r"(?<![\w/])certcast(-manager|-nodeagent)? |(?<![\w-])--(?!-)")
OPTION = re.compile(r"--[a-z-]*(=\S*)?")  # alone, it is what a program of the system is run with
PATH = re.compile(r"(?<![^\s('\"])/([a-z][a-z-]*)")
NO_PAGES = {
    *("etc", "opt", "run", "usr", "var"),
    "health",
    "oauth",
}  # of the system, of monitoring, of programs


def messages(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each text of a module but its docstrings, with the values of an f-string left out."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def names_a_page(text: str) -> bool:
    """Whether a sentence has a path that could be a page's; alone, it is what a route is known by."""
    return "href=" in text or (" " in text and any(each not in NO_PAGES for each in PATH.findall(text)))


def test_no_message_below_the_front_ends_names_a_command_a_flag_or_a_page():
    files = [path for each in BELOW for path in sorted((ROOT / each).rglob("*.py"))]
    files += sorted((ROOT / "manager").glob("*.py"))
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in files
        for line, text in messages(path)
        if WORDED.search(text) or names_a_page(text)
        if not (path == SETTINGS and OPTION.fullmatch(text))
    ]
    assert found == []
    assert WORDED.search("there is no node; 'certcast node list' lists them")
    assert WORDED.search("run certcast ")  # and a value of an f-string
    assert WORDED.search("there are some; use --")  # likewise
    assert WORDED.search("push with --force to replace it")
    assert names_a_page("see the page of signing requests, /signing-requests")
    assert names_a_page("see /nodes/")
    assert not names_a_page("/nodes/{name}")


@pytest.mark.parametrize("path", sorted({page.path for page in site.PAGES} - {"/"}))
def test_each_page_is_known_by_its_path(path):
    assert names_a_page(f"see {path}")


def test_no_message_of_a_node_below_its_command_and_its_plugin_names_a_command_or_a_flag():
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for each in BELOW_THE_COMMAND_OF_THE_NODE
        for path in ([ROOT / each] if each.endswith(".py") else sorted((ROOT / each).rglob("*.py")))
        if str(path.relative_to(ROOT)) not in {PLUGIN, EXPLAINED}
        for line, text in messages(path)
        if WORDED.search(text) and not OPTION.fullmatch(text)
    ]
    assert found == []
    assert WORDED.search("choose another directory with --data")
    assert WORDED.search("run 'certcast-nodeagent join TOKEN'")


def test_the_command_of_a_node_words_what_to_do_where_it_has_not_joined(tmp_path, capsys):
    assert cli.main(["rotate-key", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"certcast-nodeagent: this node has not joined a manager: run 'certcast-nodeagent join TOKEN --data {tmp_path}' "
        "with the token that 'certcast node add' printed\n"
    )


def test_the_command_of_a_node_words_what_to_do_where_another_agent_runs(tmp_path, capsys):
    ensure_key(tmp_path)
    save_pin(tmp_path, Pin(node="mcu-1", addresses=["127.0.0.1:9"], host_keys=["ssh-ed25519 AAAA"]))
    with hold_data_lock(tmp_path):
        assert cli.main(["run", "--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"certcast-nodeagent: another nodeagent runs on {tmp_path}; stop it first, "
        "or choose another directory with --data\n"
    )


@pytest.mark.parametrize("hint", Hint)
def test_each_hint_is_a_command_of_the_operator_and_a_link_on_a_page(hint):
    body = answer(NotFoundError("there is no such thing", hint=hint)).body
    document = json.loads(body)
    assert document["error"]["hint"] == hint
    assert document["error"]["message"] == "there is no such thing"
    command = decoding._LISTS[hint]
    assert decoding.refusal(404, body).message == (f"there is no such thing; 'certcast {command}' lists them")
    assert site._LISTS[hint][0].startswith("/")


def test_a_hint_of_a_newer_manager_is_left_out_and_an_error_without_one_has_none():
    body = b'{"error": {"reason": "not_found", "message": "there is no such thing", "hint": "list_moons"}}'
    assert decoding.refusal(404, body).message == "there is no such thing"
    assert "hint" not in json.loads(answer(NotFoundError("no")).body)["error"]
