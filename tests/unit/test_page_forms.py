"""What the forms of the pages can send, in all branches of their templates, is what the table of pages lets them send.

A field that its row does not state is refused, and so is one that comes twice: a form of which this holds in no test might be one that nobody
can send.
"""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, zip_longest
from typing import Final

import pytest
from jinja2 import nodes

from manager.web.pagerequest import CSRF, Page
from manager.web.site import PAGES
from tests.unit.test_templates import HANDED_OVER, MODULES, WEB, parsed

ROWS: Final = [page for page in PAGES if page.method == "POST"]

UNKNOWN: Final = "\ue000"
"""Stands for what a template is given."""

EITHER: Final = "\ue001"
"""A choice begins; the next branch of it with OR, and it ends with END, as a loop does that begins with EACH."""

OR: Final = "\ue002"
EACH: Final = "\ue003"
END: Final = "\ue004"

PART: Final = re.compile(rf"<(/?)(form|input|select|textarea|button)\b([^>]*)>|([{EITHER}{OR}{EACH}{END}])")
ATTRIBUTE: Final = re.compile(r'([\w-]+)(?:="([^"]*)")?')
ADDS_FIELDS: Final = re.compile(
    r"createElement|FormData|\.innerHTML|insertAdjacent|hx-(?:vals|include|params|vars|put|patch|delete)|"
    r"\.requestSubmit|\.submit\(|formdata|hx-on|form(?:method|enctype)="
)


class Written:
    """A template as one text, with macros and included templates in their places, and all branches between marks."""

    def __init__(self, template: str) -> None:
        self.tree = parsed(template)
        self.macros = {each.name: each for each in self.tree.find_all(nodes.Macro)}
        self.parent = next((word(each.template) for each in self.tree.find_all(nodes.Extends)), None)
        self.imports: dict[str, str] = {} if self.parent is None else Written(self.parent).imports
        self.imports |= {each.target: word(each.template) for each in self.tree.find_all(nodes.Import)}

    def text(self, body: Sequence[nodes.Node], given: Mapping[str, str]) -> str:
        return "".join(self._text(each, given) for each in body)

    def _text(self, node: nodes.Node, given: Mapping[str, str]) -> str:  # noqa: C901 # a line for each kind of node
        match node:
            case nodes.TemplateData():
                return node.data
            case nodes.Output():
                return self.text(node.nodes, given)
            case nodes.If():
                bodies = [node.body, *(each.body for each in node.elif_), node.else_]
                return EITHER + OR.join(self.text(body, given) for body in bodies) + END
            case nodes.For():
                return (
                    EITHER
                    + EACH
                    + self.text(node.body, given)
                    + END
                    + OR
                    + self.text(node.else_, given)
                    + END
                )
            case nodes.Block():
                return self.text(node.body, given)
            case nodes.Include():
                return written(word(node.template))
            case nodes.Call():
                return self._called(node)
            case nodes.Const():
                return str(node.value)
            case nodes.Name():
                return given.get(node.name, UNKNOWN)
            case nodes.Expr():
                return UNKNOWN
        assert isinstance(node, nodes.Macro | nodes.Import | nodes.Extends | nodes.Assign), node
        return ""

    def _called(self, call: nodes.Call) -> str:
        match call.node:
            case nodes.Getattr(node=nodes.Name(name=alias), attr=name) if alias in self.imports:
                owner = Written(self.imports[alias])
            case nodes.Name(name=name) if name in self.macros:
                owner = self
            case _:
                return UNKNOWN
        macro = owner.macros[name]
        arguments = dict(zip_longest([each.name for each in macro.args][: len(call.args)], call.args))
        arguments |= {each.key: each.value for each in call.kwargs}
        given = {key: str(each.value) for key, each in arguments.items() if isinstance(each, nodes.Const)}
        return owner.text(macro.body, given)


def word(template: nodes.Expr) -> str:
    assert isinstance(template, nodes.Const)
    return str(template.value)


def written(template: str) -> str:
    made = Written(template)
    return made.text(made.tree.body, {})


@dataclass(frozen=True)
class SentForm:
    """A form that is sent by POST, and how often at most it has each field."""

    template: str
    action: str
    most: Mapping[str, int]


