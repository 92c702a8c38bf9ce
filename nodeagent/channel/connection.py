"""One connection to the manager: its bytes become frames, and its end has a reason.

Decides when a connection is over, and remembers why. Leaves the meaning of frames to the conversation.
Invariant: a connection ends once, and later data is dropped.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from common.errors import ProtocolError, Reason
from common.runtime.transport import Peer, Transport
from common.wire.contact import Contact
from common.wire.frames import FRAME_MAX_BYTES, FrameDecoder

SILENCE_S: Final = 150.0
"""Two and a half ticks without an answer."""

BUFFERED_MAX_BYTES: Final = 1024 * 1024
"""The most unsent data for a manager that does not read; an agent never sends that much."""


class ManagerRoute(Protocol):
    """Reaches the manager, and stores its announced addresses and keys."""

    async def dial(self, peer: Peer) -> Transport:
        """Reach it. Raises UnreachableError, AccessError, NotJoinedError."""

    def avoid(self) -> None:
        """Note that the manager reached last takes no nodes now."""

    async def keep(self, contact: Contact) -> bool:
        """Store the manager's contact; return whether it was new. Raises InstallError, ProtocolError."""


@dataclass(slots=True)
class ConnectionStatus:
    """For the health endpoint. `last_seen_s` is monotonic, None before the manager's first message.

    `reason` tells a manager that cannot be reached (UNREACHABLE, TIMEOUT) from one that does not know this node's key
    (FORBIDDEN) and from a host that is not the pinned manager (UNAUTHENTICATED); None while all is well.
    """

    welcomed: bool = False
    last_seen_s: float | None = None
    skew_s: float = 0.0
    trouble: str = "it has not been dialled yet"
    reason: Reason | None = None


class Connection:
    """Implements `Peer`. `received` takes each frame and may raise ProtocolError."""

    def __init__(self, received: Callable[["Connection", bytes, bytes], None]) -> None:
        self._received = received
        self._decoder = FrameDecoder(FRAME_MAX_BYTES)
        self.transport: Transport | None = None
        self.opened_s = time.monotonic()
        self.ended = asyncio.Event()
        self.reason: Reason = Reason.UNREACHABLE
        self.message = "the connection was lost"
        self.retry_after_s = 0.0

    def data_received(self, data: bytes) -> None:
        """Take bytes. Closes the connection of a peer that breaks the protocol."""
        try:
            for header, blob in self._decoder.feed(data):
                if self.ended.is_set():
                    return
                self._received(self, header, blob)
        except ProtocolError as error:
            self.end(error.reason, error.message)

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the other side, or the network, ended it."""
        if not self.ended.is_set() and error is not None:
            cause = getattr(error, "reason", "") or getattr(error, "strerror", "") or str(error)
            self.message = f"the connection was lost: {cause[:1].lower()}{cause[1:]}"
        self.ended.set()

    def write(self, data: bytes) -> None:
        """Send unless the connection is over. Closes it if the manager does not read."""
        if self.transport is None or self.ended.is_set():
            return
        self.transport.write(data)
        if self.transport.buffered_bytes > BUFFERED_MAX_BYTES:
            self.end(Reason.TIMEOUT, "the manager does not read what is sent")

    def end(self, reason: Reason, message: str, retry_after_s: float = 0.0) -> None:
        """Close. The first reason is kept."""
        if self.ended.is_set():
            return
        self.reason, self.message, self.retry_after_s = reason, message, retry_after_s
        self.ended.set()
        if self.transport is not None:
            self.transport.close()
