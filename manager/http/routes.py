"""One table of routes: path, role, body and handler stand together, and nothing about a route stands elsewhere.

Decides who may call what, and reads bodies within limits. Leaves the use cases to `manager.usecases`.
"""

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from common.api.codes import Role
from common.errors import AccessError, InvalidInputError, Reason
from common.schema import finding_in
from manager.domain.callers import Caller, check_allowed, check_may_provision, check_password_given, includes
from manager.domain.model import UserRecord
from manager.http.bodies import decode_json, sender_of
from manager.http.guard import heavy_turn, read_bytes, take_turn
from manager.http.proxies import CONNECTION
from manager.pki.write.export import Download
from manager.usecases.clients import ACCESS_PREFIX
from manager.usecases.ports import FleetView
from manager.usecases.rights import Rights
from manager.usecases.usecases import Operations
from manager.usecases.users import TOKEN_PREFIX

_YES: Final = frozenset({"1", "true", "yes"})
_NO: Final = frozenset({"0", "false", "no"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What handlers work with."""

    operations: Operations
    fleet: FleetView


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

    def number(self, part: str) -> int:
        """Return a part of the path that is an id. Raises InvalidInputError."""
        text = self.name(part)
        if not text.isascii() or not text.isdecimal() or len(text) > 18:
            raise InvalidInputError(part, f"'{text[:40]}' is not an id, which is a number")
        return int(text)

    def count(self, name: str, default: int) -> int:
        """Return a query parameter that is a count. Raises InvalidInputError."""
        text = self.request.query.get(name, str(default))
        if not text.isascii() or not text.isdecimal() or len(text) > 9:
            raise InvalidInputError(name, f"'{text[:40]}' is not a count")
        return int(text)

    def flag(self, name: str) -> bool:
        """Return whether a query parameter says yes. Raises InvalidInputError if it says neither that nor no."""
        return _flag(self.request, name)

    def heavy_turn(self) -> AbstractAsyncContextManager[None]:
        """Return a turn for work that takes long (`manager.http.guard`)."""
        return heavy_turn(self.request, self.user.name)

    def confirm(self) -> str | None:
        """Return what confirms this request: None for a program that was told to, "" for who wants to be told, else a token."""
        return self.request.query.get("confirm")


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter, which may be left out. What it names `must_exist`, or the answer is 404."""

    name: str
    kind: type[Any]
    help: str
    must_exist: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One entry of the table. `path` is below the API's root; `answers` are the bodies of successes, by status.

    An answer is a type that is sent as JSON, None for an empty body, or the media types of something else. `needs_password`: no token
    may call it; `pushes`: a token for pushing only may; `provisions`: it answers with a join token, which a token must be made for. What is `heavy` (it reads what strangers made, or looks at everything there is)
    waits for a turn; what `streams` has limits of its own.
    """

    method: str
    path: str
    role: Role
    handler: Handler
    summary: str
    body: type[Any] | None = None
    query: tuple[Query, ...] = ()
    needs_password: bool = False
    pushes: bool = False
    provisions: bool = False
    answers: Mapping[int, Any]
    heavy: bool = False
    streams: bool = False


CONFIRM: Final = Query(
    "confirm",
    str,
    "empty to be told what it means before; then the token of the answer to that, to do just this",
)
FORCE: Final = Query("force", bool, "do it in spite of what a refusal warns of")
PEM_FILE: Final = "application/x-pem-file"
PFX_FILE: Final = "application/x-pkcs12"


def reply(value: object, *, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type="application/json")


def attachment(made: Download) -> web.Response:
    """Answer with a file; its name has no character that could break the header."""
    kind = PEM_FILE if made.name.endswith(".pem") else PFX_FILE
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"', "Cache-Control": "no-store"}
    return web.Response(body=made.content, content_type=kind, headers=headers)


def empty() -> web.Response:
    """Answer that it is done."""
    return web.Response(status=204)


def allows(user: UserRecord, role: Role) -> bool:
    """Whether a user has at least this role."""
    return includes(user.role, role)


async def call(route: Route, api: Api, request: web.Request) -> web.StreamResponse:
    """Serve one request of a route. Raises CertcastError."""
    check_origin(request)
    caller = await authenticate(request, api.operations)
    check_allowed(caller, route.role, pushes=route.pushes)
    if route.needs_password:
        check_password_given(caller)
    if route.provisions:
        check_may_provision(caller)
    rights = api.operations.callers.rights(
        caller, route.role, pushes=route.pushes, provisions=route.provisions
    )
    _check_query(route, request)
    if not route.streams:
        await take_turn(request, caller.user.name)
    body = await read_body(request, caller.user, route.body) if route.body is not None else None
    made = Call(api=api, request=request, caller=caller, body=body, rights=rights)
    async with made.heavy_turn() if route.heavy else nullcontext():
        if body is not None or route.heavy:
            # they may take their time, and the right may have gone meanwhile
            await rights.check()
        with rights.enforced():
            return await route.handler(made)


def _check_query(route: Route, request: web.Request) -> None:
    """Refuse what a misspelt or doubtful parameter would otherwise do unasked. Raises InvalidInputError."""
    known = {each.name: each for each in route.query}
    for name in request.query:
        if name not in known:
            told = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InvalidInputError(name[:40], f"there is no such query parameter here; {told}")
        if len(request.query.getall(name)) > 1:
            raise InvalidInputError(name, "the query parameter is given more than once")
        if known[name].kind is bool:
            _flag(request, name)


def _flag(request: web.Request, name: str) -> bool:
    text = request.query.get(name)
    if text is not None and text.lower() not in _YES | _NO:
        raise InvalidInputError(
            name, f"'{text[:40]}' is neither true nor false: say {name}=true or {name}=false"
        )
    return text is not None and text.lower() in _YES


def check_origin(request: web.Request) -> None:
    """Refuse a change that another site's page makes with credentials which the browser remembers. Raises AccessError.

    Browsers say where such a request comes from; programs say nothing (Fetch standard, 3.2 and Fetch Metadata 2.4).
    """
    if request.method == "GET":
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        # behind a proxy that is not listed as trusted the host may be another than the one that the browser knows, and a
        # page of ours says "null" as its origin, because it sends no referrer
        own = site in {"none", "same-origin"} and (origin in {None, "null"} or _is_https(origin))
    else:
        own = origin is None or (_is_https(origin) and _host(origin.lower()) == _host(request.host.lower()))
    if not own:
        raise AccessError("another site's page may not change anything here", reason=Reason.FORBIDDEN)


def _is_https(origin: str | None) -> bool:
    """Whether an origin is an encrypted page's: anybody on the way can write an unencrypted one, of any host."""
    return origin is not None and origin.lower().startswith("https://")


def _host(origin: str) -> str:
    """Return host and port, without the port that https has anyway."""
    return origin.removeprefix("https://").removesuffix(":443")


async def authenticate(request: web.Request, operations: Operations) -> Caller:
    """Return who is asking: HTTP Basic, or an API token or a client's access token as bearer. Raises AccessError."""
    header = request.headers.get("Authorization", "")
    address = request.remote or ""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer" and rest.strip().startswith(TOKEN_PREFIX):
        return await operations.users.by_token(rest.strip(), address=address)
    if scheme.lower() == "bearer" and rest.strip().startswith(ACCESS_PREFIX):
        return await operations.clients.by_token(rest.strip(), address=address)
    if scheme.lower() == "basic":
        name, password = _basic(rest)
        return await operations.callers.by_password(
            name, password, address=address, connection=request[CONNECTION]
        )
    raise AccessError("sign in with HTTP Basic, or with an API token as 'Authorization: Bearer ...'")


async def read_body(request: web.Request, user: UserRecord, kind: type[T]) -> T:
    """Read a JSON body of this type. Unknown fields are ignored. Raises InvalidInputError naming the field."""
    data = await read_bytes(request, sender_of(user.name, user.role))
    try:
        return await decode_json(data or b"{}", kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(*finding_in(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # the parser's own words may quote what was sent, which may be a key
        raise InvalidInputError("", "the body is not JSON") from error


def _basic(text: str) -> tuple[str, str]:
    """Split the credentials of HTTP Basic (RFC 7617). Raises AccessError."""
    try:
        name, colon, password = b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError as error:
        raise AccessError("the Authorization header cannot be read") from error
    if not colon:
        raise AccessError("the Authorization header has no password")
    return name, password
