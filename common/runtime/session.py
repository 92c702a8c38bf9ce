"""The one raw session of an SSH connection, as `Transport`: the same stream of bytes at both ends.

Decides how bytes and the end of a connection reach the peer. Leaves to each end which requests it grants and how it
handles the peer's errors. Invariant: the peer hears of the end once, and a closed connection has `FLUSH_S` to send
its buffered data.
"""

import asyncio
from typing import Final

import asyncssh

from common.runtime.transport import Peer

FLUSH_S: Final = 2.0
"""How long a closing connection may send its buffered data before it is cut."""


class RawSession:
    """Implements `common.runtime.transport.Transport`. Combined with asyncssh's session class of either end."""

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection | asyncssh.SSHServerConnection,
        address: str,
        peer: Peer | None,
    ) -> None:
        self._connection = connection
        self._channel: asyncssh.SSHClientChannel[bytes] | asyncssh.SSHServerChannel[bytes] | None = None
        self._peer = peer
        self.address = address

    def connection_made(
        self, chan: asyncssh.SSHClientChannel[bytes] | asyncssh.SSHServerChannel[bytes]
    ) -> None:
        """Keep the channel to write on."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Pass bytes to the peer; drops them before the session is granted and after its end."""
        if self._peer is not None:
            self._peer.data_received(data)

    def eof_received(self) -> bool:
        """End the channel: a peer that has finished sending expects no answer."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the peer of the end, once."""
        peer, self._peer = self._peer, None
        # a channel has methods of its session
        self._channel = None
        if peer is not None:
            peer.connection_lost(exc)

    @property
    def buffered_bytes(self) -> int:
        """The bytes that the other end has not taken."""
        return self._channel.get_write_buffer_size() if self._channel is not None else 0

    def write(self, data: bytes) -> None:
        """Queue bytes; does nothing once the channel closes."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(data)

    def close(self) -> None:
        """End the connection, after up to `FLUSH_S` for its buffered data."""
        self._connection.close()
        asyncio.get_running_loop().call_later(FLUSH_S, self._connection.abort)
