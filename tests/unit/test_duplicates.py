"""No six lines of logic stand twice: what was copied is corrected in one place only."""

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pytest

from tests.unit.test_sizes import product

LINES = 6

Function = ast.FunctionDef | ast.AsyncFunctionDef
NO_LOGIC = (ast.Import, ast.ImportFrom)
LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


@dataclass(frozen=True, slots=True)
class Token:
    text: str
    is_own_name: bool
    """Whether it is a name that the function gives: these may differ between copies."""


@dataclass(frozen=True, slots=True)
class Line:
    number: int
    tokens: Sequence[Token]


HEAD = (Token("def", is_own_name=False),)


def units(tree: ast.AST) -> Iterator[list[Function]]:
    """Yield each function that stands alone, and of each class its methods together: a class that is copied is one of short ones."""
    for each in ast.iter_child_nodes(tree):
        if isinstance(each, Function):
            yield [each]
        elif isinstance(each, ast.ClassDef):
            yield [method for method in each.body if isinstance(method, Function)]
            yield from units(
                ast.Module([inner for inner in each.body if not isinstance(inner, Function)], [])
            )
        else:
            yield from units(each)


def own_names(function: Function) -> set[str]:
    """Return what a function calls its arguments and variables."""
    nodes = list(ast.walk(function))
    stored = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    arguments = {each.arg for each in nodes if isinstance(each, ast.arg)}
    caught = {each.name for each in nodes if isinstance(each, ast.ExceptHandler) and each.name}
    return (stored | arguments | caught) - {"self"}


def without_logic(function: Function) -> set[int]:
    """Return the lines of imports and docstrings."""
    return {
        number
        for each in ast.walk(function)
        if isinstance(each, NO_LOGIC)
        or (
            isinstance(each, ast.Expr)
            and isinstance(each.value, ast.Constant)
            and isinstance(each.value.value, str)
        )
        for number in range(each.lineno, (each.end_lineno or each.lineno) + 1)
    }


def lines_of_logic(text: str) -> Iterator[list[Line]]:
    """Yield each unit's lines, without blank ones, comments, docstrings, imports, and lines that only close what was opened.

    A method's head is a line that is like any other head; that of a function that stands alone is left out.
    """
    read = [each for each in tokenize.generate_tokens(io.StringIO(text).readline) if each.type not in LAYOUT]
    by_line: dict[int, list[int]] = defaultdict(list)
    for place, token in enumerate(read):
        by_line[token.start[0]].append(place)
    for functions in units(ast.parse(text)):
        lines: list[Line] = []
        for function in functions:
            if lines:
                lines.append(Line(function.lineno, HEAD))
            lines += body_of(function, read, by_line)
        yield lines


def body_of(
    function: Function, read: Sequence[tokenize.TokenInfo], by_line: Mapping[int, Sequence[int]]
) -> Iterator[Line]:
    """Yield the lines of logic below a function's head."""
    names, left_out = own_names(function), without_logic(function)
    for number in range(function.body[0].lineno, (function.end_lineno or 0) + 1):
        places = by_line.get(number, ()) if number not in left_out else ()
        if any(read[place].string[0].isalnum() or read[place].string[0] in "_\"'" for place in places):
            tokens = [
                Token(read[place].string, read[place].string in names and is_free(read, place))
                for place in places
            ]
            yield Line(number, tokens)


def is_free(read: Sequence[tokenize.TokenInfo], place: int) -> bool:
    """Whether a name stands for itself, and is neither an attribute nor the name of an argument that is handed over."""
    before, after = read[place - 1].string, read[place + 1].string
    return before != "." and not (before in {"(", ","} and after == "=")


def shape(lines: Sequence[Line]) -> tuple[tuple[str, ...], ...]:
    """Return lines with their function's own names numbered as they come."""
    known: dict[str, str] = {}
    return tuple(
        tuple(
            known.setdefault(each.text, f"name {len(known)}") if each.is_own_name else each.text
            for each in line.tokens
        )
        for line in lines
    )


def repeated(sources: Sequence[tuple[str, str]]) -> list[set[tuple[str, int]]]:
    """Return where the same lines begin, for each that stand more than once."""
    found: dict[tuple[tuple[str, ...], ...], set[tuple[str, int]]] = defaultdict(set)
    for path, text in sources:
        for lines in lines_of_logic(text):
            for begin in range(len(lines) - LINES + 1):
                found[shape(lines[begin : begin + LINES])].add((path, lines[begin].number))
    return [places for places in found.values() if len(places) > 1]


def test_no_six_lines_of_logic_stand_twice():
    assert [sorted(places) for places in repeated(list(product()))] == []


ORIGINAL = """
def first(text, found):
    '''Say something.'''
    for each in text.split():
        if each not in found:
            # why
            found.append(each.strip())
        else:
            raise ValueError(each)
    return sorted(found)
"""


@pytest.mark.parametrize(
    ("old", "new", "is_found"),
    [
        ("", "", True),
        ("each", "word", True),  # another name for the same
        ("# why", "", True),
        ("for each", "import os\n\n    for each", True),
        ("'''Say something.'''", "pass", True),
        ("strip", "lower", False),
        ("ValueError", "KeyError", False),
        ("found.append(each", "found.append(text", False),
    ],
)
def test_a_copy_is_found_whatever_it_calls_things_and_nothing_else(old: str, new: str, is_found: bool):
    copy = ORIGINAL.replace("first", "second").replace(old, new)
    assert bool(repeated([("a.py", ORIGINAL), ("b.py", copy)])) is is_found


METHODS = """
class First:
    def __init__(self, found):
        self._found = found
        self._read = None

    def take(self, data):
        self._read = self._found(data)
        return self._read is not None

    def answer(self):
        if self._read is None:
            raise ValueError
        return self._read
"""


@pytest.mark.parametrize(
    ("old", "new", "is_found"),
    [
        ("", "", True),
        ("def take(self, data)", "def hear(self, data: bytes) -> bool", True),
        ("self._found = found", "self._found = Found()", True),  # six lines are alike without it
        ("is not None", "is None", False),
    ],
)
def test_a_copied_class_of_short_methods_is_found(old: str, new: str, is_found: bool):
    copy = METHODS.replace("First", "Second").replace(old, new)
    assert bool(repeated([("a.py", METHODS), ("b.py", copy)])) is is_found
