"""Connections to the HTTPS endpoint: which are admitted, how long they may idle, and which one makes room.

Decides with `common.runtime.connection_limit`; TLS is asyncio's, HTTP aiohttp's. Owns each connection from
the accept to its end. Invariants: a connection that is not being answered has a deadline, whatever trickles
in on it; and when all seats are taken, it gives its place to an address that holds fewer or, if it is a
stranger's, to a known address.
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
from manager.http.seat_limits import SeatLimits

log = structlog.get_logger(__name__)

CROWDED: Final = "too many connections from one address"
HURRIED: Final = "too many new connections from one address in a short time"
FULL: Final = "too many connections"
DISPLACED: Final = "idle while others needed its place"

TALKATIVE: Final = "too much was sent outside of a body"
HOLLOW: Final = "too much was sent that carries no data"

UNASKED_MAX_BYTES: Final = 64 * 1024
"""How many bytes may come between two answers besides the body: heads of requests, and chunk framing. Three
of the longest fields fit.
"""

UNASKED_SHARE: Final = 4
"""And the body's bytes divided by this: chunks of 64 bytes, the smallest accepted, have an eighth of framing."""

HOLLOW_MAX_BYTES: Final = 20 * 1024
"""How many encrypted bytes between two answers may carry no data, and as many as carry some: a record has up to
16 KiB, of which nothing is seen until its end (RFC 8446 5.2), and one of 22 bytes carries as little as another 22. A
key update (4.6.3) has 27 bytes, and takes as long as a small record of data.
"""

UNREAD_MAX_BYTES: Final = 16 * 1024
"""How much of an answer may wait for its reader before encryption pauses. With asyncio's own 512 KiB, each
stalled connection would keep more than a megabyte.
"""

MANY_MORE: Final = 8
"""A source that holds this many more than another gives up even connections it has just opened."""

SPARED_MOST: Final = 8
"""How many connections a known source keeps for its next request, whoever needs a place. A browser keeps six,
a program a few. Any beyond that are given up as a stranger's are.
"""


def _nothing() -> None:
    """Placeholder until there is something to end."""


def _cancel(task: asyncio.Task[object]) -> None:
    task.cancel()


@dataclass(slots=True, eq=False, kw_only=True)
class Seat(AdmittedConnection):
    """One connection. `end` cuts it, whatever its state."""

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
        """Return a place for a new connection; if there is none, count the refusal and return None."""
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
        """Do the handshake, then hand the connection to the protocol that `make` returns."""
        limits = self.limits
        task = asyncio.current_task()
        if seat.is_over or task is None:
            accepted.close()
            return
        seat.end = partial(_cancel, task)
        # a cancelled task's exception holds this frame, which would hold the task: both would wait for a
        # garbage collection
        del task
        try:
            async with asyncio.timeout(limits.handshake_s):
                turn = await self.handshakes.take_turn(
                    accepted,
                    seat.source,
                    is_known=limits.waits_for_no_stranger(seat.address),
                )
        except OSError:
            # the peer sent nothing, got no turn in time, or disconnected
            accepted.close()
            self.free(seat)
            return
        except BaseException:
            accepted.close()
            self.free(seat)
            raise
        watched = _Watched(self, seat, make)
        try:
            await self.handshakes.handshake(
                accepted,
                contexts,
                watched,
                turn,
                note_decrypted=watched.note_decrypted,
                within_s=limits.handshake_s,
                shutdown_s=limits.shutdown_s,
            )
        except OSError:
            # not TLS, too slow, or disconnected: not the manager's concern
            self.free(seat)
        except BaseException:
            self.free(seat)
            raise
        finally:
            del watched

    def connection_of(self, protocol: asyncio.Protocol) -> "_Watched | None":
        """Return the connection a request arrived on."""
        return self._watched.get(protocol)

    def note_established(self, protocol: asyncio.Protocol, watched: "_Watched") -> None:
        """Record a protocol's connection."""
        self._watched[protocol] = watched

    def note_lost(self, seat: Seat, protocol: asyncio.Protocol) -> None:
        """Note the end of a connection."""
        self._watched.pop(protocol, None)
        self.free(seat)

    def record_proof(self, seat: Seat, now_s: float) -> None:
        """Exempt a connection on which a user authenticated from its source's pace."""
        self._paces.give_back(seat.source, now_s)

    def count_late(self, seat: Seat, why: str) -> None:
        """Count a connection that was cut at its deadline."""
        self._refuse(seat.address, why)

    def _refuse(self, address: str, why: str) -> None:
        self.refused[why] += 1
        log.info("connection.refused", address=address, message=why)


class _Watched(asyncio.Protocol):
    """The protocol of one connection, with deadlines.

    `make` creates the inner protocol once TLS is established.
    """

    __slots__ = (
        "_body",
        "_came_bytes",
        "_decrypted_before_bytes",
        "_decrypted_bytes",
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
        self._decrypted_bytes = self._decrypted_before_bytes = 0
        self._leave: Callable[[], None] = _nothing
        self._has_proven = False
        self.is_first = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline of the first request."""
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
        """Count the bytes and pass them on."""
        self._came_bytes += len(data)
        self._inner.data_received(data)
        # the parser bounds neither a head as a whole nor the data between the chunks of a body
        body_bytes = self._body.total_bytes
        if self._came_bytes - body_bytes > UNASKED_MAX_BYTES + body_bytes // UNASKED_SHARE:
            self._cut(TALKATIVE)

    def note_decrypted(self, total_bytes: int) -> None:
        """Bound what carries no data; `total_bytes` were decrypted since the handshake."""
        self._decrypted_bytes = total_bytes
        hollow_bytes = total_bytes - self._decrypted_before_bytes - self._came_bytes
        if hollow_bytes > HOLLOW_MAX_BYTES + self._came_bytes:
            self._cut(HOLLOW)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on and release the place."""
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
        """Offer the place to others while a request waits; call `leave` when the place is lost."""
        self._leave = leave
        self._seat.yields_at_s = self._loop.time()

    def note_answering(self, body: StreamReader | None = None) -> None:
        """Note that a request with this body is being answered: the place is safe."""
        self._stop()
        self._leave = _nothing
        self._seat.yields_at_s = inf
        if body is not None:
            self._body = body

    def yield_place(self) -> None:
        """Offer the place to others: the manager only waits for the peer to read."""
        self._seat.yields_at_s = self._loop.time()

    def note_proof(self) -> None:
        """Note that a user authenticated on this connection."""
        if not self._has_proven:
            self._has_proven = True
            self._seats.record_proof(self._seat, self._loop.time())

    def note_answered(self) -> None:
        """Note the end of an answer: from now on the place is offered to others."""
        self.is_first = False
        self._body, self._came_bytes = EMPTY_PAYLOAD, 0
        self._decrypted_before_bytes = self._decrypted_bytes
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
