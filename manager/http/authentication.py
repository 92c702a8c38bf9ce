"""Authentication gate of all front ends: the origin of a request, its user, and the moment it is served.

Decides the order: origin, credentials (the front end then checks the role), a turn, the body within its
limits, a turn for heavy work, and a last check that the user still has the right. Invariant: a handler
changes data only while the caller still has the right. The transaction itself checks this.
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
    """The dependencies of the API handlers."""

    use_cases: UseCases
    fleet: FleetView


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingTerms:
    """The admitted caller and the terms of admission.

    `user` is charged for the turns; it is None for an anonymous caller, who takes none. `rights` restrict
    changes; None means that everyone may make them. `recheck` repeats the authorisation after a wait. A
    long-lived request (a stream) takes no turn.
    """

    user: str | None
    rights: Rights | None
    recheck: Callable[[], Awaitable[None]]
    takes_turn: bool


async def identify(request: web.Request, use_cases: UseCases) -> Caller:
    """Return the user a request's credentials prove.

    Credentials sent by another site's page are ignored. Raises AccessError.
    """
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
    """Serve an admitted request: its turns, its body (`read` returns None if there is none), its rights.

    Raises CertcastError.
    """
    if admission.user is not None and admission.takes_turn:
        await take_turn(request, admission.user)
    body = await read()
    heavy = is_heavy(body)
    async with heavy_turn(request, admission.user) if heavy and admission.user else nullcontext():
        if body is not None or heavy:
            # reading may take long, and the right may have been revoked meanwhile
            await admission.recheck()
        with nullcontext() if admission.rights is None else admission.rights.enforced():
            return await handle(body)


def check_origin(request: web.Request) -> None:
    """Refuse a change made by another site's page with credentials the browser remembers. Raises AccessError.

    Browsers state the origin of such a request; other programs do not (Fetch standard, 3.2 and Fetch Metadata
    2.4).
    """
    if request.method in READING:
        return
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None:
        # Behind a proxy that is not listed as trusted, the host may differ from the one the browser knows.
        # Our own pages send "null" as their origin because they send no referrer.
        own = site in {"none", "same-origin"} and (origin in {None, "null"} or _is_https(origin))
    else:
        own = origin is None or (_is_https(origin) and _host(origin.lower()) == _host(request.host.lower()))
    if not own:
        raise AccessError("a page of another site may not change anything here", reason=Reason.FORBIDDEN)


def _is_https(origin: str | None) -> bool:
    """Whether an origin is an encrypted page's.

    An attacker on the network can forge an unencrypted page of any host.
    """
    return origin is not None and origin.lower().startswith("https://")


def _host(origin: str) -> str:
    """Return host and port, without the default https port."""
    return origin.removeprefix("https://").removesuffix(":443")


async def _authenticate(request: web.Request, use_cases: UseCases) -> Caller:
    """Return the user, from HTTP Basic, an API token or a client's access token as bearer.

    Raises AccessError.
    """
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
