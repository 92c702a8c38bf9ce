"""HTTP application of the manager: the rules for every request, whichever route serves it.

Decides how an answer is sent (within a deadline, large ones in pieces). If a body was not read to its end,
the connection is closed and no more of it is read. Invariants: everything a request holds (its bytes, its
turns) is released once its answer was sent or abandoned; and a request begins only in its turn, strangers' at
a pace that leaves the loop to others.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, Protocol

from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.typedefs import Handler

from common.source import source_of
from manager.http.bodies import Bodies, BodySender
from manager.http.exception_frames import drop_frames
from manager.http.heads import HeadFault, KnownCredentials, fault_of, weight_of
from manager.http.long_answers import InPieces, LongAnswers, split_long
from manager.http.proxies import Proxies
from manager.http.queueing import DutyCycle, FairQueue, Limit
from manager.http.turnstile import Pace, Turnstile

WRITE_S: Final = 30.0
WRITE_RATE_BYTES_S: Final = 64 * 1024
"""A reader may take WRITE_S for an answer; a long answer gets longer, at this rate."""

LINGER_S: Final = 1.0
LINGER_MAX_BYTES: Final = 64 * 1024
"""How much of a refused body is still read, so that its sender can read the refusal: closing at once resets
the connection (RFC 9112 9.6).
"""

LINGER_READ_BYTES: Final = 1024
"""How many bytes of it at a time: each byte may be a chunk by itself."""


REQUESTS: Final = Limit(
    what="requests", in_all=64, each=8, waiting_in_all=1000, waiting_each=200, wait_s=30.0
)
"""Users' requests served at once, each from its authentication until its answer was read."""

HEAVY: Final = Limit(
    what="long lists, downloads or uploads", in_all=2, each=1, waiting_in_all=50, waiting_each=10, wait_s=30.0
)
"""Work that takes more than a few milliseconds. More of it at once would be no faster, and slow everything
else down.
"""

HEAVY_READING: Final = DutyCycle(burst_s=10.0, share=0.25, rest_max_s=2.0)
"""One user's share for requests that change nothing. A browser, or a program that lists 10,000 certificates
each minute, never comes near it. A user who does nothing else leaves the interpreter to others three quarters
of the time. That user's changes wait for a rest too, but only for seconds.
"""

READING: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
"""Methods of read-only routes (RFC 9110 9.2.1); GET handlers serve HEAD."""

STRANGERS: Final = Pace(burst=20.0, per_s=50.0, each_burst=60.0, each_per_s=25.0)
"""Requests without recent proof of a user, by source. A page for such a request costs up to a millisecond.

A new browser asks for ten files at once. Sign-ins and health checks wait here too, but never for long: 512
connections are served in 10 s.
"""

REGULARS: Final = Pace(burst=60.0, per_s=100.0, each_burst=60.0, each_per_s=50.0)
"""The same for sources from which a user recently authenticated. Other people may be there too, so it is a
pace: an attacker guessing passwords from there leaves room in it for others.
"""

USERS: Final = Pace(burst=200.0, per_s=1000.0, each_burst=100.0, each_per_s=300.0)
"""Requests with a credential that authenticated a user, by user, for any route: more than the store can
answer.
"""


class RequestSeat(Protocol):
    """The connection of a request."""

    @property
    def is_first(self) -> bool:
        """Whether nothing was answered on it yet."""

    def note_waiting(self, leave: Callable[[], None]) -> None:
        """Offer the place to others while the request waits; call `leave` if the connection ends."""

    def note_answering(self) -> None:
        """Note that the request is being answered."""

    def yield_place(self) -> None:
        """Offer the place to others: the answer waits for its reader."""

    def note_proof(self) -> None:
        """Note that a user authenticated on the connection."""


class Guard:
    def __init__(self) -> None:
        self.known = KnownCredentials()
        self.strangers = Turnstile(STRANGERS)
        self.regulars = Turnstile(REGULARS)
        self.long_answers = LongAnswers()
        self.users = Turnstile(USERS)
        self.bodies = Bodies()
        self.requests = FairQueue(REQUESTS)
        self.heavy = FairQueue(HEAVY, HEAVY_READING)


GUARD: Final = web.AppKey("guard", Guard)
SEAT: Final = web.RequestKey("seat", RequestSeat)
_KEPT: Final = web.RequestKey("kept", AsyncExitStack)
_PROVEN: Final = web.RequestKey("proven", str)
"""The user whom a request authenticated."""


def new_application(proxies: Proxies) -> web.Application:
    """Return the application in which everything is mounted."""
    app = web.Application(middlewares=[proxies.middleware(), _guard])
    app[GUARD] = Guard()
    return app


async def read_bytes(request: web.Request, sender: BodySender) -> bytearray:
    """Read the body of a request (`manager.http.bodies`)."""
    return await request.config_dict[GUARD].bodies.read(request, sender, request[_KEPT])


