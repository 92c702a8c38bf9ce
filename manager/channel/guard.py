"""Guard between an accepted socket and the SSH library.

Holds each peer to its byte limits and deadlines until it has proven its purpose, and to a pace from then on.
The gate decides which peers begin; SSH is asyncssh's. Invariants: an unproven peer costs bounded memory and
time, and never a proven peer's place. A login as `join` proves nothing, since anyone can make one; such a
peer stays unproven to the end.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from common.runtime.buckets import Bucket
from manager.channel.gate import Gate
from manager.channel.visitors import Visitor

READ_BYTES: Final = 4096
"""How many bytes are read at once from one peer. A packet of 36 bytes costs asyncssh about 60 us, so all
others wait 7 ms at most.
"""

NODE_BURST_BYTES: Final = 1024 * 1024
NODE_BYTES_PER_S: Final = 64 * 1024
"""The pace of a logged-in node; a report has some KB and comes once a minute. A peer that sends more is read
more slowly.
"""


class SocketGuard(asyncio.BufferedProtocol):
    """The guard of one peer's socket for its whole life. Owns the peer's place at the gate."""

    __slots__ = (
        "_bucket",
        "_buffer",
        "_bytes",
        "_exchanges",
        "_gate",
        "_has_exchanged",
        "_held",
        "_inner",
        "_is_over",
        "_is_worthy",
        "_loop",
        "_make",
        "_timer",
        "_transport",
        "visitor",
    )

    def __init__(
        self,
        gate: Gate,
        visitor: Visitor,
        buffer: bytearray,
        inner: Callable[["SocketGuard"], asyncio.Protocol],
    ) -> None:
        self._gate = gate
        self._held = b""
        self._has_exchanged = self._is_worthy = False
        self._make = inner
        self._inner: asyncio.Protocol | None = None
        self._bytes = 0
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._bucket: Bucket | None = None
        self._exchanges: Bucket | None = None
        # shared by all peers: the loop reads it in the turn in which it fills it
        self._buffer = buffer
        self.visitor = visitor
        visitor.dismiss = self.refuse

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline of the version line."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport
        if self._is_over:
            # dismissed between the accept and now
            transport.abort()
            return
        limits = self._gate.limits
        self._expect(limits.version_s, "no version line came")
        silence_s = limits.penalty_silence_s if self.visitor.is_penalised else limits.silence_s
        self.visitor.yields_at_s = self._loop.time() + silence_s
        self._inner = self._make(self)
        self._inner.connection_made(transport)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Lend the buffer for one read."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Pass bytes on, within the ceiling or the pace."""
        if self._is_over or self._inner is None or self._transport is None:
            return
        data = bytes(self._buffer[:nbytes])
        if self._bucket is not None:
            rest_s = self._bucket.spend(self._loop.time(), nbytes)
            if rest_s:
                self._transport.pause_reading()
                self._loop.call_later(rest_s, self._resume)
        else:
            self._bytes += nbytes
            if self._bytes > self._gate.limits.login_bytes:
                self.refuse("too many bytes before the login")
                return
            if self.visitor.is_silent and b"\n" in data:
                self._transport.pause_reading()
                self._read_version(data)
                return
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the peer's end of file on."""
        return self._inner.eof_received() if self._inner is not None else None

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on and release the place."""
        self._leave()
        if self._inner is not None:
            self._inner.connection_lost(exc)
        # a reference cycle would wait for a garbage collection
        self._inner = self._transport = None
        self.visitor.let_go()

    def pause_writing(self) -> None:
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        if self._inner is not None:
            self._inner.resume_writing()

    def note_login(self) -> None:
        """Give the peer a moment to state its purpose; its place, byte limits and deadlines remain."""
        self._expect(self._gate.limits.session_s, "no session was opened in time after the login")

    def expect_request(self) -> None:
        """Give a joining peer a moment to send its request."""
        self._expect(self._gate.limits.request_s, "no request to join came")

    def expect_answer_taken(self) -> None:
        """Give the manager a moment to answer a join request, and the peer to read the answer."""
        self._is_worthy = True
        self.visitor.yields_at_s = float("inf")
        self._expect(self._gate.limits.answer_s, "the answer to a request to join was not taken in time")

    def release_place(self) -> None:
        """Free the place: the peer has proven to be a node and stated its purpose."""
        if not self._is_over and self._bucket is None:
            self._bucket = Bucket(burst=NODE_BURST_BYTES, per_s=NODE_BYTES_PER_S, now_s=self._loop.time())
            limits = self._gate.limits
            self._exchanges = Bucket(
                burst=limits.exchanges_burst, per_s=limits.exchanges_per_s, now_s=self._loop.time()
            )
            self._is_worthy = True
            self._gate.judge(self.visitor, self._loop.time(), is_worthy=True)
            self._stop_timer()
            self._gate.leave(self.visitor)

    def count_key_exchange(self) -> None:
        """Count a key exchange, which takes milliseconds of the loop; a peer with too many is cut off."""
        if self._exchanges is None:
            if self._has_exchanged:
                self.refuse("keys exchanged again before the login was used")
            self._has_exchanged = True
        elif not self._exchanges.take(self._loop.time()):
            self.refuse("too many key exchanges")

    def refuse(self, why: str) -> None:
        """Cut the peer off, once."""
        if not self._is_over:
            self._gate.refuse(self.visitor.address, why)
            self._leave()
            if self._transport is not None:
                self._transport.abort()

    def _read_version(self, data: bytes) -> None:
        """Queue for a turn, with the data the peer has sent."""
        self._held = data
        self.visitor.is_silent = False
        self.visitor.begin = self._begin
        rest_s = self._gate.ask_for_turn(self.visitor)
        self.visitor.yields_at_s = self._loop.time() + rest_s + self._gate.limits.dawdling_s
        self._expect(rest_s + self._gate.limits.login_s, "the login took too long")

    def _begin(self) -> None:
        """Begin the handshake and start the deadline of the login."""
        if not self._is_over and self._inner is not None:
            held, self._held = self._held, b""
            self._expect(self._gate.limits.login_s, "the login took too long")
            self._resume()
            self._inner.data_received(held)

    def _expect(self, within_s: float, why: str) -> None:
        self._stop_timer()
        if not self._is_over:
            self._timer = self._loop.call_later(within_s, self.refuse, why)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _resume(self) -> None:
        if not self._is_over and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _leave(self) -> None:
        if not self._is_over:
            self._is_over = self.visitor.is_over = True
            self._stop_timer()
            if not self._is_worthy:
                self._gate.judge(self.visitor, self._loop.time(), is_worthy=False)
            self._gate.leave(self.visitor)
