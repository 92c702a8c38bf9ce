"""What a page's form sends that it does not have, or more often than it has it, is refused: nothing is left out in silence.

Every page that takes a form is held to it, from the table of pages itself; and what the pages' forms have is what their rows state.
"""

import re
from collections.abc import AsyncIterator, Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from common.api.codes import Role
from manager.usecases.workers import Workers
from manager.web.pagerequest import CSRF, Page
from manager.web.site import PAGES
from tests import pki
from tests.integration.api import ApiClient, real_api
from tests.integration.web import Visitor, visitor

FORMS = [page for page in PAGES if page.method == "POST"]


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ApiClient]:
    async with Workers() as workers, real_api(tmp_path, workers) as made:
        await made.add_node("n1")
        yield made


@pytest.fixture
async def browser(api: ApiClient) -> AsyncIterator[Visitor]:
    async with visitor(api, Role.ADMINISTRATOR) as signed_in:
        yield signed_in


def place(page: Page) -> str:
    parts = {"id": "1", "generation": "1", "slot": "server", "token": "x" * 43, "name": "n1"}
    return re.sub(r"\{(\w+)(?::[^}]*)?\}", lambda part: parts[part[1]], page.path)


def last(pages: list[Page]) -> list[Page]:
    """Return them with the one last that ends the session."""
    return sorted(pages, key=lambda page: page.path == "/sign-out")


async def test_no_form_takes_a_field_that_it_does_not_have(browser: Visitor, record_property):
    for page in last(FORMS):
        answer = await browser.post(place(page), {"unheard_of": "1"})
        assert (answer.status, "no field 'unheard_of'" in answer.text) == (400, True), page.path
        answer = await browser.post(place(page), {}, files={"unheard_of": ("a.pem", b"x")})
        # signing in and setting up take no files at all
        assert answer.status == (415 if page.role is None else 400), page.path
    line = f"{len(FORMS)} forms refused a field and a file that they do not have"
    print(line)
    record_property("unknown fields", line)


async def test_no_form_takes_a_field_twice_that_it_has_once(browser: Visitor, record_property):
    tried = 0
    for page in last(FORMS):
        for name in (CSRF, *page.fields.once):
            again = 2 * [await token_of(browser) if name == CSRF else "1"]
            answer = await browser.post(place(page), {name: again})
            assert (answer.status, f"field '{name}' more than once" in answer.text) == (400, True), (
                page.path,
                name,
            )
            tried += 1
    line = f"{tried} fields of {len(FORMS)} forms were refused when they came twice"
    print(line)
    record_property("doubled fields", line)


async def token_of(browser: Visitor) -> str:
    return (await browser.get("/sign-in")).hidden[CSRF]


class FormReader(HTMLParser):
    """Collects the forms that a page sends by POST: where to, and the names of their fields."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.found: list[tuple[str, set[str]]] = []
        self._path = path
        self._named: dict[str, set[str]] = {}
        self._elsewhere: list[tuple[str, str]] = []
        self._names: set[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and given.get("method") == "post":
            self._names = set()
            self.found.append((given.get("action") or self._path, self._names))
            self._named[given.get("id") or ""] = self._names
        elif tag in {"input", "select", "textarea", "button"} and (name := given.get("name")):
            if form := given.get("form"):
                self._elsewhere.append((form, name))
            elif self._names is not None:
                self._names.add(name)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._names = None

    def close(self) -> None:
        super().close()
        for form, name in self._elsewhere:
            self._named[form].add(name)


def forms_of(path: str, html: str) -> Iterator[tuple[str, set[str]]]:
    reader = FormReader(path.partition("?")[0])
    reader.feed(html)
    reader.close()
    yield from reader.found


async def test_what_pages_send_is_what_their_rows_state(browser: Visitor, api: ApiClient):
    root, issuer = pki.current_ca("Own")
    leaf = pki.current_leaf(issuer, ["n1.example.test"])
    texts = {"certificate": leaf.certificate_pem + issuer.certificate_pem, "private_key": leaf.key_pem}
    assert (await browser.post("/certificates/new", texts)).status == 200
    assert (await browser.post("/trusted-cas/import", {"pasted": root.certificate_pem})).status == 200
    assert (await browser.post("/requests/new", {"subject": "CN=a", "kind": "RSA2048"})).status == 200
    seen: set[str] = set()
    pages = [page for page in PAGES if page.method == "GET" and not page.streams]
    pages += [
        Page(method="GET", path=f"/{what}/delete?id=1", role=None, handler=PAGES[0].handler)
        for what in ("certificates", "requests", "trusted-cas")
    ]
    for page in pages:
        for where in (place(page), place(page).replace("/n1", "/administrator")):
            answer = await browser.get(where, allow_redirects=True)
            for action, names in forms_of(where, answer.html):
                row = next(each for each in FORMS if re.fullmatch(pattern(each.path), action))
                assert names <= {CSRF, *row.fields.once, *row.fields.several}, (where, action)
                seen.add(row.path)
    print(f"{len(seen)} of {len(FORMS)} forms were seen on {len(pages)} pages")
    assert len(seen) > len(FORMS) // 2


def pattern(path: str) -> str:
    return re.sub(r"\{\w+(?::([^}]*))?\}", lambda part: part[1] or "[^/]+", path)
