"""Connections to the HTTPS endpoint: who is let in, for how long nothing may be asked, and who goes when all places are taken.

Decides with `common.runtime.connection_limit`; TLS is asyncio's, HTTP aiohttp's. Owns each connection from the accept to its end. Invariants: a
connection that is not being answered has a deadline, whatever trickles in on it; and it gives its place to one of an address that
holds fewer, or, a stranger's, to one of an address that is known.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Final

import structlog
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from common.runtime.buckets import Buckets
from common.runtime.connection_limit import AdmittedConnection, ConnectionLimit
from common.source import source_of
from manager.http.handshakes import Handshakes, ServerContexts

log = structlog.get_logger(__name__)

CROWDED: Final = "too many connections from one address"
HURRIED: Final = "too many new connections from one address in a short time"
FULL: Final = "too many connections"
DISPLACED: Final = "idle while others needed its place"

TALKATIVE: Final = "too much was sent outside of a body"

UNASKED_MAX_BYTES: Final = 64 * 1024
"""What may come between two answers beside the body: heads of requests, and how a body is chunked. Three of the longest fields fit."""

UNASKED_SHARE: Final = 4
"""And as much as a body's bytes divided by this: one in chunks of 64 bytes, the smallest that are read, has an eighth of them."""

UNREAD_MAX_BYTES: Final = 16 * 1024
"""Of an answer, how much may wait for its reader before no more is encrypted. asyncio's own 512 KiB let each connection that reads nothing
keep more than a megabyte."""

MANY_MORE: Final = 8
"""A source that holds so many more than another gives up even those that it has just opened."""

