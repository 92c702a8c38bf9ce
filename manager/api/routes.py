"""One table of routes: path, role, body and handler stand together, and nothing about a route stands elsewhere.

Decides who may call what, and what a body is. Leaves the order of checks to `manager.http.authentication`, and the use cases to `manager.usecases`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from common.api.codes import Role
from common.api.values import Nothing
from common.errors import InvalidInputError
from common.ids import ID_DIGITS_MAX, ID_MAX, NodeName, node_name, parse_id
from common.schema import UNDECODABLE, finding_in
from manager.domain.callers import Caller, check_allowed, check_may_provision, check_password_given
from manager.domain.model import UserRecord
from manager.http.authentication import Api, ServingTerms, identify, serve_admitted
from manager.http.bodies import decode_json, sender_of
from manager.http.middleware import heavy_turn, read_bytes
from manager.usecases.rights import Rights

_YES: Final = frozenset({"1", "true", "yes"})
_NO: Final = frozenset({"0", "false", "no"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One authenticated request. `body` is of the route's type, None if it has none."""

    api: Api
    request: web.Request
    caller: Caller
    body: Any
    rights: Rights

    @property
    def user(self) -> UserRecord:
        """Who is calling, with the role that the credential gives."""
        return self.caller.user

    @property
    def actor(self) -> str:
        """Who is calling, for the audit log."""
        return self.user.name

    def name(self, part: str) -> str:
        """Return a part of the path."""
        return self.request.match_info[part]

    def node(self) -> NodeName:
        """Return the node that the path names. Raises InvalidInputError."""
        return node_name(self.name("name"))

    def number(self, part: str) -> int:
        """Return a part of the path that is an id. Raises InvalidInputError."""
        return parse_id(self.name(part), field=part, what="an id, which is a number")

    def count(self, name: str, default: int = 0) -> int:
        """Return a query parameter that is a whole number, within the bounds that its route gives."""
        return int(self.request.query.get(name, default))

    def flag(self, name: str) -> bool:
        """Return whether a query parameter says yes. Raises InvalidInputError if it says neither that nor no."""
        return _flag(self.request, name)

    def heavy_turn(self) -> AbstractAsyncContextManager[None]:
        """Return a turn for work that takes long (`manager.http.middleware`)."""
        return heavy_turn(self.request, self.user.name)

    def confirm(self) -> str | None:
        """Return what confirms this request: None for a program that was told to, "" for who wants to be told, else a token."""
        return self.request.query.get("confirm")


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """A query parameter, which may be left out. What it names `must_exist`, or the answer is 404.

    A whole number is from `least` to `most`.
    """

    name: str
    kind: type[Any]
    help: str
    must_exist: bool = False
    least: int = 0
    most: int = ID_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One entry of the table. `path` is below the API's root; `answers` are the bodies of successes, by status.

    An answer is a type that is sent as JSON, None for an empty body, or the media types of something else. `needs_password`: no token
    may call it; `pushes`: a token for pushing only may; `provisions`: it answers with a join token, which a token must be made for. What is `heavy` (it reads what strangers made, or looks at everything there is)
    waits for a turn; what `streams` has limits of its own. What `asks_ca` waits for a CA, and fails where that refuses.
    """

    method: str
    path: str
    role: Role
    handler: Handler
    summary: str
    body: type[Any] | None = None
    query: tuple[QueryParameter, ...] = ()
    needs_password: bool = False
    pushes: bool = False
    provisions: bool = False
    answers: Mapping[int, Any]
    heavy: bool = False
    streams: bool = False
    asks_ca: bool = False


CONFIRM: Final = QueryParameter(
    "confirm",
    str,
    "empty to be told what it means before; then the token of the answer to that, to do just this",
)
FORCE: Final = QueryParameter("force", bool, "go ahead despite what a refusal warned of")


def reply(value: object, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def empty() -> web.Response:
    """Answer that it is done."""
    return web.Response(status=204)


async def call(route: Route, api: Api, request: web.Request) -> web.StreamResponse:
    """Serve one request of a route. Raises CertcastError."""
    caller = await identify(request, api.use_cases)
    check_allowed(caller, route.role, pushes=route.pushes)
    if route.needs_password:
        check_password_given(caller)
    if route.provisions:
        check_may_provision(caller)
    rights = api.use_cases.callers.rights(
        caller, route.role, pushes=route.pushes, provisions=route.provisions
    )
    _check_query(route, request)

    async def read() -> Any:
        if route.body is not None:
            return await read_body(request, caller.user, route.body)
        if request.body_exists:
            await read_body(request, caller.user, Nothing)
        return None

    async def handle(body: Any) -> web.StreamResponse:
        return await route.handler(Call(api=api, request=request, caller=caller, body=body, rights=rights))

    admission = ServingTerms(
        user=caller.user.name, rights=rights, recheck=rights.check, takes_turn=not route.streams
    )
    return await serve_admitted(request, admission, read=read, is_heavy=lambda _: route.heavy, handle=handle)


def _check_query(route: Route, request: web.Request) -> None:
    """Refuse what a misspelt or doubtful parameter would otherwise do unasked. Raises InvalidInputError."""
    known = {each.name: each for each in route.query}
    for name in request.query:
        if name not in known:
            accepted = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InvalidInputError(name[:40], f"there is no such query parameter here; {accepted}")
        if len(request.query.getall(name)) > 1:
            raise InvalidInputError(name, "the query parameter is given more than once")
        if known[name].kind is bool:
            _flag(request, name)
        if known[name].kind is int:
            _check_number(known[name], request.query[name])


def _check_number(wanted: QueryParameter, text: str) -> None:
    is_number = text.isascii() and text.isdecimal() and len(text) <= ID_DIGITS_MAX
    if not is_number or not wanted.least <= int(text) <= wanted.most:
        raise InvalidInputError(
            wanted.name, f"'{text[:40]}' is not a whole number from {wanted.least} to {wanted.most}"
        )


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name)
    if text is not None and text.lower() not in _YES | _NO:
        raise InvalidInputError(
            name, f"'{text[:40]}' is neither true nor false: say {name}=true or {name}=false"
        )
    return text is not None and text.lower() in _YES


async def read_body(request: web.Request, user: UserRecord, kind: type[T]) -> T:
    """Read a JSON body of this type. Raises InvalidInputError naming the field."""
    data = await read_bytes(request, sender_of(user.name, user.role))
    try:
        return await decode_json(data or b"{}", kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(*finding_in(error)) from error
    except UNDECODABLE as error:
        # the parser's own words may quote what was sent, which may be a key
        raise InvalidInputError("", "the body is not JSON") from error
