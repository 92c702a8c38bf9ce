"""Handshakes of TLS: when each begins, and where it is worked on, so that they leave the event loop to everything else.

With an RSA key of 4096 bits a handshake takes milliseconds, so that a few of the strangers' connections would else take the whole loop.
They are worked on in a thread, where the library computes without the interpreter's lock, and are let in at the pace of a part of a
core, by what one costs with the certificate that is shown, which is measured when that is loaded. Only a few are at work at once, so that
who is taken to be honest, and has a pace that no stranger uses up, waits for few. Invariants: a connection on which nothing has come takes
no turn and no memory of TLS; while a thread works on one, nothing else touches it.
"""

import asyncio
import socket
import ssl
import time
from asyncio import sslproto
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from manager.http.turnstile import Pace, Turnstile

SHARES: Final = Pace(burst=1.5, per_s=0.4, each_burst=1.2, each_per_s=0.3)
"""Of a core: seconds at once, and then seconds a second, for all handshakes and for those of one source; strangers have so much, and who is
taken to be honest has as much again. With 4096 bits of RSA, the longest keys that are common, a source may begin fifty a second of the sixty
connections that it may open (`manager.http.seats`)."""

UNMEASURED_S: Final = 0.005
"""What a handshake is taken to cost before a certificate is shown: with 4096 bits of RSA."""

OVERHEAD_S: Final = 0.001
"""What a connection costs besides the key's work: its objects, and two or three turns of the loop."""

AT_ONCE: Final = 2
"""Handshakes of either between their turn and their first answer, which costs nearly all: one is computed, and the others are read, accepted
and answered by the loop meanwhile. What waits beyond that waits where it can be overtaken."""

READ_BYTES: Final = 32 * 1024
"""Read at once from one connection; asyncio's own 256 KiB would keep the loop for long. A record has 16 KiB (RFC 8446 5.1)."""

REFUSED_S: Final = 0.0002
"""What is no TLS is refused without the key's work."""

HANDSHAKE: Final = b"\x16\x03"
"""How a record of a handshake begins (RFC 8446 5.1)."""

_ROUNDS_MAX: Final = 8
_MEASUREMENTS: Final = 2


class Handshakes:
    """`cost_s` is what one costs now."""

    def __init__(self) -> None:
        self.cost_s = UNMEASURED_S
        self._strangers = Turnstile(SHARES, newest_first=True, at_once=AT_ONCE)
        self._regulars = Turnstile(SHARES, newest_first=True, at_once=AT_ONCE)
        self._thread = ThreadPoolExecutor(1, "handshakes")
        # one for all connections: it is read from in the same turn of the loop that fills it
        self._buffer = memoryview(bytearray(READ_BYTES))
        # what a connection reads of its decrypted bytes in one go; read when one is made, and there is no other way to say it
        sslproto.SSLProtocol.max_size = READ_BYTES

    def close(self) -> None:
        """Begin no more."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def handshake(
        self,
        accepted: socket.socket,
        contexts: "ServerContexts",
        protocol: asyncio.Protocol,
        turn: "HandshakeTurn",
        *,
        within_s: float,
        shutdown_s: float,
    ) -> None:
        """Shake hands, and leave the connection to the protocol; ends the turn. Raises OSError, with the connection closed."""
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        tls = _Tls(
            loop,
            protocol,
            contexts.context(),
            waiter,
            server_side=True,
            ssl_handshake_timeout=within_s,  # type: ignore[arg-type] # a float will do
            ssl_shutdown_timeout=shutdown_s,
        )
        tls.share(self._thread, self._buffer, turn, contexts.shown)
        try:
            transport, _ = await loop.connect_accepted_socket(partial(_given, tls), accepted)
            try:
                await waiter
            except BaseException:
                tls.cut()
                transport.abort()
                raise
        finally:
            turn.end()
            # a handshake that fails leaves an exception, which has this frame: what is in it would wait for a collection of garbage
            del tls, waiter, protocol

    async def take_turn(self, accepted: socket.socket, source: str, *, is_known: bool) -> "HandshakeTurn":
        """Wait until something has come on a connection, and then for its turn; whoever has it ends it."""
        await _something_came(accepted)
        begins = accepted.recv(len(HANDSHAKE), socket.MSG_PEEK)
        weight = self.cost_s if begins and HANDSHAKE.startswith(begins) else REFUSED_S
        turnstile = self._regulars if is_known else self._strangers
        turn = turnstile.ask(source, weight=weight, is_first=True)
        try:
            await turn
        except asyncio.CancelledError:
            turnstile.leave(source, turn)
            if not turn.cancelled() and turn.result():
                turnstile.end()
            raise
        return HandshakeTurn(turnstile)


class ServerContexts:
    """What the endpoint shows: `shown` has the certificate, and is None until there is one.

    Connections begin with another context, which holds no certificate, and take that of `shown` before their handshake. What TLS 1.2 keeps
    of a session it keeps in the context that the connection began with, and Python has no word to keep nothing: so nobody begins with one
    that has kept a session, and it goes with the last connection that did. Else a client could resume, and believe in the certificate
    of before; and 20,000 sessions take 100 MB for hours.
    The server's name that a client sends is never looked at, since Python writes what is not ASCII text to the log.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext]) -> None:
        self._make = make
        self._unused = make()
        self.shown: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return what the next connection begins with."""
        if self._unused.session_stats()["number"]:
            self._unused = self._make()
        return self._unused


class HandshakeTurn:
    """The turn of one connection."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile: Turnstile | None = turnstile

    def end(self) -> None:
        """Give it up, so that another begins. Harmless if it has ended."""
        if self._turnstile is not None:
            turnstile, self._turnstile = self._turnstile, None
            turnstile.end()


