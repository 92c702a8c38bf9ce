"""Transport of a conversation: an ordered, authenticated stream of bytes over any medium.

The SSH channel, the pipe within a process and the tests' streams implement these two protocols.
"""

from typing import Protocol


class Transport(Protocol):
    """The writing side. Called on the loop."""

    @property
    def address(self) -> str:
        """The peer's address, for people."""

    @property
    def buffered_bytes(self) -> int:
        """The bytes written that have not left this process."""

    def write(self, data: bytes) -> None:
        """Queue bytes; never blocks, and does nothing once closed."""

    def close(self) -> None:
        """End the connection. `Peer.connection_lost` follows unless the other side ended it first."""


class Peer(Protocol):
    """The reading side. Called on the loop; must not raise."""

    def data_received(self, data: bytes) -> None:
        """Take the next bytes."""

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end; `error` is None if it was orderly. Called once."""
