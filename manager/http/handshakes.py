"""TLS handshakes: when each begins, and the thread that computes it off the event loop.

With an RSA key of 4096 bits a handshake takes milliseconds, so a few strangers' connections would take the
whole loop. A thread computes them, where the library works without the interpreter's lock. They are admitted
at the pace of a fraction of a core, by the cost of one handshake, measured when the certificate is loaded.
Only a few are computed at once, so a known peer, who has a separate pace, waits for few. Invariants: a
connection that has sent nothing takes no turn and no TLS memory; while a thread works on a connection,
nothing else touches it.
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
"""Seconds of CPU at once, then seconds per second, for all handshakes and for those of one source. Strangers
have this much and known peers as much again. With 4096 bits of RSA, the longest common keys, a source may
begin fifty a second of the sixty connections it may open (`manager.http.seats`).
"""

UNMEASURED_S: Final = 0.005
"""The assumed cost of a handshake before a certificate is loaded: that of 4096 bits of RSA."""

OVERHEAD_S: Final = 0.001
"""The cost of a connection besides the key operation: its objects, and two or three turns of the loop."""

AT_ONCE: Final = 2
"""How many handshakes of each kind may be between their turn and their first answer, where nearly all of the
cost arises. One is computed; meanwhile the loop reads, accepts and answers the others. Any further ones wait
where they can be overtaken.
"""

READ_BYTES: Final = 32 * 1024
"""How many bytes are read at once from one connection. asyncio's own 256 KiB would block the loop for long. A
record has 16 KiB (RFC 8446 5.1).
"""

ROUNDS_MAX: Final = 16
"""How often the data of one handshake may arrive before the connection is cut: each time costs a turn of the thread.
A handshake has two messages of the peer, in a few segments each.
"""

PIECE_BYTES: Final = 4 * 1024
"""How much of what was read is decrypted before it is seen whether that carried anything."""

REFUSED_S: Final = 0.0002
"""Data that is not TLS is refused before the key is used."""

HANDSHAKE: Final = b"\x16\x03"
"""The first two bytes of a handshake record (RFC 8446 5.1)."""

_ROUNDS_MAX: Final = 8
_MEASUREMENTS: Final = 2


class Handshakes:
    """The handshakes of one endpoint. `cost_s` is the current cost of one."""

    def __init__(self) -> None:
        self.cost_s = UNMEASURED_S
        self._strangers = Turnstile(SHARES, newest_first=True, at_once=AT_ONCE)
        self._regulars = Turnstile(SHARES, newest_first=True, at_once=AT_ONCE)
        self._thread = ThreadPoolExecutor(1, "handshakes")
        # shared by all connections: the loop reads it in the turn in which it fills it
        self._buffer = memoryview(bytearray(READ_BYTES))
        # How much decrypted data a connection reads at once. asyncio reads this only when a connection is
        # made and has no parameter for it.
        sslproto.SSLProtocol.max_size = READ_BYTES

    def close(self) -> None:
        """Begin no more handshakes."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def handshake(
        self,
        accepted: socket.socket,
        contexts: "ServerContexts",
        protocol: asyncio.Protocol,
        turn: "HandshakeTurn",
        *,
        note_decrypted: Callable[[int], None],
        within_s: float,
        shutdown_s: float,
    ) -> None:
        """Do the handshake, hand the connection to the protocol and end the turn.

        After each read, `note_decrypted` is given how many bytes were decrypted since the handshake.
        Raises OSError, with the connection closed.
        """
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
        tls.share(self._thread, self._buffer, turn, contexts.shown, note_decrypted)
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
            # a failed handshake's exception holds this frame, whose contents would wait for a garbage
            # collection
            del tls, waiter, protocol, note_decrypted

    async def take_turn(self, accepted: socket.socket, source: str, *, is_known: bool) -> "HandshakeTurn":
        """Wait for the first bytes on a connection, then for its turn. The caller ends the turn."""
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
    """The TLS contexts of the endpoint. `shown` has the certificate; it is None until there is one.

    A connection begins with another context, without a certificate, and switches to `shown` before its
    handshake. TLS 1.2 caches sessions in the context the connection began with, and Python cannot turn that
    cache off. So no connection begins with a context that has cached a session; such a context goes with its
    last connection. Otherwise a client could resume and trust the former certificate, and 20,000 sessions
    would hold 100 MB for hours.

    The server name a client sends is never examined, because Python logs a name that is not ASCII.
    """

    def __init__(self, make: Callable[[], ssl.SSLContext]) -> None:
        self._make = make
        self._unused = make()
        self.shown: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Return the context for the next connection."""
        if self._unused.session_stats()["number"]:
            self._unused = self._make()
        return self._unused


class HandshakeTurn:
    """The turn of one connection."""

    def __init__(self, turnstile: Turnstile) -> None:
        self._turnstile: Turnstile | None = turnstile

    def end(self) -> None:
        """End the turn, so that another handshake may begin. Idempotent."""
        if self._turnstile is not None:
            turnstile, self._turnstile = self._turnstile, None
            turnstile.end()


class _Tls(sslproto.SSLProtocol):
    """asyncio's TLS, with the handshake computed in `thread`."""

    if TYPE_CHECKING:  # attributes of the library's class that its types omit
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
    _note_decrypted: Callable[[int], None]
    _read_bytes = 0
    _rounds = 0
    _is_away = False
    _lost: tuple[BaseException | None] | None = None

    def share(
        self,
        thread: ThreadPoolExecutor,
        buffer: memoryview,
        turn: HandshakeTurn,
        shown: ssl.SSLContext | None,
        note_decrypted: Callable[[int], None],
    ) -> None:
        """Set the shared resources: the handshake thread, the read buffer, the turn and the certificate."""
        self.thread, self.turn, self._shown = thread, turn, shown
        self._note_decrypted = note_decrypted
        self._ssl_buffer = self._ssl_buffer_view = buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Decrypt what was read, in pieces: key updates would keep the loop for long before they are counted."""
        if self._state is sslproto.SSLProtocolState.DO_HANDSHAKE:
            # the thread may have the first piece already
            self._read_bytes += nbytes
            super().buffer_updated(nbytes)
            return
        view = self._ssl_buffer_view
        for begin in range(0, nbytes, PIECE_BYTES):
            self._ssl_buffer_view = view[begin : min(begin + PIECE_BYTES, nbytes)]
            self._read_bytes += len(self._ssl_buffer_view)
            super().buffer_updated(len(self._ssl_buffer_view))
        self._ssl_buffer_view = view

    def _do_read(self) -> None:
        """Say how much was decrypted: key updates and empty records reach no protocol."""
        super()._do_read()  # type: ignore[misc] # its types do not tell
        self._note_decrypted(self._read_bytes - self._incoming.pending)

    def _do_handshake(self) -> None:
        if self._shown is not None:
            self._sslobj.context, self._shown = self._shown, None
        if not self._incoming.pending:
            super()._do_handshake()  # type: ignore[misc] # its types do not tell
            return
        self._rounds += 1
        if self._rounds > ROUNDS_MAX:
            self._on_handshake_complete(ssl.SSLError("the handshake came in too many pieces"))
            return
        self._is_away = True
        self._transport.pause_reading()
        working = self._loop.run_in_executor(self.thread, self._sslobj.do_handshake)
        working.add_done_callback(self._is_back)

    def _is_back(self, worked: asyncio.Future[None]) -> None:
        self._is_away = False
        self.turn.end()
        # retrieve the exception even if nothing awaits it: the loop would log it
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

    def _on_handshake_complete(self, handshake_exc: BaseException | None) -> None:
        # only what follows is counted
        self._read_bytes = self._incoming.pending
        super()._on_handshake_complete(handshake_exc)

    def _wakeup_waiter(self, exc: BaseException | None = None) -> None:
        if exc is not None:
            # the exception's frame refers to it: both would wait for a garbage collection
            exc.__traceback__ = None
        super()._wakeup_waiter(exc)

    def cut(self) -> None:
        """Disconnect the protocol if its handshake was already done."""
        if self._app_transport is not None:
            self._app_transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Delay the cleanup, which reads the thread's buffers, until the thread is done."""
        # it refers back to this connection
        self._note_decrypted = _ignore
        if self._is_away:
            self._lost = (exc,)
        else:
            super().connection_lost(exc)


def _ignore(_bytes: int) -> None:
    """Note nothing: the connection is over."""


def _given(tls: _Tls) -> _Tls:
    return tls


async def _something_came(accepted: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    # use the descriptor: given a socket, the loop formats an unused error text with two system calls
    number = accepted.fileno()
    loop.add_reader(number, came.set)
    try:
        await came.wait()
    finally:
        loop.remove_reader(number)


def measure(context: ssl.SSLContext) -> float:
    """Return the seconds of CPU that the server's side of a handshake takes with this context.

    Blocks for milliseconds.
    """
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
