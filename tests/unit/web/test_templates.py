"""Every name in a template is one that its page hands over: pages are rendered by tests, but not every branch of them."""

import ast
from pathlib import Path

import pytest
from jinja2 import meta, nodes

from manager.web import site
from manager.web.static import StaticFiles

WEB = Path(site.__file__).parent
ENVIRONMENT = site._templates(StaticFiles())
OF_EVERY_PAGE = {"page_request", "user", "path", "flash", "now_s"}


def handed_over() -> dict[str, set[str]]:
    """Return what the pages hand over to each template by name, and to whichever they choose; one that is given a mapping is left out."""
    found: dict[str, set[str]] = {}
    chosen: set[str] = set()
    for path in sorted(WEB.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and ast.unparse(call.func) == "page_request.render":
                template = call.args[0]
                names = (
                    found.setdefault(template.value, set()) if isinstance(template, ast.Constant) else chosen
                )
                names.update(each.arg or "**" for each in call.keywords)
    return {template: names | chosen for template, names in found.items() if "**" not in names}


HANDED_OVER = handed_over()


def closure(template: str) -> set[str]:
    """Return a template and all that it is made of."""
    seen: set[str] = set()
    waiting = [template]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [each for each in meta.find_referenced_templates(parsed(name)) if each is not None]
    return seen


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
    return used - made - handed - OF_EVERY_PAGE - set(ENVIRONMENT.globals)


@pytest.mark.parametrize("template", HANDED_OVER)
def test_a_template_uses_only_what_its_pages_hand_over(template):
    assert unknown_names(template, HANDED_OVER[template]) == set()


def test_a_name_that_is_not_handed_over_is_found():
    assert len(HANDED_OVER) > 35
    assert unknown_names("requests_delete.html", {"impact"}) == {"records"}