class _Tls(sslproto.SSLProtocol):
    """asyncio's TLS, whose handshake is worked on in `thread`."""

    if TYPE_CHECKING:  # what the library's class has, and its types do not tell
        _loop: asyncio.AbstractEventLoop
        _transport: asyncio.Transport
        _incoming: ssl.MemoryBIO
        _ssl_buffer: bytearray | memoryview
        _ssl_buffer_view: memoryview
        _sslobj: ssl.SSLObject
        _state: object

        def _process_outgoing(self) -> None: ...

    thread: ThreadPoolExecutor
    turn: HandshakeTurn
    _shown: ssl.SSLContext | None = None
    _is_away = False
    _lost: tuple[BaseException | None] | None = None

    def share(
        self,
        thread: ThreadPoolExecutor,
        buffer: memoryview,
        turn: HandshakeTurn,
        shown: ssl.SSLContext | None,
    ) -> None:
        """Use what all connections share: the thread of handshakes, what is read into instead of a buffer of its own, turns, the certificate."""
        self.thread, self.turn, self._shown = thread, turn, shown
        self._ssl_buffer = self._ssl_buffer_view = buffer

    def _do_handshake(self) -> None:
        if self._shown is not None:
            self._sslobj.context, self._shown = self._shown, None
        if not self._incoming.pending:
            super()._do_handshake()  # type: ignore[misc] # its types do not tell
            return
        self._is_away = True
        self._transport.pause_reading()
        working = self._loop.run_in_executor(self.thread, self._sslobj.do_handshake)
        working.add_done_callback(self._is_back)

    def _is_back(self, worked: asyncio.Future[None]) -> None:
        self._is_away = False
        self.turn.end()
        # taken even where nobody waits for it: the loop would log it
        found = None if worked.cancelled() else worked.exception()
        if self._lost is not None:
            super().connection_lost(*self._lost)
            return
        if self._state is not sslproto.SSLProtocolState.DO_HANDSHAKE or worked.cancelled():
            return
        self._transport.resume_reading()
        match found:
            case ssl.SSLWantReadError() | ssl.SSLSyscallError():
                self._process_outgoing()
            case error:
                self._on_handshake_complete(error)

    def _wakeup_waiter(self, exc: BaseException | None = None) -> None:
        if exc is not None:
            # it has been raised in a frame that has it: both would wait for a collection of garbage
            exc.__traceback__ = None
        super()._wakeup_waiter(exc)

    def cut(self) -> None:
        """End what the protocol has of the connection, where its handshake was over already."""
        if self._app_transport is not None:
            self._app_transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Wait with what reads the thread's buffers until it is back."""
        if self._is_away:
            self._lost = (exc,)
        else:
            super().connection_lost(exc)


def _given(tls: _Tls) -> _Tls:
    return tls


async def _something_came(accepted: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    # by its number: of a socket the loop makes a text for an error that it then drops, with two calls of the system
    number = accepted.fileno()
    loop.add_reader(number, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(number)


def measure(context: ssl.SSLContext) -> float:
    """Return the seconds of CPU that a server's side of a handshake takes with this context. Blocking, for milliseconds."""
    return OVERHEAD_S + min(_measure(context) for _ in range(_MEASUREMENTS))


def _measure(context: ssl.SSLContext) -> float:
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = anybody.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    spent_s = 0.0
    with suppress(ssl.SSLError):
        for _ in range(_ROUNDS_MAX):
            with suppress(ssl.SSLWantReadError):
                client.do_handshake()
            started_s = time.thread_time()
            with suppress(ssl.SSLWantReadError):
                server.do_handshake()
                return spent_s + time.thread_time() - started_s
            spent_s += time.thread_time() - started_s
    return UNMEASURED_S
