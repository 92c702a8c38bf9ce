"""Every name in a template is one that each of its pages hands over: pages are rendered by tests, but not every branch of them."""

import ast
import re
import threading
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from jinja2 import meta, nodes

from manager.web import site
from manager.web.refusal import FormRefusal
from manager.web.static import StaticFiles

WEB = Path(site.__file__).parent
ENVIRONMENT = site._templates(StaticFiles())
OF_EVERY_PAGE = {"page_request", "user", "path", "flash", "now_s"}
STREAMED = {"tiles": "_status", "wave": "_status", "alarms": "_alarms"}
"""Parts of the home page that are sent again when they change, without what a page has, and the function that says what each is handed."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
MODULES = {path: ast.parse(path.read_text()) for path in sorted(WEB.rglob("*.py"))}
CALLS = [
    (path, function, each)
    for path, tree in MODULES.items()
    for function in ast.walk(tree)
    if isinstance(function, Function)
    for each in ast.walk(function)
    if isinstance(each, ast.Call)
]
RENDERED: dict[str, set[str]] = {
    "page_request.render": set(),
    "page_request.render_form": {each.name for each in fields(FormRefusal)} - {"status"},
}
"""What renders a template, and what each hands over by itself."""


def handed_over() -> Iterator[tuple[str, str, set[str]]]:
    """Yield where a page is rendered, with which template, and what it is handed."""
    for path, tree in MODULES.items():
        for function in ast.walk(tree):
            if not isinstance(function, Function):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and (rendered := ast.unparse(call.func)) in RENDERED:
                    where = f"{path.relative_to(WEB)}:{call.lineno}"
                    names = {name for each in call.keywords for name in names_of(each, path)} - {
                        "status"
                    } | RENDERED[rendered]
                    for template in sorted(templates_of(call.args[0], function, path)):
                        yield where, template, names | OF_EVERY_PAGE
    for part, function_name in STREAMED.items():
        # the macros that all templates share may ask for the page; those that these use do not
        handed = returned(function_name, WEB / "pages/fleet.py") | {"page_request"}
        yield f"/live/fleet {part}", f"fleet_{part}.html", handed


def names_of(keyword: ast.keyword, path: Path) -> set[str]:
    return {keyword.arg} if keyword.arg is not None else keys_of(keyword.value, path)


def keys_of(value: ast.expr, path: Path) -> set[str]:
    """Return the keys of a mapping: one that is written there, or that a function of the same module returns."""
    if isinstance(value, ast.Await):
        return keys_of(value.value, path)
    if isinstance(value, ast.Dict):
        assert all(isinstance(key, ast.Constant) for key in value.keys)
        return {key.value for key in value.keys if isinstance(key, ast.Constant)}
    assert isinstance(value, ast.Call), f"{path}: {ast.unparse(value)} hides what it hands over"
    return returned(ast.unparse(value.func), path)


def returned(function_name: str, path: Path) -> set[str]:
    (made,) = [
        each for each in ast.walk(MODULES[path]) if isinstance(each, Function) and each.name == function_name
    ]
    found = [
        keys_of(each.value, path) for each in ast.walk(made) if isinstance(each, ast.Return) and each.value
    ]
    return set.intersection(*found)


def templates_of(template: ast.expr, function: Function, path: Path) -> set[str]:
    """Return which template is meant: the one that is named there, or those that the callers of a function name."""
    if isinstance(template, ast.Constant):
        return {template.value}
    given = [each.arg for each in function.args.args].index(ast.unparse(template))
    found = [
        (call.args[given], caller, place)
        for place, caller, call in CALLS
        if ast.unparse(call.func) == function.name and len(call.args) > given
        if place == path or not function.name.startswith("_")
    ]
    assert found
    return {name for each in found for name in templates_of(*each)}


HANDED_OVER = list(handed_over())


def closure(template: str) -> set[str]:
    """Return a template and all that it is made of."""
    seen: set[str] = set()
    waiting = [template]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            referenced = list(meta.find_referenced_templates(parsed(name)))
            assert None not in referenced, f"{name} includes what only a page knows"
            waiting += [each for each in referenced if each is not None]
    return seen


@cache
def parsed(template: str) -> nodes.Template:
    assert ENVIRONMENT.loader is not None
    return ENVIRONMENT.parse(ENVIRONMENT.loader.get_source(ENVIRONMENT, template)[0])


def unknown_names(template: str, handed: set[str]) -> set[str]:
    trees = [parsed(each) for each in closure(template)]
    # what one template sets, one that it includes may use
    made = {each.name for tree in trees for each in tree.find_all(nodes.Name) if each.ctx != "load"}
    made |= {each.target for tree in trees for each in tree.find_all(nodes.Import)}
    made |= {each.name for tree in trees for each in tree.find_all(nodes.Macro)}
    used = {name for tree in trees for name in meta.find_undeclared_variables(tree)}
    return used - made - handed - set(ENVIRONMENT.globals)


@pytest.mark.parametrize(
    ("where", "template", "handed"), HANDED_OVER, ids=[f"{where} {name}" for where, name, _ in HANDED_OVER]
)
def test_a_template_uses_only_what_each_of_its_pages_hands_over(where: str, template: str, handed: set[str]):
    assert unknown_names(template, handed) == set(), where


def test_every_template_is_shown_by_a_page():
    assert {f"fleet_{part}.html" for part in STREAMED} == {
        path.name for path in WEB.glob("templates/fleet_*.html")
    }
    shown = {each for _, template, _ in HANDED_OVER for each in closure(template)}
    assert shown == set(ENVIRONMENT.list_templates())


def test_an_element_that_hears_signals_is_not_replaced_by_what_it_fetches():
    """Otherwise a signal that comes meanwhile is lost: htmx drops what waits for an element that is gone."""
    hearing = [
        element
        for template in sorted((WEB / "templates").glob("*.html"))
        for element in re.findall(r"<[^>]*hx-trigger=\"sse:[^>]*>", template.read_text())
    ]
    assert len(hearing) >= 6
    assert [each for each in hearing if 'hx-swap="innerHTML"' not in each] == []


def test_a_name_that_is_not_handed_over_is_found():
    assert unknown_names("csrs_delete.html", OF_EVERY_PAGE | {"impact"}) == {"records"}


async def test_every_template_is_compiled_off_the_loop_before_the_first_page_is_asked_for(monkeypatch):
    templates = site._templates(StaticFiles())
    threads, compile_one = [], templates.compile

    def compiled(*given: Any, **options: Any) -> Any:
        threads.append(threading.current_thread())
        return compile_one(*given, **options)

    monkeypatch.setattr(templates, "compile", compiled)
    monkeypatch.setattr(site, "_templates", lambda _static: templates)
    app = web.Application()
    site.add_pages(app, SimpleNamespace(), SimpleNamespace())
    app.freeze()
    await app.startup()
    assert len(threads) == len(templates.list_templates(extensions=["html"])) > 50
    assert threading.main_thread() not in threads
