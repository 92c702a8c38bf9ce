"""Page request: the user, the submitted form, and the answer.

Pages are rows of a table (`Page`), like the API's routes; `manager.web.serving` decides who may see and do
what.
"""

import hmac
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

import jinja2
from aiohttp import web

from common.api.codes import Role
from common.errors import AccessError, Reason
from common.ids import NodeName, node_name, parse_id
from manager.domain.callers import Maker, includes
from manager.domain.model import UserRecord
from manager.http.middleware import READING
from manager.http.proxies import CONNECTION
from manager.http.streams import Streams
from manager.usecases.ports import FleetView
from manager.usecases.usecases import UseCases
from manager.usecases.workers import READ_TIMEOUT_S
from manager.web.cookies import (
    clear_flash,
    device_of,
    flash_of,
    session_of,
    set_device,
    set_flash,
    set_session,
)
from manager.web.current_status import CurrentFleetStatus
from manager.web.difference import FieldDifference, differences
from manager.web.forms import NO_FIELDS, Form, FormFields
from manager.web.refusal import FormRefusal
from manager.web.static import StaticFiles
from manager.web.uploads import given_text, shown_text

CSRF: Final = "csrf"
NEXT: Final = "next"
"""The form field that names the next page."""


INLINE_MAX: Final = 32 * 1024
"""How many characters are read on the event loop: the worst take some milliseconds."""

