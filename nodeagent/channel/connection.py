"""One connection to the manager: its bytes become frames, and its end has a reason.

Decides when a connection is over, and remembers why. Leaves what frames mean to the conversation.
Invariant: a connection ends once, and what arrives afterwards is dropped.
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
"""What may wait for a manager that does not read; an agent never sends that much."""


class ManagerRoute(Protocol):
    """How the manager is reached, and what is kept of that."""

    async def dial(self, peer: Peer) -> Transport:
        """Reach it. Raises UnreachableError, AccessError, NotJoinedError."""

    def avoid(self) -> None:
        """Note that who was reached last takes no nodes now."""

    async def keep(self, contact: Contact) -> bool:
        """Keep how it is to be reached; tell whether that was news. Raises InstallError, ProtocolError."""


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
        """Take bytes. A peer that breaks the protocol is hung up on."""
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
        """Send, unless it is over; it is over for a manager that does not read."""
        if self.transport is None or self.ended.is_set():
            return
        self.transport.write(data)
        if self.transport.buffered_bytes > BUFFERED_MAX_BYTES:
            self.end(Reason.TIMEOUT, "the manager does not read what is sent")

    def end(self, reason: Reason, message: str, retry_after_s: float = 0.0) -> None:
        """Close. What ended it first is the reason that is kept."""
        if self.ended.is_set():
            return
        self.reason, self.message, self.retry_after_s = reason, message, retry_after_s
        self.ended.set()
        if self.transport is not None:
            self.transport.close()
