"""The one raw session of an SSH connection, as `Transport`: the same stream of bytes at both ends.

Decides how bytes and the end of a connection reach the peer. Leaves to the ends which requests they grant, and what becomes of
an error of the peer. Invariant: the peer hears of the end once, and a closed connection has `FLUSH_S` to send what it holds.
"""

import asyncio
from typing import Final

import asyncssh

from common.runtime.transport import Peer

FLUSH_S: Final = 2.0
"""How long a closing connection may take to send what it still holds; then it is cut."""


class RawSession:
    """Implements `common.runtime.transport.Transport`; beside it stands asyncssh's class for the end that it serves."""

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
        """Hand bytes on; there is nobody to take them before the session is granted and after its end."""
        if self._peer is not None:
            self._peer.data_received(data)

    def eof_received(self) -> bool:
        """End the channel: a peer that will send no more wants no answer, either."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the peer, once."""
        peer, self._peer = self._peer, None
        # a channel has methods of its session
        self._channel = None
        if peer is not None:
            peer.connection_lost(exc)

    @property
    def buffered_bytes(self) -> int:
        """What the other end has not taken."""
        return self._channel.get_write_buffer_size() if self._channel is not None else 0

    def write(self, data: bytes) -> None:
        """Queue bytes; does nothing once the channel closes."""
        if self._channel is not None and not self._channel.is_closing():
            self._channel.write(data)

    def close(self) -> None:
        """End the connection; what it still holds has a moment to leave."""
        self._connection.close()
        asyncio.get_running_loop().call_later(FLUSH_S, self._connection.abort)
