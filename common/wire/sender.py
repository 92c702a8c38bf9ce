"""The manager's end of one conversation: which messages go to one agent, and what its messages mean.

Decides which message is allowed now, which push is outstanding, and when an answer is overdue. Leaves to the shell:
sockets, the store, and which generation to offer. Events go in, commands come out; `now_s` is monotonic seconds.
Invariant: at most one push is outstanding, the newest offer wins, and nothing here counts as delivered until the
agent's own outcome says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

from common.bundle.manifest import Manifest, canonical
from common.errors import ProtocolError, Reason
from common.ids import Digest
from common.wire.challenges import Challenge, ChallengesKept, SentSets
from common.wire.contact import Contact
from common.wire.messages import (
    PROTOCOLS,
    UPGRADE_RETRY_S,
    Accepted,
    FromManager,
    Goodbye,
    Hello,
    Message,
    Offer,
    Outcome,
    OutcomeAck,
    Payload,
    Progress,
    Rejected,
    Tick,
    Tock,
    Verdict,
    Want,
    Welcome,
)

GREETING_DEADLINE_S: Final = 15.0
"""The same as the limit of a login (design of the channel)."""

WANT_DEADLINE_S: Final = 20.0
"""The agent answers an offer from memory."""

CHECK_DEADLINE_S: Final = 60.0
"""Transfer of at most 16 MiB, and the checks on it."""

CARRIED_MAX_BYTES: Final = 64 * 1024
"""Limits the payloads sent unasked with one offer; a slot has about 10 KB. A trust store waits to be asked for."""

OUTCOME_GRACE_S: Final = 15.0
"""Added to the time that the agent announces for its installation."""

SILENCE_DEADLINE_S: Final = 180.0
"""Three missed ticks: the agent's loop is dead although its connection may still answer keepalives."""


@dataclass(frozen=True, slots=True)
class Send:
    """Write this message, with its blob, in one write."""

    message: Message
    blob: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Greeted:
    """The agent introduced itself; the shell answers with `Sender.welcome`."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Fetch:
    """Load these payloads and hand them to `Sender.supply`."""

    push_id: str
    digests: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Received:
    """The agent reported something about a push or itself; the fleet keeps the parts that it needs."""

    message: Accepted | Rejected | Progress | Outcome | Tick | ChallengesKept


@dataclass(frozen=True, slots=True)
class Overdue:
    """The push had no answer in time. `stage` names the missing answer."""

    push_id: str
    stage: str


@dataclass(frozen=True, slots=True)
class Close:
    """End the connection, for this reason."""

    reason: Reason
    message: str


Command = Send | Greeted | Fetch | Received | Overdue | Close


@dataclass(frozen=True, slots=True, kw_only=True)
class PushAttempt:
    """One attempt to deliver a generation. `digest` is the manifest's; `carried`: payloads the agent lacks."""

    push_id: str
    manifest: Manifest
    digest: Digest
    forced: bool = False
    confirmed_anchors: int | None = None
    carried: Mapping[Digest, bytes] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outstanding:
    push: PushAttempt
    stage: str  # "want", "check" or "outcome": the answer expected from the agent
    deadline_s: float


