"""One place decides whether an answer is printed as JSON or for people."""

import ast
from pathlib import Path

import pytest

from manager.cli import running
from manager.cli.running import present

PLACE = Path(running.__file__)
SOURCES = {path: ast.parse(path.read_text()) for path in PLACE.parent.glob("*.py") if path != PLACE}


def test_no_command_decides_by_itself_how_an_answer_is_printed():
    deciding = {
        f"{path.name}:{node.lineno}"
        for path, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        and "json" in {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)}
    }
    presenting = [
        node
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == present.__name__
    ]
    assert len(presenting) > 50
    # an account that was made is told before it is registered
    assert {place.partition(":")[0] for place in deciding} == {"accounts.py"}
    assert len(deciding) == 1


@pytest.mark.parametrize(
    ("answer", "printed"), [(b'{"a":1}', '{"a":1}\n'), ({"a": [1]}, '{"a":[1]}\n'), (b"", "")]
)
def test_json_is_the_answer_as_it_came_or_what_the_command_found_itself(capsys, answer, printed):
    present(answer, lambda _: pytest.fail("people are not asked for"), json=True)
    assert capsys.readouterr().out == printed


def test_people_are_told_and_see_no_json(capsys):
    told = []
    present(b'{"a":1}', told.append, json=False)
    assert (told, capsys.readouterr().out) == ([b'{"a":1}'], "")
