"""One node's connection: drives one `Sender` over one transport.

Owns the transport. Leaves every decision about pushes to the fleet, which it tells what it hears.
Invariant: a ceiling on what waits to be written; after `close` nothing more is said or heard; and whose key the peer proved at its
login is asked again at each word, either way: once that key is no longer pinned, nothing but a goodbye is said.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, assert_never

import structlog

from common.bundle.manifest import BUNDLE_MAX_BYTES
from common.errors import ProtocolError, Reason
from common.ids import Digest, NodeName
from common.runtime.transport import Transport
from common.wire.frames import FrameDecoder
from common.wire.messages import (
    Accepted,
    Hello,
    Outcome,
    Progress,
    Rejected,
    Tick,
    Welcome,
    decode,
    encode,
    tag_of,
)
from common.wire.sender import Close, Command, Fetch, Greeted, Overdue, Push, Received, Send, Sender
from manager.channel.allowance import Allowance

log = structlog.get_logger(__name__)

UNSENT_MAX_BYTES = BUNDLE_MAX_BYTES + 1024 * 1024
"""What may wait in the transport: one bundle, and the small talk beside it. More means that the peer does not read."""


class Listener(Protocol):
    """Whom a connection tells what it hears; the fleet."""

    def greeted(self, connection: "Connection", hello: Hello) -> None:
        """Take an introduction; answer with `Connection.welcome`."""

    def heard(
        self, connection: "Connection", message: Accepted | Rejected | Progress | Outcome | Tick
    ) -> None:
        """Take a word about a push or about the node."""

    def wanted(self, connection: "Connection", push_id: str, digests: tuple[Digest, ...]) -> None:
        """Load payloads, and hand them to `Connection.supply`."""

    def overdue(self, connection: "Connection", push_id: str, stage: str) -> None:
        """Note a push that was not answered in time."""

    def flooded(self, connection: "Connection", what: str) -> None:
        """Note that the node says too much, and say goodbye."""

    def ended(self, connection: "Connection", reason: Reason) -> None:
        """Note that the connection is over."""


class Connection:
    """The manager's end of one conversation, on a real transport. Implements `common.runtime.transport.Peer`.

    `is_authorised` tells whether the key that the peer has proven is still the node's; `allowance` is the node's, which all of its
    connections share.
    """

    __slots__ = (
        "_allowance",
        "_closed",
        "_decoder",
        "_is_authorised",
        "_listener",
        "_sender",
        "_transport",
        "node",
    )

    def __init__(
        self,
        *,
        node: NodeName,
        transport: Transport,
        listener: Listener,
        is_authorised: Callable[[], bool],
        allowance: Allowance,
    ) -> None:
        self.node = node
        self._allowance = allowance
        self._is_authorised = is_authorised
        self._transport = transport
        self._listener = listener
        self._decoder = FrameDecoder()
        self._sender = Sender(time.monotonic())
        self._closed = False

    @property
    def address(self) -> str:
        """The peer's address."""
        return self._transport.address

    @property
    def unsent_bytes(self) -> int:
        """What waits to be read by the peer; 0 once closed."""
        return 0 if self._closed else self._transport.buffered_bytes

    @property
    def ready(self) -> bool:
        """Whether offers may be made."""
        return self._sender.ready and not self._closed

    @property
    def outstanding(self) -> Push | None:
        """The push that the agent has not concluded."""
        return self._sender.outstanding

    def data_received(self, data: bytes) -> None:
        """Take bytes from the transport. A peer that breaks the protocol is disconnected."""
        if self._closed or self._is_revoked():
            return
        now_s = time.monotonic()
        if not self._allowance.receive(len(data), now_s):
            self._listener.flooded(self, "bytes")
            return
        try:
            for header, blob in self._decoder.feed(data):
                message = decode(header)
                if not self._allowance.say(type(message), now_s):
                    self._listener.flooded(self, f"messages of the kind '{tag_of(type(message))}'")
                else:
                    self._run(self._sender.receive(message, blob, now_s))
                if self._closed:
                    return
        except ProtocolError as error:
            log.warning(
                "connection.refused",
                node=self.node,
                address=self.address,
                reason=error.reason,
                message=error.message,
            )
            self.close(error.reason)

    def connection_lost(self, error: Exception | None) -> None:
        """Note that the transport is gone."""
        self._end(Reason.UNREACHABLE if error is not None else Reason.INTERRUPTED)

    def welcome(self, welcome: Welcome) -> None:
        """Answer the hello."""
        self._run(self._sender.welcome(welcome))

    def offer(self, push: Push) -> None:
        """Offer a generation."""
        self._run(self._sender.offer(push, time.monotonic()))

    def supply(self, push_id: str, payloads: Mapping[Digest, bytes]) -> None:
        """Send payloads that were wanted."""
        self._run(self._sender.supply(push_id, payloads, time.monotonic()))

    def acknowledge(self, push_id: str) -> None:
        """Say that an outcome is on disk."""
        self._run(self._sender.acknowledge(push_id))

    def tock(self, *, server_time_s: float, epoch: int) -> None:
        """Answer a tick."""
        self._run(self._sender.tock(server_time_s=server_time_s, epoch=epoch))

    def goodbye(self, reason: Reason, retry_after_s: float) -> None:
        """End the conversation on purpose."""
        self._perform(self._sender.goodbye(reason, retry_after_s))

    def sweep(self, now_s: float) -> None:
        """Act on passed deadlines; called each second for all connections, which is cheaper than a timer each."""
        if not self._closed and now_s >= self._sender.deadline_s:
            self._run(self._sender.expire(now_s))

    def close(self, reason: Reason) -> None:
        """End the connection."""
        if not self._closed:
            self._transport.close()
            self._end(reason)

    def _end(self, reason: Reason) -> None:
        if not self._closed:
            self._closed = True
            self._listener.ended(self, reason)

    def _is_revoked(self) -> bool:
        """End the connection of a key that is no longer the node's; who revoked it has said goodbye already, as a rule."""
        if self._is_authorised():
            return False
        log.warning("connection.refused", node=self.node, address=self.address, reason=Reason.UNAUTHENTICATED)
        self.close(Reason.UNAUTHENTICATED)
        return True

    def _run(self, commands: Iterable[Command]) -> None:
        if not self._closed and not self._is_revoked():
            self._perform(commands)

    def _perform(self, commands: Iterable[Command]) -> None:
        frames: list[bytes] = []
        for command in commands:
            if self._closed:
                return
            if isinstance(command, Send):
                # messages that follow each other leave in one write: each costs the channel a packet and a system call
                frames.append(encode(command.message, command.blob))
                continue
            self._write(frames)
            frames = []
            self._act(command)
        self._write(frames)

    def _act(self, command: Greeted | Fetch | Received | Overdue | Close) -> None:
        match command:
            case Greeted(hello):
                self._listener.greeted(self, hello)
            case Fetch(push_id, digests):
                self._listener.wanted(self, push_id, digests)
            case Received(message):
                self._listener.heard(self, message)
            case Overdue(push_id, stage):
                self._listener.overdue(self, push_id, stage)
            case Close(reason, _):
                self.close(reason)
            case _:
                assert_never(command)

    def _write(self, frames: list[bytes]) -> None:
        if not frames or self._closed:
            return
        data = b"".join(frames)
        if self._transport.buffered_bytes + len(data) > UNSENT_MAX_BYTES:
            log.warning("connection.refused", node=self.node, address=self.address, reason=Reason.TOO_BIG)
            self.close(Reason.TOO_BIG)
            return
        self._transport.write(data)