class Sender:
    """One conversation, from the accepted connection to its end."""

    __slots__ = (
        "_accepts_carried",
        "_challenges",
        "_greeted",
        "_last_received_s",
        "_next",
        "_outstanding",
        "_started_s",
        "_welcomed",
    )

    def __init__(self, now_s: float) -> None:
        self._started_s = now_s
        self._last_received_s = now_s
        self._greeted = False
        self._accepts_carried = False
        self._challenges = SentSets()
        self._welcomed = False
        self._outstanding: _Outstanding | None = None
        self._next: PushAttempt | None = None

    @property
    def ready(self) -> bool:
        """Whether offers may be made."""
        return self._welcomed

    @property
    def challenges_held(self) -> int | None:
        """How many challenges the agent reported or was last sent, None if it does not support challenges."""
        return self._challenges.held

    @property
    def outstanding(self) -> PushAttempt | None:
        """The push that the agent has not concluded; if another waits behind it, that one."""
        if self._next is not None:
            return self._next
        return self._outstanding.push if self._outstanding else None

    @property
    def deadline_s(self) -> float:
        """When `expire` must be called, in the caller's monotonic seconds."""
        if not self._welcomed:
            return self._started_s + GREETING_DEADLINE_S
        silence_s = self._last_received_s + SILENCE_DEADLINE_S
        return min(self._outstanding.deadline_s, silence_s) if self._outstanding else silence_s

    def receive(self, message: Message, blob: bytes, now_s: float) -> list[Command]:
        """Take one message. Raises ProtocolError if it is not allowed now."""
        if blob:
            raise ProtocolError("an agent sends no blobs")
        self._last_received_s = now_s
        if isinstance(message, Hello):
            return self._hello(message)
        if not self._welcomed:
            raise ProtocolError("the agent spoke before it was welcomed")
        if isinstance(message, FromManager):
            raise ProtocolError("the agent sent a message that only a manager sends")
        match message:
            case Tick():
                return [Received(message)]
            case Want():
                return self._want(message, now_s)
            case Accepted():
                return self._accepted(message, now_s)
            case Progress() | ChallengesKept():
                return [Received(message)] if self._counts(message) else []
            case Rejected() | Outcome():
                return [Received(message), *self._conclude(message.push_id, now_s)]
            case _:
                assert_never(message)

    def welcome(self, welcome: Welcome) -> list[Command]:
        """Answer the hello. Any verdict but ok ends the connection."""
        self._welcomed = welcome.verdict == "ok"
        commands: list[Command] = [Send(welcome)]
        if not self._welcomed:
            commands.append(Close(_VERDICT_REASONS[welcome.verdict], welcome.message))
        return commands

    def offer(self, push: PushAttempt, now_s: float) -> list[Command]:
        """Offer a generation. It replaces an offer not yet accepted, and waits behind an accepted one."""
        if not self._welcomed:
            raise ProtocolError("an offer before the welcome")
        if self._outstanding is not None and self._outstanding.stage == "outcome":
            self._next = push
            return []
        carried = push.carried if self._accepts_carried else {}
        # an agent that has every payload answers first after its checks
        deadline_s = now_s + (CHECK_DEADLINE_S if carried else WANT_DEADLINE_S)
        if self._outstanding is not None and self._outstanding.stage == "want":
            # a change every few seconds must not keep an agent that never answers
            deadline_s = self._outstanding.deadline_s
        self._outstanding = _Outstanding(push=push, stage="want", deadline_s=deadline_s)
        manifest = push.manifest
        offer = Offer(
            push_id=push.push_id,
            epoch=manifest.epoch,
            generation=manifest.generation,
            digest=push.digest,
            forced=push.forced,
            confirmed_anchors=push.confirmed_anchors,
            carried=list(carried),
        )
        return [Send(offer, canonical(manifest)), *_payloads(push.push_id, carried)]

    def supply(self, push_id: str, payloads: Mapping[Digest, bytes], now_s: float) -> list[Command]:
        """Send the payloads of a `Fetch`, unless a newer offer has replaced its push meanwhile."""
        if self._outstanding is None or not self._is_current(push_id):
            return []
        self._outstanding = replace(self._outstanding, deadline_s=now_s + CHECK_DEADLINE_S)
        return _payloads(push_id, payloads)

    def acknowledge(self, push_id: str) -> list[Command]:
        """Tell the agent that its outcome is on disk."""
        return [Send(OutcomeAck(push_id=push_id))]

    def tock(self, *, server_time_s: float, epoch: int, contact: Contact | None = None) -> list[Command]:
        """Answer a tick with a sign of life and the manager's clock, or announce a contact."""
        return [Send(Tock(server_time_s=server_time_s, epoch=epoch, contact=contact))]

    def show(self, number: int, challenges: Sequence[Challenge]) -> list[Command]:
        """Show exactly these on an agent that supports it; `number` must rise. Empty: only to agents with any."""
        if not self._welcomed:
            raise ProtocolError("challenges before the welcome")
        return [Send(message) for message in self._challenges.show(number, challenges)]

    def goodbye(self, reason: Reason, retry_after_s: float) -> list[Command]:
        """End the conversation on purpose."""
        return [
            Send(Goodbye(reason=reason, retry_after_s=retry_after_s)),
            Close(reason, "the manager closed"),
        ]

    def expire(self, now_s: float) -> list[Command]:
        """Act on a passed deadline: close the connection of a silent agent, so that it dials again."""
        if now_s < self.deadline_s:
            return []
        if self._outstanding is not None and now_s >= self._outstanding.deadline_s:
            stage, push_id = self._outstanding.stage, self._outstanding.push.push_id
            self._outstanding = self._next = None
            return [
                Overdue(push_id, stage),
                Close(Reason.TIMEOUT, f"the agent timed out in stage '{stage}'"),
            ]
        what = "did not greet" if not self._welcomed else "has been silent"
        return [Close(Reason.TIMEOUT, f"the agent {what}")]

    def _hello(self, hello: Hello) -> list[Command]:
        if self._greeted:
            raise ProtocolError("a second hello on one connection")
        self._greeted = True
        self._accepts_carried = hello.accepts_carried
        self._challenges.held = hello.challenges_held
        if hello.protocol not in PROTOCOLS:
            spoken = ", ".join(map(str, PROTOCOLS))
            text = (
                f"the agent speaks protocol {hello.protocol}, this manager {spoken}; upgrade the older side"
            )
            return self.welcome(Welcome(verdict="upgrade", retry_after_s=UPGRADE_RETRY_S, message=text))
        return [Greeted(hello)]

    def _want(self, want: Want, now_s: float) -> list[Command]:
        outstanding = self._outstanding
        if outstanding is None:
            return []
        if outstanding.push.push_id != want.push_id:
            # an answer to a replaced offer shows that the agent lives: its time for the newer offer begins again
            if outstanding.stage == "want":
                self._outstanding = replace(outstanding, deadline_s=now_s + WANT_DEADLINE_S)
            return []
        if outstanding.stage != "want":
            raise ProtocolError("the agent asked for payloads twice")
        known = {entry.digest for entry in outstanding.push.manifest.entries}
        if not known.issuperset(want.digests) or len(set(want.digests)) != len(want.digests):
            raise ProtocolError(
                "the agent asked for payloads that its offer does not name", reason=Reason.BAD_DIGEST
            )
        digests = tuple(Digest(digest) for digest in want.digests)
        # the agent's time begins when its payloads are sent: until they are loaded the delay is the manager's
        deadline_s = math.inf if digests else now_s + CHECK_DEADLINE_S
        self._outstanding = replace(outstanding, stage="check", deadline_s=deadline_s)
        return [Fetch(want.push_id, digests)] if digests else []

    def _accepted(self, accepted: Accepted, now_s: float) -> list[Command]:
        outstanding = self._outstanding
        if outstanding is None or outstanding.push.push_id != accepted.push_id:
            return []
        if outstanding.stage == "outcome":
            # each one would extend its time and hold back other offers
            raise ProtocolError("the agent accepted a push twice")
        deadline_s = now_s + accepted.within_s + OUTCOME_GRACE_S
        self._outstanding = replace(outstanding, stage="outcome", deadline_s=deadline_s)
        return [Received(accepted)]

    def _conclude(self, push_id: str, now_s: float) -> list[Command]:
        if not self._is_current(push_id):
            return []  # about a push of an earlier connection, or a replaced one
        self._outstanding = None
        following, self._next = self._next, None
        return self.offer(following, now_s) if following is not None else []

    def _counts(self, message: Progress | ChallengesKept) -> bool:
        if isinstance(message, ChallengesKept):
            return self._challenges.is_newest(message)
        return self._is_current(message.push_id)

    def _is_current(self, push_id: str) -> bool:
        return self._outstanding is not None and self._outstanding.push.push_id == push_id


def _payloads(push_id: str, payloads: Mapping[Digest, bytes]) -> list[Command]:
    return [Send(Payload(push_id=push_id, digest=digest), body) for digest, body in payloads.items()]


_VERDICT_REASONS: Final[dict[Verdict, Reason]] = {
    "wait": Reason.BUSY,
    "re_enrol": Reason.UNAUTHENTICATED,
    "upgrade": Reason.UNSUPPORTED,
}