async def take_turn(request: web.Request, user: str) -> None:
    """Wait until this authenticated user's request may be served; its turn ends with the request.

    Raises OverloadedError.
    """
    guard = request.config_dict[GUARD]
    guard.known.note(request, user)
    request[_PROVEN] = user
    if (seat := request.get(SEAT)) is not None:
        seat.note_proof()
    await request[_KEPT].enter_async_context(guard.requests.take(user))


def heavy_turn(request: web.Request, user: str) -> AbstractAsyncContextManager[None]:
    """Return a turn for heavy work. Entering it raises OverloadedError."""
    return request.config_dict[GUARD].heavy.take(user, rests=request.method in READING)


def add_route(app: web.Application, method: str, path: str, handler: Handler) -> None:
    """Serve a path by a method.

    GET handlers answer HEAD too (RFC 9110 9.1); aiohttp then sends the headers only.
    """
    for each in (method, hdrs.METH_HEAD) if method == hdrs.METH_GET else (method,):
        app.router.add_route(each, path, handler, expect_handler=_expect_later)


async def _expect_later(_request: web.Request) -> None:
    """Leave `100 Continue` to the code that reads the body, which alone knows whether it will."""


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    fault = fault_of(request)
    if fault is not None:
        return _refusal(request, fault)
    if not await _wait_for_turn(request):
        return web.Response(status=503)
    async with AsyncExitStack() as kept:
        request[_KEPT] = kept
        try:
            response = await handler(request)
        except web.HTTPException as error:
            await _finish(request, error)
            raise
        await _finish(request, response)
    return response


def _refusal(request: web.Request, fault: HeadFault) -> web.Response:
    """Return the answer to a refused head, in a supported HTTP version.

    It ends the connection, as the end of the message is unknown.
    """
    version = max(HttpVersion10, min(request.version, HttpVersion11))
    request._cache["version"] = version  # noqa: SLF001 - which aiohttp writes into the status line
    refusal = web.Response(status=fault.status, text=fault.text)
    refusal.force_close()
    return refusal


async def _wait_for_turn(request: web.Request) -> bool:
    """Wait for the request's turn; return False if its connection ended meanwhile."""
    guard, seat = request.config_dict[GUARD], request.get(SEAT)
    user = guard.known.find(request)
    source = source_of(request.remote or "")
    if user is not None:
        turnstile, owner = guard.users, user
    else:
        turnstile, owner = guard.regulars if guard.known.has_proven(source) else guard.strangers, source
    turn = turnstile.ask(owner, weight=weight_of(request), is_first=seat is not None and seat.is_first)
    if seat is None or turn.done():
        return await turn
    seat.note_waiting(lambda: turnstile.leave(owner, turn))
    try:
        return await turn
    finally:
        seat.note_answering()


async def _finish(request: web.Request, response: web.StreamResponse) -> None:
    unread = not request.content.is_eof()
    if unread:
        response.force_close()
    await _send(request, response)
    if unread:
        await _linger(request)


async def _send(request: web.Request, response: web.StreamResponse) -> None:
    pieces: InPieces | None = None
    if request.method != hdrs.METH_HEAD and isinstance(response, web.Response):
        pieces = split_long(response)
    size = 0 if pieces is None else len(pieces)
    try:
        async with asyncio.timeout(WRITE_S + size / WRITE_RATE_BYTES_S), _turn_to_send(request, pieces):
            with drop_frames():
                await response.prepare(request)
                await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        # the client disconnected
        pass


@asynccontextmanager
async def _turn_to_send(request: web.Request, pieces: InPieces | None) -> AsyncIterator[None]:
    """Send an answer in its turn; `pieces` for a long one.

    An answer that a stranger does not read blocks no other.
    """
    guard, seat = request.config_dict[GUARD], request.get(SEAT)
    if _PROVEN in request or guard.known.find(request) is not None:
        yield
        return
    if seat is not None:
        seat.yield_place()
    if pieces is None:
        yield
        return
    async with guard.long_answers.turn(pieces, request, seat):
        yield


async def _linger(request: web.Request) -> None:
    """Give the sender of a refused body a moment to read the answer, then close the connection."""
    taken = 0
    try:
        async with asyncio.timeout(LINGER_S):
            while taken <= LINGER_MAX_BYTES and not request.content.at_eof():
                taken += len(await request.content.read(LINGER_READ_BYTES))
                await asyncio.sleep(0)
            if not request.content.at_eof() and request.transport is not None:
                request.transport.pause_reading()
                await asyncio.sleep(LINGER_S)
    except (TimeoutError, ConnectionError, web.RequestPayloadError):
        pass
    if request.transport is not None and not request.content.at_eof():
        request.transport.abort()
