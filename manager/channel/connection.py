"""Connection to one node: carries out its conversation's commands over one transport.

Owns the transport, and passes on as events the decisions that others make. Invariants: unsent data has a
ceiling; after `close` nothing is sent or received; and the key proven at login is checked again for each
message in either direction. Once that key is no longer pinned, only a goodbye is sent.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from common.bundle.manifest import BUNDLE_MAX_BYTES
from common.errors import ProtocolError, Reason
from common.ids import Digest, NodeName
from common.runtime.transport import Transport
from common.wire.messages import Verdict
from common.wire.sender import PushAttempt
from manager.channel.allowance import Allowance
from manager.channel.conversation import Close, Command, Conversation, Ended, Event, Write
from manager.domain.challenges import SentChallenge
from manager.domain.contact import Contact

log = structlog.get_logger(__name__)

UNSENT_MAX_BYTES = BUNDLE_MAX_BYTES + 1024 * 1024
"""How many bytes may wait in the transport: one bundle, and the small messages besides. More means that the
peer does not read.
"""

Handle = Callable[["Connection", Event], None]
"""Handles the events of a connection, one after the other; the last one is `Ended`."""


class Connection:
    """The manager's end of one conversation, on a real transport. Implements `common.runtime.transport.Peer`.

    `is_authorised` tells whether the proven key is still the node's. All connections of a node share its
    `allowance`.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_conversation",
        "_handle",
        "_is_authorised",
        "_transport",
        "due_s",
        "node",
    )

    def __init__(
        self,
        *,
        node: NodeName,
        transport: Transport,
        handle: Handle,
        is_authorised: Callable[[], bool],
        allowance: Allowance,
    ) -> None:
        self.node = node
        self._is_authorised = is_authorised
        self._transport = transport
        self._handle = handle
        self._conversation = Conversation(time.monotonic(), allowance)
        self._closed = False
        self.due_s = self._conversation.deadline_s
        """When to sweep it, in monotonic seconds. Kept as an attribute because every connection is checked
        each second.
        """

    @property
    def address(self) -> str:
        return self._transport.address

    @property
    def unsent_bytes(self) -> int:
        """How many bytes the peer has not read yet; 0 once closed."""
        return 0 if self._closed else self._transport.buffered_bytes

    @property
    def is_open(self) -> bool:
        """Whether messages may still be sent and received."""
        return not self._closed

    @property
    def ready(self) -> bool:
        """Whether offers may be made."""
        return self._conversation.ready and not self._closed

    @property
    def challenges_held(self) -> int | None:
        """How many challenges the node shows; None if its agent does not support challenges."""
        return self._conversation.challenges_held

    def data_received(self, data: bytes) -> None:
        """Take bytes from the transport. A peer that breaks the protocol is disconnected."""
        if self._closed or self._is_revoked():
            return
        try:
            for commands in self._conversation.receive(data, time.monotonic()):
                self._run(commands)
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
        """Note that the transport was lost."""
        self._end(Reason.UNREACHABLE if error is not None else Reason.INTERRUPTED)

    def welcome(self, *, server_time_s: float, epoch: int, contact: Contact | None) -> None:
        """Answer the greeting of a node that may stay; `contact` is None while there is nothing to announce."""
        self._run(self._conversation.welcome(server_time_s=server_time_s, epoch=epoch, contact=contact))

    def turn_away(self, verdict: Verdict, *, retry_after_s: float, message: str) -> None:
        """Refuse the greeting of a node that may not stay."""
        self._run(self._conversation.turn_away(verdict, retry_after_s=retry_after_s, message=message))

    def offer(self, push: PushAttempt) -> None:
        self._run(self._conversation.offer(push, time.monotonic()))

    def supply(self, push_id: str, payloads: Mapping[Digest, bytes]) -> None:
        """Send the payloads the node wanted."""
        self._run(self._conversation.supply(push_id, payloads, time.monotonic()))

    def acknowledge(self, push_id: str) -> None:
        """Confirm that an outcome is on disk."""
        self._run(self._conversation.acknowledge(push_id))

    def tock(self, *, server_time_s: float, epoch: int, contact: Contact | None) -> None:
        """Answer the minute's report, or announce a contact."""
        self._run(self._conversation.tock(server_time_s=server_time_s, epoch=epoch, contact=contact))

    def show(self, number: int, challenges: Sequence[SentChallenge]) -> None:
        """Tell the node to show exactly these challenges; `number` must rise."""
        self._run(self._conversation.show(number, challenges))

    def goodbye(self, reason: Reason, retry_after_s: float) -> None:
        """End the conversation deliberately."""
        self._perform(self._conversation.goodbye(reason, retry_after_s))

    def sweep(self, now_s: float) -> None:
        """Act on expired deadlines.

        Called each second for all due connections, which is cheaper than a timer for each.
        """
        self.due_s = self._conversation.deadline_s
        if not self._closed and now_s >= self.due_s:
            self._run(self._conversation.expire(now_s))

    def close(self, reason: Reason) -> None:
        if not self._closed:
            self._transport.close()
            self._end(reason)

    def _end(self, reason: Reason) -> None:
        if not self._closed:
            self._closed = True
            self._handle(self, Ended(reason))

    def _is_revoked(self) -> bool:
        """End the connection if its key is no longer the node's; usually it has been told goodbye already."""
        if self._is_authorised():
            return False
        log.warning("connection.refused", node=self.node, address=self.address, reason=Reason.UNAUTHENTICATED)
        self.close(Reason.UNAUTHENTICATED)
        return True

    def _run(self, commands: Iterable[Command]) -> None:
        self.due_s = self._conversation.deadline_s
        if not self._closed and not self._is_revoked():
            self._perform(commands)

    def _perform(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if self._closed:
                return
            match command:
                case Write(data):
                    self._write(data)
                case Close(reason):
                    self.close(reason)
                case _:
                    self._handle(self, command)

    def _write(self, data: bytes) -> None:
        if self._transport.buffered_bytes + len(data) > UNSENT_MAX_BYTES:
            log.warning("connection.refused", node=self.node, address=self.address, reason=Reason.TOO_BIG)
            self.close(Reason.TOO_BIG)
            return
        self._transport.write(data)
