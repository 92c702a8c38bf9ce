"""Docstrings say something that the name beside them does not."""

import ast
from collections.abc import Iterator
from pathlib import Path

from manager.api.app import ROUTES

HERE = Path(__file__).parents[2]
CLAUSES = {"What", "Whether", "Who", "How", "Which", "Where", "When"}
EMPTY = {"See the module.", "Return all.", "Pass on.", "Tests."}


def parsed() -> Iterator[tuple[Path, ast.Module]]:
    for room in ("common", "manager", "nodeagent"):
        for path in sorted((HERE / room).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path, ast.parse(path.read_text())


def test_a_modules_docstring_opens_with_a_noun_and_not_with_a_clause():
    opened = {path: (ast.get_docstring(tree) or "-").split()[0] for path, tree in parsed()}
    assert not [str(path) for path, word in opened.items() if word in CLAUSES]


def test_no_docstring_only_repeats_that_there_is_one():
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [
        f"{path}:{node.lineno}"
        for path, tree in parsed()
        for node in ast.walk(tree)
        if isinstance(node, kinds) and ast.get_docstring(node) in EMPTY
    ]
    assert not found


def test_every_route_of_the_api_says_in_its_handler_what_it_does():
    """The first line of the docstring is the description in the OpenAPI document."""
    assert not [f"{each.method} {each.path}" for each in ROUTES if not (each.handler.__doc__ or "").strip()]
