"""The manager's HTTP application as a whole: what holds for every request, whichever route serves it.

Decides how an answer leaves (within a deadline, large ones in pieces), and what becomes of the rest of a body that nobody read: the
connection is closed, and no more of it is taken. Invariant: whatever a request holds (its bytes, its turns) is given back once
its answer has been sent or given up; and a request begins when it is its turn, those of strangers at a pace that leaves the loop to
others.
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
"""A reader may take WRITE_S for an answer, and longer for a long one at this pace."""

LINGER_S: Final = 1.0
LINGER_MAX_BYTES: Final = 64 * 1024
"""What is still taken of a body that was refused, so that its sender can read why: closing at once resets the connection (RFC 9112 9.6)."""

LINGER_READ_BYTES: Final = 1024
"""And how much of it at a time: each byte may be a chunk of its own."""


REQUESTS: Final = Limit(
    what="requests", in_all=64, each=8, waiting_in_all=1000, waiting_each=200, wait_s=30.0
)
"""Requests of users that are served at once, from when they are known to when the answer has been read."""

HEAVY: Final = Limit(
    what="long lists, downloads or uploads", in_all=2, each=1, waiting_in_all=50, waiting_each=10, wait_s=30.0
)
"""Work that takes more than a few milliseconds. More of it at once would be no faster, and slow everything else."""

HEAVY_READING: Final = DutyCycle(burst_s=10.0, share=0.25, rest_max_s=2.0)
"""Of one user, for what changes nothing: a browser's pages, and a program that lists 10,000 certificates each minute, never come near it, and who
does nothing else leaves the interpreter to others for three quarters of the time. What the same user changes waits for a rest, too, but for seconds only."""

READING: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
"""Methods of routes that change nothing (RFC 9110 9.2.1): HEAD is served by what serves GET."""

STRANGERS: Final = Pace(burst=20.0, per_s=50.0, each_burst=60.0, each_per_s=25.0)
"""Requests of those who have proven nothing lately, by source: a page of theirs costs up to a millisecond.

A browser that was never here asks for ten files at once. Who signs in, and who asks for health, waits with them, and never for long: 512
connections are through in 10 s.
"""

REGULARS: Final = Pace(burst=60.0, per_s=100.0, each_burst=60.0, each_per_s=50.0)
"""The same of those who come from where somebody proved a user lately. Somebody else may be there, too, so it is a pace, and whoever guesses
at passwords from there leaves room in it for others."""

USERS: Final = Pace(burst=200.0, per_s=1000.0, each_burst=100.0, each_per_s=300.0)
"""Requests with a credential that proved a user, by user, whatever they ask for: more than can be answered by a store."""


class RequestSeat(Protocol):
    """The connection of a request."""

    @property
    def is_first(self) -> bool:
        """Whether nothing has been answered on it yet."""

    def note_waiting(self, leave: Callable[[], None]) -> None:
        """Note that the request waits for its turn: others may have the place, and `leave` is called if it ends."""

    def note_answering(self) -> None:
        """Note that it is being answered."""

    def yield_place(self) -> None:
        """Note that its answer waits to be read: others may have the place."""

    def note_proof(self) -> None:
        """Note that a user was proven on it."""


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
"""The user whom a request has proven."""


def new_application(proxies: Proxies) -> web.Application:
    """Return the application that everything is mounted in."""
    app = web.Application(middlewares=[proxies.middleware(), _guard])
    app[GUARD] = Guard()
    return app


async def read_bytes(request: web.Request, sender: BodySender) -> bytearray:
    """Read the body of a request (`manager.http.bodies`)."""
    return await request.config_dict[GUARD].bodies.read(request, sender, request[_KEPT])


async def take_turn(request: web.Request, user: str) -> None:
    """Wait until the request of this user, who has proven to be it, may be served; its turn ends with it. Raises OverloadedError."""
    guard = request.config_dict[GUARD]
    guard.known.note(request, user)
    request[_PROVEN] = user
    if (seat := request.get(SEAT)) is not None:
        seat.note_proof()
    await request[_KEPT].enter_async_context(guard.requests.take(user))


def heavy_turn(request: web.Request, user: str) -> AbstractAsyncContextManager[None]:
    """Return a turn for work that takes long. Raises OverloadedError when it is entered."""
    return request.config_dict[GUARD].heavy.take(user, rests=request.method in READING)


def add_route(app: web.Application, method: str, path: str, handler: Handler) -> None:
    """Serve a path by a method. What answers GET answers HEAD as well, as RFC 9110 9.1 has it; aiohttp sends its headers alone."""
    for each in (method, hdrs.METH_HEAD) if method == hdrs.METH_GET else (method,):
        app.router.add_route(each, path, handler, expect_handler=_expect_later)


async def _expect_later(_request: web.Request) -> None:
    """Leave `100 Continue` to whoever reads the body: only then it is known whether it will be."""


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
    """Return the answer to a head that is refused, in a version that is spoken here. It ends the connection: where the message ends is not known."""
    version = max(HttpVersion10, min(request.version, HttpVersion11))
    request._cache["version"] = version  # noqa: SLF001 - which aiohttp writes into the status line
    refusal = web.Response(status=fault.status, text=fault.text)
    refusal.force_close()
    return refusal


async def _wait_for_turn(request: web.Request) -> bool:
    """Wait for the request's turn; false if its connection has ended meanwhile."""
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
        # the reader went
        pass


@asynccontextmanager
async def _turn_to_send(request: web.Request, pieces: InPieces | None) -> AsyncIterator[None]:
    """Send an answer when it is its turn; `pieces` if it is a long one. One that a stranger does not read keeps nobody else out."""
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
    """Give the sender of a refused body a moment to read the answer, and end the connection."""
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
