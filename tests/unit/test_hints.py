"""Below the front ends no message names a command, a flag or a page: an error carries a hint, which each front end words."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import manager
from common.errors import Hint, NotFoundError
from manager.api.errors import answer
from manager.operator import failures
from manager.operator.failures import refusal
from manager.web import site

ROOT = Path(manager.__file__).parents[1]
BELOW = ("common/wire", "common/pki", "common/bundle", "common/api", "manager/domain", "manager/operations")
BELOW += ("manager/store", "manager/push", "nodeagent/core")
NAMED = re.compile(r"\bcertcast(-manager|-nodeagent)? [a-z]+(-[a-z]+)* |(?<![\w-])--[a-z]{2,}|href=")

# the offline command of the manager is the only one that meets these: no page and no API before there is a store
OFFLINE = {"manager/store/store.py", "manager/store/sealing.py"}


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


def test_no_message_below_the_front_ends_names_a_command_a_flag_or_a_page():
    files = [path for each in BELOW for path in sorted((ROOT / each).rglob("*.py"))]
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in files
        if str(path.relative_to(ROOT)) not in OFFLINE
        for line, text in messages(path)
        if NAMED.search(text)
    ]
    assert found == []
    assert NAMED.search("there is no node; 'certcast node list' shows those there are")
    assert NAMED.search("push with --force to replace it")


@pytest.mark.parametrize("hint", Hint)
def test_each_hint_is_a_command_of_the_operator_and_a_link_on_a_page(hint):
    body = answer(NotFoundError("there is no such thing", hint=hint)).body
    document = json.loads(body)
    assert document["error"]["hint"] == hint
    assert document["error"]["message"] == "there is no such thing"
    command = failures._LISTS[hint]
    assert refusal(404, document).message == (
        f"there is no such thing; 'certcast {command}' shows those there are"
    )
    assert site._LISTS[hint][0].startswith("/")


def test_a_hint_of_a_newer_manager_is_left_out_and_an_error_without_one_has_none():
    document = {"error": {"message": "there is no such thing", "hint": "list_moons"}}
    assert refusal(404, document).message == "there is no such thing"
    assert "hint" not in json.loads(answer(NotFoundError("no")).body)["error"]
