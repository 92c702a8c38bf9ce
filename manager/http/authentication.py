"""The one gate of all front ends: where a request comes from, who makes it, and when it is served.

Decides the order: origin, credentials (a front end then checks the role), a turn, the body within its limits, a turn for what takes
long, and whether the right is still held when what was waited for is there. Invariant: what a handler changes is changed only while
the caller still has the right, which is asked in the transaction itself.
"""

from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

from aiohttp import web

from common.errors import AccessError, Reason
from manager.domain.callers import Caller
from manager.http.middleware import READING, heavy_turn, take_turn
from manager.http.proxies import CONNECTION
from manager.usecases.clients import ACCESS_PREFIX
from manager.usecases.ports import FleetView
from manager.usecases.rights import Rights
from manager.usecases.usecases import UseCases
from manager.usecases.users import TOKEN_PREFIX

B = TypeVar("B")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the APIs work with."""

    use_cases: UseCases
    fleet: FleetView


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingTerms:
    """Who was let in, and on which terms.

    `user` is whose turns it takes, None for a stranger, who takes none. `rights` bind what is changed, None where anybody may ask.
    `recheck` asks again, after a wait, whether who asked may go on. A request that lasts (a stream) takes no turn.
    """

    user: str | None
    rights: Rights | None
    recheck: Callable[[], Awaitable[None]]
    takes_turn: bool


async def identify(request: web.Request, use_cases: UseCases) -> Caller:
    """Return who sends a request with credentials; a page of another site sends none that are looked at. Raises AccessError."""
    check_origin(request)
    return await _authenticate(request, use_cases)


async def serve_admitted(
    request: web.Request,
    admission: ServingTerms,
    *,
    read: Callable[[], Awaitable[B]],
    is_heavy: Callable[[B], bool],
    handle: Callable[[B], Awaitable[R]],
) -> R:
    """Serve a request that was admitted: its turns, its body (`read` returns None where there is none), its rights. Raises CertcastError."""
    if admission.user is not None and admission.takes_turn:
        await take_turn(request, admission.user)
    body = await read()
    heavy = is_heavy(body)
    async with heavy_turn(request, admission.user) if heavy and admission.user else nullcontext():
        if body is not None or heavy:
            # they may take their time, and the right may have gone meanwhile
            await admission.recheck()
        with nullcontext() if admission.rights is None else admission.rights.enforced():
            return await handle(body)


def check_origin(request: web.Request) -> None:
    """Refuse a change that another site's page makes with credentials which the browser remembers. Raises AccessError.

    Browsers say where such a request comes from; programs say nothing (Fetch standard, 3.2 and Fetch Metadata 2.4).
    """
    if request.method in READING:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        # behind a proxy that is not listed as trusted the host may be another than the one that the browser knows, and a
        # page of ours says "null" as its origin, because it sends no referrer
        own = site in {"none", "same-origin"} and (origin in {None, "null"} or _is_https(origin))
    else:
        own = origin is None or (_is_https(origin) and _host(origin.lower()) == _host(request.host.lower()))
    if not own:
        raise AccessError("a page of another site may not change anything here", reason=Reason.FORBIDDEN)


def _is_https(origin: str | None) -> bool:
    """Whether an origin is an encrypted page's: anybody on the way can write an unencrypted one, of any host."""
    return origin is not None and origin.lower().startswith("https://")


def _host(origin: str) -> str:
    """Return host and port, without the port that https has anyway."""
    return origin.removeprefix("https://").removesuffix(":443")


async def _authenticate(request: web.Request, use_cases: UseCases) -> Caller:
    """Return who is asking: HTTP Basic, or an API token or a client's access token as bearer. Raises AccessError."""
    header = request.headers.get("Authorization", "")
    address = request.remote or ""
    scheme, _, rest = header.partition(" ")
    if scheme.lower() == "bearer" and rest.strip().startswith(TOKEN_PREFIX):
        return await use_cases.users.by_token(rest.strip(), address=address)
    if scheme.lower() == "bearer" and rest.strip().startswith(ACCESS_PREFIX):
        return await use_cases.clients.by_token(rest.strip(), address=address)
    if scheme.lower() == "basic":
        name, password = _basic(rest)
        return await use_cases.callers.by_password(
            name, password, address=address, connection=request[CONNECTION]
        )
    raise AccessError("sign in with HTTP Basic, or with an API token as 'Authorization: Bearer ...'")


def _basic(text: str) -> tuple[str, str]:
    """Split the credentials of HTTP Basic (RFC 7617). Raises AccessError."""
    try:
        name, colon, password = b64decode(text.strip(), validate=True).decode().partition(":")
    except ValueError as error:
        raise AccessError("the Authorization header cannot be read") from error
    if not colon:
        raise AccessError("the Authorization header has no password")
    return name, password
