"""In-process connection for the management node and for tests: two transports, each the other's peer.

Invariant: bytes arrive in order, never within the call that wrote them, and none after a close.
"""

import asyncio

from common.runtime.transport import Peer


class Pipe:
    """One end. Implements `common.runtime.transport.Transport`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._peer: Peer | None = None
        self._closed = False
        self.other: Pipe | None = None
        self.address = "in-process"
        self.buffered_bytes = 0

    def attach(self, peer: Peer) -> None:
        """Set the peer that receives the other end's data."""
        self._peer = peer

    def write(self, data: bytes) -> None:
        """Pass bytes to the other end, in the loop's next turn."""
        if not self._closed and self.other is not None:
            self._loop.call_soon(self.other.deliver, data)

    def deliver(self, data: bytes) -> None:
        """Receive bytes from the other end."""
        if self._peer is not None and not self._closed:
            self._peer.data_received(data)

    def close(self) -> None:
        self._closed = True
        if self.other is not None:
            self._loop.call_soon(self.other.lost)

    def lost(self) -> None:
        """Note that the other end closed."""
        if not self._closed:
            self._closed = True
            if self._peer is not None:
                self._peer.connection_lost(None)


def pipe(loop: asyncio.AbstractEventLoop) -> tuple[Pipe, Pipe]:
    """Return the two ends of a new connection; attach a peer to each before the loop's next turn."""
    near, far = Pipe(loop), Pipe(loop)
    near.other, far.other = far, near
    return near, far
