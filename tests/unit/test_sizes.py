"""No file and no function of the product, and no file of the tests, is so long that it holds two ideas."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
ROOMS = ("common", "manager", "nodeagent")
FILE_MAX_LINES = 349
FUNCTION_MAX_LINES = 59

# what a field of the certificate adds: an option is the most, and a function takes it in one line and hands it on in another
FIELD_LINES = 8
FIELD_FUNCTION_LINES = 3

# steps of a schema that nobody changes any more
MIGRATIONS = "manager/store/migrations/"


def product() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file of the product but migrations."""
    for room in ROOMS:
        for path in sorted((TOP / room).rglob("*.py")):
            name = str(path.relative_to(TOP))
            if not name.startswith(MIGRATIONS):
                yield name, path.read_text()


def long_functions(text: str, most: int = FUNCTION_MAX_LINES) -> list[tuple[str, int]]:
    """Return the functions that are too long, decorators left out, with their length in lines."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            length = node.end_lineno - node.lineno + 1
            if length > most:
                found.append((node.name, length))
    return found


def test_no_file_of_the_product_is_longer_than_one_idea():
    lengths = {name: len(text.splitlines()) for name, text in product()}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > FILE_MAX_LINES} == {}


def test_no_file_of_the_tests_is_longer_than_one_idea():
    lengths = {
        str(path.relative_to(TOP)): len(path.read_text().splitlines())
        for path in (TOP / "tests").rglob("*.py")
    }
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length > FILE_MAX_LINES} == {}


def test_no_function_of_the_product_is_longer_than_one_idea():
    found = {name: functions for name, text in product() if (functions := long_functions(text))}
    assert found == {}


def test_one_more_field_of_the_certificate_has_room_in_each_file_that_its_recipe_names():
    recipe = (
        (TOP / "CONTRIBUTING.md").read_text().split("### A field of the certificate\n")[1].split("\n### ")[0]
    )
    texts = {
        name: (TOP / name).read_text() for name in re.findall(r"`((?:common|manager)/[\w/]+\.py)`", recipe)
    }
    assert len(texts) > 8
    assert [
        name for name, text in texts.items() if len(text.splitlines()) > FILE_MAX_LINES - FIELD_LINES
    ] == []
    most = FUNCTION_MAX_LINES - FIELD_FUNCTION_LINES
    assert {name: found for name, text in texts.items() if (found := long_functions(text, most))} == {}


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_function_counts_from_its_first_line_to_its_last(kind: str):
    text = f"{kind} f():\n" + "    x = 1\n" * FUNCTION_MAX_LINES
    assert long_functions(text) == [("f", FUNCTION_MAX_LINES + 1)]
    assert long_functions(f"{kind} f():\n" + "    x = 1\n" * (FUNCTION_MAX_LINES - 1)) == []
