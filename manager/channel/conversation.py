"""Conversation with one node, without its transport: bytes go in, commands come out.

Decides how much the node may send, and translates its messages into the manager's terms. The wire protocol
determines the order of messages (`common.wire.sender`). `now_s` is monotonic seconds. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from common.errors import Reason
from common.ids import Digest
from common.wire import sender as wire
from common.wire.frames import FrameDecoder
from common.wire.messages import Verdict, Welcome, decode, encode, tag_of
from common.wire.sender import Fetch, Overdue, PushAttempt, Sender
from manager.channel.allowance import Allowance
from manager.channel.translate import challenge_messages, contact_message, greeting_of, statement_of
from manager.domain.challenges import SentChallenge
from manager.domain.contact import Contact
from manager.domain.report import Greeting, Statement


@dataclass(frozen=True, slots=True)
class Write:
    """Write these bytes at once: consecutive messages leave together."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection, for this reason."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class LimitExceeded:
    """The node sends too much; `what` names it. Send the node away."""

    what: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The connection is over."""

    reason: Reason


Event = Greeting | Statement | Fetch | Overdue | LimitExceeded | Ended
"""The events the fleet handles: answer a greeting, supply requested payloads, send a flooding node away."""

Command = Write | Close | Event


class Conversation:
    """The manager's end of a conversation. All connections of a node share its `allowance`."""

    __slots__ = ("_allowance", "_decoder", "_sender")

    def __init__(self, now_s: float, allowance: Allowance) -> None:
        self._allowance = allowance
        self._decoder = FrameDecoder()
        self._sender = Sender(now_s)

    @property
    def ready(self) -> bool:
        """Whether offers may be made."""
        return self._sender.ready

    @property
    def deadline_s(self) -> float:
        """When `expire` must be called."""
        return self._sender.deadline_s

    @property
    def challenges_held(self) -> int | None:
        """How many challenges the agent shows; None if it does not support challenges."""
        return self._sender.challenges_held

    def receive(self, data: bytes, now_s: float) -> Iterator[list[Command]]:
        """Take bytes; yield the commands of one message after the other.

        Carry out the commands of a message before asking for the next ones, as they decide which messages are
        valid next. Ask for none after a `Close` or a `LimitExceeded`. Raises ProtocolError for a peer that
        breaks the protocol.
        """
        if not self._allowance.take_bytes(len(data), now_s):
            yield [LimitExceeded("bytes")]
            return
        for header, blob in self._decoder.feed(data):
            message = decode(header)
            if self._allowance.take_message(type(message), now_s):
                yield _commands(self._sender.receive(message, blob, now_s))
            else:
                yield [LimitExceeded(f"messages of the kind '{tag_of(type(message))}'")]

    def welcome(self, *, server_time_s: float, epoch: int, contact: Contact | None) -> list[Command]:
        """Answer the greeting of a node that may stay."""
        welcome = Welcome(
            verdict="ok", server_time_s=server_time_s, epoch=epoch, contact=contact_message(contact)
        )
        return _commands(self._sender.welcome(welcome))

    def turn_away(self, verdict: Verdict, *, retry_after_s: float, message: str) -> list[Command]:
        """Refuse the greeting of a node with any verdict but ok; this ends the conversation."""
        welcome = Welcome(verdict=verdict, retry_after_s=retry_after_s, message=message)
        return _commands(self._sender.welcome(welcome))

    def offer(self, push: PushAttempt, now_s: float) -> list[Command]:
        return _commands(self._sender.offer(push, now_s))

    def supply(self, push_id: str, payloads: Mapping[Digest, bytes], now_s: float) -> list[Command]:
        """Send the payloads the node wanted."""
        return _commands(self._sender.supply(push_id, payloads, now_s))

    def acknowledge(self, push_id: str) -> list[Command]:
        """Confirm that an outcome is on disk."""
        return _commands(self._sender.acknowledge(push_id))

    def tock(self, *, server_time_s: float, epoch: int, contact: Contact | None) -> list[Command]:
        """Answer the minute's report, or announce a contact."""
        return _commands(
            self._sender.tock(server_time_s=server_time_s, epoch=epoch, contact=contact_message(contact))
        )

    def show(self, number: int, challenges: Sequence[SentChallenge]) -> list[Command]:
        """Tell the node to show exactly these challenges."""
        return _commands(self._sender.show(number, challenge_messages(challenges)))

    def goodbye(self, reason: Reason, retry_after_s: float) -> list[Command]:
        """End the conversation deliberately."""
        return _commands(self._sender.goodbye(reason, retry_after_s))

    def expire(self, now_s: float) -> list[Command]:
        """Act on an expired deadline."""
        return _commands(self._sender.expire(now_s))


def _commands(given: Iterable[wire.Command]) -> list[Command]:
    """Translate the wire's commands into the manager's terms."""
    commands: list[Command] = []
    frames: list[bytes] = []
    for command in given:
        if isinstance(command, wire.Send):
            # each write costs a packet and a system call
            frames.append(encode(command.message, command.blob))
            continue
        if frames:
            commands.append(Write(b"".join(frames)))
            frames = []
        commands.append(_command(command))
    if frames:
        commands.append(Write(b"".join(frames)))
    return commands


def _command(given: wire.Greeted | wire.Received | Fetch | Overdue | wire.Close) -> Command:
    match given:
        case wire.Greeted(hello):
            return greeting_of(hello)
        case wire.Received(message):
            return statement_of(message)
        case wire.Close(reason, _):
            return Close(reason)
        case Fetch() | Overdue():
            return given
        case _:
            assert_never(given)
