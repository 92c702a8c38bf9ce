"""A browser without a window or a script: cookies, links, and forms with the fields that their page has."""

import io
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from typing import Any

import aiohttp

from common.api.codes import Role
from demo.run import trusting
from tests.integration.api import PASSWORD, USERS, ApiClient


class _Reader(HTMLParser):
    """Collects the hidden fields of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self.values: dict[str, list[str]] = {}
        self.texts: list[str] = []
        self._area = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name = found.get("name") or ""
        if tag == "input" and found.get("type") == "hidden":
            self.hidden[name] = found.get("value") or ""
        if tag == "input" and name and (found.get("type") not in {"checkbox", "radio"} or "checked" in found):
            self.values.setdefault(name, []).append(found.get("value") or "")
        if tag == "textarea":
            self._area = name
            self.values.setdefault(name, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            # the line end after the opening tag is none (HTML standard, "newlines in textarea")
            self.values[self._area][-1] = self.values[self._area][-1].removeprefix("\n")
            self._area = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.values[self._area][-1] += data
        self.texts.append(data)


class Answer:
    """A page as it came."""

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, url: str) -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.path = url.partition("//")[2].partition("/")[2].join(("/", ""))
        self.html = body.decode(errors="replace")
        reader = _Reader()
        reader.feed(self.html)
        self.hidden = reader.hidden
        self.values = reader.values
        self.text = " ".join(" ".join(reader.texts).split())


class Visitor:
    """Follows redirects, as browsers do."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session
        self.last: Answer | None = None

    async def get(self, path: str, **options: Any) -> Answer:
        async with self.session.get(self.url + path, **options) as answer:
            self.last = Answer(answer.status, answer.headers, await answer.read(), str(answer.url))
            return self.last

    async def post(
        self,
        path: str,
        fields: Mapping[str, str | Sequence[str]] | None = None,
        *,
        files: Mapping[str, tuple[str, bytes]] | None = None,
        csrf: str | None = None,
        **options: Any,
    ) -> Answer:
        """Send a form; its token is the one of this browser, as any page shows it, unless another is given."""
        if csrf is None:
            csrf = (await self.get("/sign-in", allow_redirects=True)).hidden["csrf"]
        pairs: list[tuple[str, str]] = []
        # the hidden fields of a page, which a test may send with its own, have the token already
        for name, value in {"csrf": csrf, **(fields or {})}.items():
            pairs += [(name, value)] if isinstance(value, str) else [(name, each) for each in value]
        data: Any = aiohttp.FormData(pairs)
        if files:
            data = aiohttp.FormData(default_to_multipart=True)
            for name, text in pairs:
                data.add_field(name, text)
            for name, (filename, content) in files.items():
                data.add_field(name, io.BytesIO(content), filename=filename)
        async with self.session.post(self.url + path, data=data, **options) as answer:
            self.last = Answer(answer.status, answer.headers, await answer.read(), str(answer.url))
            return self.last

    async def post_confirmed(
        self, path: str, fields: Mapping[str, str | Sequence[str]] | None = None, **options: Any
    ) -> Answer:
        """Send a form, and once more with what confirms it if the page that comes back asks for that."""
        answer = await self.post(path, fields, **options)
        if answer.status == 409 and (token := answer.hidden.get("confirm")):
            return await self.post(path, {**(fields or {}), "confirm": token}, **options)
        return answer

    async def sign_in(self, role: Role = Role.ADMINISTRATOR) -> Answer:
        return await self.post("/sign-in", {"name": USERS[role], "password": PASSWORD})


@asynccontextmanager
async def visitor(api: ApiClient, role: Role | None = None) -> AsyncIterator[Visitor]:
    """Open a browser, signed in as a user of this role."""
    tls = trusting()
    # the test's address is no name
    async with api.leaks.session(tls, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        browser = Visitor(api.url, session)
        if role is not None:
            assert (await browser.sign_in(role)).status == 200
        yield browser