P = ParamSpec("P")
T = TypeVar("T")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The dependencies of all pages."""

    use_cases: UseCases
    fleet: FleetView
    templates: jinja2.Environment
    static: StaticFiles
    streams: Streams
    fleet_status: CurrentFleetStatus


@dataclass(slots=True, kw_only=True)
class PageRequest:
    """One request. `token` is the browser's: a session's, or a visitor's, for which nothing is stored."""

    site: Site
    request: web.Request
    token: str
    user: UserRecord | None
    form: Form = field(default_factory=Form)

    @property
    def use_cases(self) -> UseCases:
        return self.site.use_cases

    @property
    def actor(self) -> str:
        """The user's name, for the audit log. Raises AccessError if not signed in."""
        return self.signed_in.name

    @property
    def maker(self) -> Maker:
        """The proof for making join tokens on a page: the password. Raises AccessError if not signed in."""
        return Maker(user_id=self.signed_in.id)

    @property
    def signed_in(self) -> UserRecord:
        """The signed-in user. Raises AccessError if there is none."""
        if self.user is None:
            raise AccessError("sign in first")
        return self.user

    @property
    def address(self) -> str:
        """The address the request comes from."""
        return self.request.remote or ""

    @property
    def csrf(self) -> str:
        """The token in every form of this browser, derived one-way from the cookie."""
        return hmac.digest(self.token.encode(), CSRF.encode(), "sha256").hex()

    @property
    def is_fragment(self) -> bool:
        """Whether a script of ours requests a part of a page."""
        return self.request.headers.get("HX-Request") == "true"

    def may(self, role: Role) -> bool:
        """Whether the user has at least this role."""
        return self.user is not None and includes(self.user.role, role)

    async def check_confirmed(self) -> None:
        """Require that the password was just given in this session. Raises AccessError PASSWORD_REQUIRED."""
        if not await self.use_cases.sessions.is_confirmed(self.token):
            raise AccessError("this needs your password again", reason=Reason.PASSWORD_REQUIRED)

    def query(self, name: str, default: str = "") -> str:
        """Return a query parameter."""
        return self.request.query.get(name, default)

    def name(self, part: str) -> str:
        """Return a part of the path."""
        return self.request.match_info[part]

    def node(self) -> NodeName:
        """Return the node in the path. Raises InvalidInputError."""
        return node_name(self.name("name"))

    def number(self, part: str = "id") -> int:
        """Return an id in the path. Raises InvalidInputError."""
        return parse_id(self.name(part), field=part, what="a number")

    def page(self) -> int:
        """Return the requested page of a list, from 1. Raises InvalidInputError."""
        return max(1, parse_id(self.query("page") or "1", field="page", what="a number"))

    def ids(self) -> list[int]:
        """Return the ids in the query, each once. Raises InvalidInputError."""
        return [
            parse_id(text, field="id", what="a number")
            for text in dict.fromkeys(self.request.query.getall("id", []))
        ]

    def render(self, template: str, *, status: int = 200, **values: Any) -> web.Response:
        """Answer with a page."""
        message = flash_of(self.request)
        known = {
            "page_request": self,
            "user": self.user,
            "path": self.request.path,
            "flash": message,
            "now_s": self.now_s,
        }
        text = self.site.templates.get_template(template).render({**known, **values})
        response = web.Response(
            status=status, text=text, content_type="text/html", headers={"Cache-Control": "no-store"}
        )
        if message:
            clear_flash(response)
        if session_of(self.request) != self.token:
            set_session(response, self.token)
        return response

    def render_form(self, template: str, refusal: FormRefusal, **values: Any) -> web.Response:
        """Return the page of a form, with the reasons if it was refused."""
        return self.render(
            template,
            status=refusal.status,
            problems=refusal.problems,
            asked=refusal.asked,
            theirs=refusal.theirs,
            **values,
        )

    async def given_text(self, name: str) -> str:
        """Return a field's pasted text or chosen file (`uploads.given_text`). Raises PkiFindingsError."""
        part = self.form.part(name, f"{name}_file")
        return await self._read(part.size, given_text, part, name)

    async def shown_text(self, text: str) -> str:
        """Return the part of a text that a page may show (`uploads.shown_text`)."""
        return await self._read(len(text), shown_text, text)

    async def differences(self, *fields: tuple[str, str, str]) -> list[FieldDifference]:
        """Compare texts (`difference.differences`)."""
        return await self._read(sum(len(text) for field in fields for text in field), differences, fields)

    async def _read(self, size: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Read submitted texts: long ones in a worker, as they may be crafted to take long."""
        if size <= INLINE_MAX:
            return function(*args, **kwargs)
        return await self.use_cases.workers.run(READ_TIMEOUT_S, function, *args, **kwargs)

    @property
    def now_s(self) -> float:
        """The current time by the manager's clock."""
        return self.use_cases.now_s

    async def begin_session(self, response: web.StreamResponse, user: UserRecord) -> None:
        """Sign in a user who was just authenticated or created."""
        token = await self.use_cases.sessions.start(user, address=self.address)
        set_session(response, token)
        await self.remember_device(response, user)

    async def prove(self, name: str, password: str) -> UserRecord:
        """Return the user authenticated by name and password in this browser. Raises AccessError."""
        proof = await self.use_cases.users.passwords.prove(
            name,
            password,
            address=self.address,
            device=device_of(self.request),
            connection=self.request[CONNECTION],
            session="" if self.user is None else self.use_cases.sessions.id_of(self.token),
        )
        return proof.user

    async def remember_device(self, response: web.StreamResponse, user: UserRecord) -> None:
        """Store in the browser that this user has signed in here."""
        set_device(response, await self.use_cases.users.passwords.new_device(user.name))

    def redirect(self, path: str, message: str = "") -> web.Response:
        """Redirect the browser, with a message for the next page."""
        response = web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
        if message:
            set_flash(response, message)
        return response

    def link(self, **changes: object) -> str:
        """Return this page's address with some parameters changed; None or "" removes one."""
        query = [(name, value) for name, value in self.request.query.items() if name not in changes]
        query += [(name, str(value)) for name, value in changes.items() if value not in {None, ""}]
        return f"{self.request.path}?{urlencode(query)}" if query else self.request.path


Handler = Callable[[PageRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One row of the table. `role` None is for visitors; `heavy` and `streams` are as for the API's routes.

    `fields` are those its form may send. `needs_password`: only for users who just gave the password.
    `form_above`: its form is on the page one level up, not at its own address.
    """

    method: str
    path: str
    role: Role | None
    handler: Handler
    fields: FormFields = NO_FIELDS
    needs_password: bool = False
    form_above: bool = False
    heavy: bool = False
    streams: bool = False


def ask_password(page_request: PageRequest, *, status: int, next_path: str, error: str = "") -> web.Response:
    """Ask a signed-in user for the password again, then go on to `next_path`. The form was not processed."""
    return page_request.render("confirm.html", status=status, next_path=inside(next_path), error=error)


def inside(path: str) -> str:
    """Return the next address: only ever a path of this site."""
    is_inside = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_inside and not path.startswith("/sign-") else "/"


async def begin_user(site: Site, token: str) -> UserRecord | None:
    """Return the user signed in with a browser's token, None if there is none."""
    return await site.use_cases.sessions.find(token) if _TOKEN.fullmatch(token) else None


async def begin_page_request(site: Site, request: web.Request) -> PageRequest:
    """Identify the user of a request."""
    token = session_of(request)
    user = await begin_user(site, token)
    if not _TOKEN.fullmatch(token):
        token = secrets.token_urlsafe(32)
    return PageRequest(site=site, request=request, token=token, user=user)


def sign_in_first(page_request: PageRequest) -> web.Response:
    """Send a visitor to sign in. A form stays in the browser, as its answer is a page."""
    request = page_request.request
    if request.method in READING and not page_request.is_fragment:
        return page_request.redirect(f"/sign-in?next={quote(request.path_qs)}")
    # a script's request, or a form: the browser still has the input
    return page_request.render(
        "failure.html",
        status=401,
        title="You are not signed in",
        message="Your session has ended, and nothing was changed. Sign in in another tab, then come back here and send the form again.",
        where=("/", "Go to the fleet"),
    )