class FormsOf:
    """Counts the fields of the forms in a text: of branches the most, of a loop twice, of radio buttons and buttons of a name one."""

    def __init__(self, text: str) -> None:
        self.forms: list[dict[str, str]] = []
        self.most: Counter[tuple[int, str]] = Counter()
        self._parts = PART.finditer(text)
        self._form: int | None = None
        self._single: set[tuple[int, str]] = set()
        self._elsewhere: Counter[tuple[str, str]] = Counter()
        assert self._read() == ""
        for (form, name), count in self._elsewhere.items():
            # a fragment's form is on the page that has it as a part
            for number in [at for at, each in enumerate(self.forms) if each.get("id") == form]:
                self.most[number, name] += count

    def _read(self) -> str:
        for part in self._parts:
            closing, tag, inside, mark = part.groups()
            if mark is None:
                self._tag(closing, tag, inside)
            elif mark == EITHER:
                self._choose()
            elif mark == EACH:
                before, old = Counter(self.most), len(self.forms)
                assert self._read() == END
                # a form within a loop is a form each time
                again = self.most - before
                self.most += Counter(
                    {key: n for key, n in again.items() if key[0] < old and key not in self._single}
                )
            else:
                return mark
        return ""

    def _choose(self) -> None:
        before, most, mark = self.most, Counter(self.most), OR
        while mark == OR:
            self.most = Counter(before)
            mark = self._read()
            most |= self.most
        self.most = most

    def _tag(self, closing: str, tag: str, inside: str) -> None:
        attributes = {name: value or "" for name, value in ATTRIBUTE.findall(inside)}
        if tag == "form":
            self._form = None if closing else len(self.forms)
            if not closing:
                self.forms.append(attributes)
        elif not closing and (name := attributes.get("name")):
            is_one = tag == "button" or attributes.get("type") == "radio"
            count = 2 if "multiple" in attributes else 1
            if form := attributes.get("form"):
                # at most one of them is shown: the fragment that replaces another, or the page's own
                self._elsewhere[form, name] = max(self._elsewhere[form, name], count)
            elif self._form is not None:
                key = self._form, name
                self._single |= {key} if is_one else set()
                self.most[key] = 1 if is_one else self.most[key] + count


@cache
def forms_of(template: str) -> Sequence[SentForm]:
    found = FormsOf(written(template))
    return [
        SentForm(
            template,
            attributes.get("action", ""),
            {name: count for (form, name), count in found.most.items() if form == at},
        )
        for at, attributes in enumerate(found.forms)
        if attributes.get("method") == "post"
    ]


SHOWN: Final = sorted({template for _, template, _ in HANDED_OVER} | {"base.html"})


def reached(page: Page) -> set[str]:
    """Return the templates that a page's functions name."""
    path = next(each for each in MODULES if page.handler.__module__.endswith(f".pages.{each.stem}"))
    functions = {
        each.name: each
        for each in MODULES[path].body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    seen: set[str] = set()
    waiting = [page.handler.__name__]
    while waiting:
        name = waiting.pop()
        if name in functions and name not in seen:
            seen.add(name)
            waiting += [each.id for each in ast.walk(functions[name]) if isinstance(each, ast.Name)]
    texts = [
        each.value for name in seen for each in ast.walk(functions[name]) if isinstance(each, ast.Constant)
    ]
    return {each for each in texts if isinstance(each, str) and each.endswith(".html")}


def rows_of(form: SentForm) -> list[Page]:
    """Return the rows of the table that may get what a form sends; without an action it goes to where the form is shown."""
    if not form.action:
        paths = {page.path for page in PAGES if form.template in reached(page)}
        return [row for row in ROWS if row.path in paths]
    # what fills a part of the path may be anything
    action = re.escape(form.action).replace(UNKNOWN, ".+")
    return [row for row in ROWS if re.fullmatch(action, row.path)]


@pytest.mark.parametrize("template", SHOWN)
def test_a_form_sends_only_what_its_page_takes_and_as_often(template: str):
    for form in forms_of(template):
        rows = rows_of(form)
        assert rows, f"nobody takes {form.action}"
        assert form.most[CSRF] == 1
        for row in rows:
            unknown = {
                name for name in form.most if name not in {CSRF, *row.fields.once, *row.fields.several}
            }
            twice = {
                name for name, count in form.most.items() if count > 1 and name not in row.fields.several
            }
            assert (unknown, twice) == (set(), set()), row.path


def test_every_page_that_takes_a_form_has_one_and_takes_no_field_that_none_sends():
    sent: dict[str, set[str]] = {row.path: set() for row in ROWS}
    for form in chain.from_iterable(map(forms_of, SHOWN)):
        for row in rows_of(form):
            sent[row.path] |= set(form.most)
    assert sent == {row.path: {CSRF, *row.fields.once, *row.fields.several} for row in ROWS}


def test_no_script_and_no_attribute_of_a_page_adds_a_field():
    files = [*WEB.glob("static/*.js"), *WEB.glob("templates/*.html")]
    found = {path.name: ADDS_FIELDS.findall(path.read_text()) for path in files}
    assert {name: each for name, each in found.items() if each} == {}


def test_a_field_that_comes_twice_is_seen_and_one_of_each_branch_is_not():
    for text, most in (
        ('<input name="a">', 1),
        ('<input name="a"><textarea name="a">', 2),
        (f'{EITHER}<input name="a">{OR}<input name="a">{END}', 1),
        (f'{EITHER}{EACH}<input name="a">{END}{OR}{END}', 2),
        (f'{EITHER}{EACH}<input type="radio" name="a">{END}{OR}{END}', 1),
        ('<input type="file" name="a" multiple>', 2),
        ('</form><input form="f" name="a">', 1),
    ):
        assert FormsOf(f'<form id="f" method="post">{text}</form>').most == {(0, "a"): most}, text