SPARED_MOST: Final = 8
"""So many connections of a source that is known stay for the next request, whoever needs a place: a browser keeps six, and a program a few. Who is known and keeps more
gives them up as others do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeatLimits:
    """What connections may take.

    Attributes:
        total: connections at once.
        per_source: of these, from one address; a proxy or an office is one.
        pace_burst, pace_per_s: new connections from one address on which no user proves who it is; when their handshakes begin is
            `manager.http.handshakes`' word.
        handshake_s: from the accept until a handshake begins, and from there until TLS is established.
        request_s: from there until the first request's headers are whole.
        idle_s: from the end of an answer until the next request's headers are whole.
        shutdown_s: for the peer to confirm the end of TLS.
        is_proxy: whether a trusted proxy is at an address; its pace is that of all who are behind it, and not bounded here.
        is_known: whether nodes, or users who proved it lately, come from a source; handshakes from there wait for no stranger's, and a place is taken from one.
        grace_s: for how long a new connection keeps its place in any case but of `MANY_MORE`.
    """

    total: int = 512
    per_source: int = 256
    pace_burst: float = 256.0
    pace_per_s: float = 60.0
    handshake_s: float = 10.0
    request_s: float = 10.0
    idle_s: float = 30.0
    shutdown_s: float = 2.0
    grace_s: float = 1.0
    is_proxy: Callable[[str], bool]
    is_known: Callable[[str], bool]


def _nothing() -> None:
    """Stand in until there is something to end."""


def _cancel(task: asyncio.Task[object]) -> None:
    task.cancel()


@dataclass(slots=True, eq=False, kw_only=True)
class Seat(AdmittedConnection):
    """One connection. `end` cuts it, in whatever state it is."""

    address: str
    is_over: bool = False
    end: Callable[[], None] = _nothing


class HttpsSeats:
    def __init__(self, limits: SeatLimits) -> None:
        self.limits = limits
        self.handshakes = Handshakes()
        self.refused: Counter[str] = Counter()
        self._connections: ConnectionLimit[Seat] = ConnectionLimit(
            total=limits.total, per_source=limits.per_source
        )
        self._paces: Buckets[str] = Buckets(burst=limits.pace_burst, per_s=limits.pace_per_s)
        self._watched: dict[asyncio.Protocol, _Watched] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def take(self, address: str, now_s: float) -> Seat | None:
        """Return a place for a new connection; None, and the refusal is counted, if there is none."""
        source = source_of(address)
        if not self.limits.is_proxy(address) and not self._paces.take(source, now_s):
            self._refuse(address, HURRIED)
            return None
        if not self._connections.has_room_for(source):
            goes = self._first_to_go(source, now_s)
            if goes is None:
                is_crowded = self._connections.held_by(source) >= self.limits.per_source
                self._refuse(address, CROWDED if is_crowded else FULL)
                return None
            self._refuse(goes.address, DISPLACED)
            goes.end()
            self.free(goes)
        seat = Seat(source=source, address=address, yields_at_s=now_s + self.limits.grace_s)
        self._connections.take(seat)
        return seat

    def _first_to_go(self, source: str, now_s: float) -> Seat | None:
        limit, is_known = self._connections, self.limits.is_known

        def is_spared(other: str) -> bool:
            return limit.held_by(other) <= SPARED_MOST and is_known(other)

        goes = limit.first_to_go(source, now_s, is_spared=is_spared) or limit.first_to_go(
            source, now_s + self.limits.grace_s, over=MANY_MORE, is_spared=is_spared
        )
        if goes is None and is_known(source):
            goes = limit.first_stranger_to_go(source, is_known)
        return goes

    def free(self, seat: Seat) -> None:
        """Note that a connection is over."""
        seat.is_over, seat.end = True, _nothing
        self._connections.free(seat)

    async def serve(
        self,
        seat: Seat,
        accepted: socket.socket,
        contexts: ServerContexts,
        make: Callable[[], asyncio.Protocol],
    ) -> None:
        """Shake hands, and leave the connection to the protocol that `make` makes."""
        limits = self.limits
        task = asyncio.current_task()
        if seat.is_over or task is None:
            accepted.close()
            return
        seat.end = partial(_cancel, task)
        # a task that is cancelled keeps the exception, which has this frame: with the task in it, both would wait for a collection of garbage
        del task
        try:
            async with asyncio.timeout(limits.handshake_s):
                turn = await self.handshakes.take_turn(
                    accepted,
                    seat.source,
                    is_known=limits.is_proxy(seat.address) or limits.is_known(seat.source),
                )
        except OSError:
            # nothing came, no turn in time, or gone
            accepted.close()
            self.free(seat)
            return
        except BaseException:
            accepted.close()
            self.free(seat)
            raise
        try:
            await self.handshakes.handshake(
                accepted,
                contexts,
                _Watched(self, seat, make),
                turn,
                within_s=limits.handshake_s,
                shutdown_s=limits.shutdown_s,
            )
        except OSError:
            # no TLS, no time, or gone: strangers' affairs
            self.free(seat)
        except BaseException:
            self.free(seat)
            raise

    def connection_of(self, protocol: asyncio.Protocol) -> "_Watched | None":
        """Return the connection on which a request has come."""
        return self._watched.get(protocol)

    def note_established(self, protocol: asyncio.Protocol, watched: "_Watched") -> None:
        """Note on which connection a protocol is."""
        self._watched[protocol] = watched

    def note_lost(self, seat: Seat, protocol: asyncio.Protocol) -> None:
        """Note the end of a connection."""
        self._watched.pop(protocol, None)
        self.free(seat)

    def record_proof(self, seat: Seat, now_s: float) -> None:
        """Stop counting a connection on which a user was proven for the pace of its source."""
        self._paces.give_back(seat.source, now_s)

    def count_late(self, seat: Seat, why: str) -> None:
        """Count a connection that was cut for its deadline."""
        self._refuse(seat.address, why)

    def _refuse(self, address: str, why: str) -> None:
        self.refused[why] += 1
        log.info("connection.refused", address=address, message=why)


class _Watched(asyncio.Protocol):
    """The protocol of one connection with a clock around it; `make` makes it once TLS is established."""

    __slots__ = (
        "_body",
        "_came_bytes",
        "_has_proven",
        "_inner",
        "_leave",
        "_loop",
        "_make",
        "_seat",
        "_seats",
        "_timer",
        "_transport",
        "is_first",
    )

    def __init__(self, seats: HttpsSeats, seat: Seat, make: Callable[[], asyncio.Protocol]) -> None:
        self._seats, self._seat, self._make = seats, seat, make
        self._inner = asyncio.Protocol()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._came_bytes = 0
        self._leave: Callable[[], None] = _nothing
        self._has_proven = False
        self.is_first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the first request."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        transport.set_write_buffer_limits(UNREAD_MAX_BYTES)
        self._seat.end = transport.abort
        if self._seat.is_over:
            transport.abort()
        self._expect(self._seats.limits.request_s, "no complete request arrived")
        self._inner = self._make()
        self._seats.note_established(self._inner, self)
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count, and pass on."""
        self._came_bytes += len(data)
        self._inner.data_received(data)
        # the parser has no limit for a head as a whole, nor for what stands between the chunks of a body
        body_bytes = self._body.total_bytes
        if self._came_bytes - body_bytes > UNASKED_MAX_BYTES + body_bytes // UNASKED_SHARE:
            self._cut(TALKATIVE)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on, and give the place back."""
        self._stop()
        self._leave()
        inner, self._inner = self._inner, asyncio.Protocol()
        self._seats.note_lost(self._seat, inner)
        inner.connection_lost(exc)

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def note_waiting(self, leave: Callable[[], None]) -> None:
        """Note that a request waits for its turn: the place is others' who need it, and `leave` is called when it is gone."""
        self._leave = leave
        self._seat.yields_at_s = self._loop.time()

    def note_answering(self, body: StreamReader | None = None) -> None:
        """Note that a request, with this body, is being answered: the place is safe."""
        self._stop()
        self._leave = _nothing
        self._seat.yields_at_s = inf
        if body is not None:
            self._body = body

    def yield_place(self) -> None:
        """Note that only the peer is waited for, to read: the place is others' who need it."""
        self._seat.yields_at_s = self._loop.time()

    def note_proof(self) -> None:
        """Note that a user was proven on this connection."""
        if not self._has_proven:
            self._has_proven = True
            self._seats.record_proof(self._seat, self._loop.time())

    def note_answered(self) -> None:
        """Note that it was answered: from now on the place is others' who need it."""
        self.is_first = False
        self._body, self._came_bytes = EMPTY_PAYLOAD, 0
        self._seat.yields_at_s = self._loop.time()
        self._expect(self._seats.limits.idle_s, "idle for too long")

    def _expect(self, within_s: float, why: str) -> None:
        self._stop()
        if not self._seat.is_over:
            self._timer = self._loop.call_later(within_s, self._cut, why)

    def _cut(self, why: str) -> None:
        self._seats.count_late(self._seat, why)
        if self._transport is not None:
            self._transport.abort()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
