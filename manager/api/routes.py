"""Route table of the API: path, role, body and handler of each route in one place.

Decides who may call what, and the shape of a body. Leaves the order of checks to
`manager.http.authentication`, and the use cases to `manager.usecases`.
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
    """One authenticated request. `body` is of the route's type, None without one."""

    api: Api
    request: web.Request
    caller: Caller
    body: Any
    rights: Rights

    @property
    def user(self) -> UserRecord:
        """The caller, with the credential's role."""
        return self.caller.user

    @property
    def actor(self) -> str:
        """The caller's name, for the audit log."""
        return self.user.name

    def name(self, part: str) -> str:
        """Return a part of the path."""
        return self.request.match_info[part]

    def node(self) -> NodeName:
        """Return the node in the path. Raises InvalidInputError."""
        return node_name(self.name("name"))

    def number(self, part: str) -> int:
        """Return an id in the path. Raises InvalidInputError."""
        return parse_id(self.name(part), field=part, what="an id, which is a number")

    def count(self, name: str, default: int = 0) -> int:
        """Return an integer query parameter, within its route's bounds."""
        return int(self.request.query.get(name, default))

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter. Raises InvalidInputError if it is neither true nor false."""
        return _flag(self.request, name)

    def heavy_turn(self) -> AbstractAsyncContextManager[None]:
        """Return a turn for heavy work (`manager.http.middleware`)."""
        return heavy_turn(self.request, self.user.name)

    def confirm(self) -> str | None:
        """Return this request's confirmation: None for a forced one, "" to get the consequences, or a token."""
        return self.request.query.get("confirm")


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class QueryParameter:
    """An optional query parameter. If `must_exist`, an unknown value is answered with 404.

    An integer is from `least` to `most`.
    """

    name: str
    kind: type[Any]
    help: str
    must_exist: bool = False
    least: int = 0
    most: int = ID_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One entry of the table.

    `path` is below the API's root; `answers` are the bodies of successes, by status.

    An answer is a type sent as JSON, None for an empty body, or the media types of other content.
    `needs_password`: no token may call it. `pushes`: a push-only token may. `provisions`: it answers with a
    join token, for which a token needs that scope. `heavy`: it reads untrusted data or all objects, and waits
    for a turn. `streams`: it has limits of its own. `asks_ca`: it waits for a CA, and fails if the CA
    refuses.
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
    "empty to get the consequences first; then the token of that answer, to confirm exactly these",
)
FORCE: Final = QueryParameter("force", bool, "proceed despite the warnings of a refusal")


def reply(value: object, *, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def empty() -> web.Response:
    """Return an empty answer."""
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
    """Refuse a misspelt or ambiguous parameter, which would otherwise be ignored.

    Raises InvalidInputError.
    """
    known = {each.name: each for each in route.query}
    for name in request.query:
        if name not in known:
            accepted = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InvalidInputError(name[:40], f"this route has no such query parameter; {accepted}")
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
            name, f"'{text[:40]}' is neither true nor false: use {name}=true or {name}=false"
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
        # the parser's message may quote the input, which may be a key
        raise InvalidInputError("", "the body is not JSON") from error
