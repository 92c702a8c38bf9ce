"""The agent's end of the conversation: which offers to take, what to ask for, and what to report to the manager.

Decides which message is allowed now, which payloads are missing, and what the manager has yet to hear. Leaves
to `offers` which offer may replace the running generation, and to the shell the socket, the checks on the
files, and the installation. Events go in, commands come out; `now_s` is unix seconds. One receiver lives as
long as its agent and outlasts connections.
Invariant: one installation runs at a time, the newest offer waits behind it, and an outcome is sent again until
the manager acknowledges it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

import msgspec

from common.bundle.manifest import Manifest
from common.errors import BundleError, ProtocolError, Reason
from common.ids import Digest, NodeName, digest_of
from common.wire.challenges import Challenges, NotKept, ReceivedSets
from common.wire.contact import Contact
from common.wire.fields import clip
from common.wire.messages import (
    PROTOCOL,
    Accepted,
    FromAgent,
    Goodbye,
    Hello,
    Message,
    Offer,
    Outcome,
    OutcomeAck,
    Payload,
    Phase,
    Progress,
    Rejected,
    Tick,
    Tock,
    Verdict,
    Want,
    Welcome,
)
from common.wire.offers import LocalState, already_applied, find_quarantine, is_applied, read_offer
from common.wire.sender import Send
from common.words import counted


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The manager answered; with verdict ok the conversation goes on."""

    welcome: Welcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Install:
    """Check the bundle and install it; answer with `accepted` or `rejected`, then `concluded`.

    `payloads` holds the files that travelled; the node already has the others.
    """

    push_id: str
    manifest: Manifest
    payloads: Mapping[Digest, bytes] = field(repr=False)
    forced: bool
    confirmed_anchors: int | None = None


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The manager has this outcome on disk; forget it."""

    push_id: str


@dataclass(frozen=True, slots=True)
class ManagerSeen:
    """The manager sent something. `server_time_s` is its clock, for the skew verdict."""

    server_time_s: float


@dataclass(frozen=True, slots=True)
class Announced:
    """The manager announces the addresses and keys to reach it by from now on."""

    contact: Contact


@dataclass(frozen=True, slots=True)
class Show:
    """Show these challenges and no others; answer with `kept`."""

    challenges: Challenges


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the connection, and dial again no sooner than `retry_after_s` from now."""

    reason: Reason
    message: str
    retry_after_s: float


Command = Send | Welcomed | Install | Acknowledged | ManagerSeen | Announced | Show | Disconnect


@dataclass(slots=True)
class _Transfer:
    """An offer whose payloads are in transit."""

    offer: Offer
    manifest: Manifest
    missing: set[str]
    payloads: dict[Digest, bytes] = field(default_factory=dict, repr=False)


class Receiver:
    """The agent's side, across connections."""

    __slots__ = (
        "_agent_version",
        "_boot_id",
        "_challenges",
        "_connected",
        "_installing",
        "_instance",
        "_local",
        "_node",
        "_transfer",
        "_waiting",
        "_welcomed",
    )

    def __init__(
        self, *, node: NodeName, boot_id: str, instance: str, agent_version: str, local: LocalState
    ) -> None:
        self._node = node
        self._boot_id = boot_id
        self._instance = instance
        self._agent_version = agent_version
        self._local = local
        self._challenges = ReceivedSets()
        self._connected = False
        self._welcomed = False
        self._installing: str | None = None
        self._waiting: tuple[Offer, bytes] | None = None
        self._transfer: _Transfer | None = None

    @property
    def welcomed(self) -> bool:
        """Whether a conversation is under way."""
        return self._welcomed

    def connect(self, now_s: float) -> list[Command]:
        """Begin a conversation on a new connection."""
        self.disconnect()
        self._connected = True
        hello = Hello(
            protocol=PROTOCOL,
            node=self._node,
            boot_id=self._boot_id,
            instance=self._instance,
            agent_version=self._agent_version,
            report=self._local.report(now_s),
            accepts_carried=True,
            contact=self._local.contact(),
            challenges_held=self._local.challenges_held(),
        )
        return [Send(hello)]

    def disconnect(self) -> None:
        """Forget what belonged to the connection; an installation goes on."""
        self._connected = self._welcomed = False
        self._waiting = None
        self._transfer = None
        self._challenges.begin()

    def receive(self, message: Message, blob: bytes, now_s: float) -> list[Command]:
        """Take one message. Raises ProtocolError if it is not allowed now."""
        self._check(message, blob)
        if isinstance(message, FromAgent):
            raise ProtocolError("the manager sent a message that only an agent sends")
        match message:
            case Welcome():
                return self._welcome(message, now_s)
            case Offer():
                return self._take_offer(message, blob, now_s)
            case Payload():
                return self._take_payload(message, blob)
            case OutcomeAck():
                return [Acknowledged(message.push_id)]
            case Tock():
                return [ManagerSeen(message.server_time_s), *_announced(message.contact)]
            case Challenges():
                return [Show(self._challenges.take(message))]
            case Goodbye():
                return [Disconnect(_reason(message.reason), "the manager closed", message.retry_after_s)]
            case _:
                assert_never(message)

    def accepted(self, push_id: str, within_s: float) -> list[Command]:
        """Say that the bundle passed its checks and installation begins."""
        return self._say(Accepted(push_id=push_id, within_s=within_s))

    def progressed(self, push_id: str, phase: Phase, detail: str = "") -> list[Command]:
        """Say which phase the installation entered."""
        return self._say(Progress(push_id=push_id, phase=phase, detail=detail[:128]))

    def rejected(self, push_id: str, error: BundleError, now_s: float) -> list[Command]:
        """Say that the bundle failed a check before anything was touched."""
        self._installing = None
        report = self._local.report(now_s)
        failure = (
            self._local.quarantined(Digest(report.last_failed.digest), now_s) if report.last_failed else None
        )
        rejection = Rejected(
            push_id=push_id,
            reason=error.reason,
            message=clip(error.message),
            retry_after_s=failure.retry_after_s if failure else 0.0,
            report=report,
        )
        return [*self._say(rejection), *self._next_offer(now_s)]

    def concluded(self, outcome: Outcome, now_s: float) -> list[Command]:
        """Report the outcome of the installation, which the caller has already made durable."""
        self._installing = None
        return [*self._say(outcome), *self._next_offer(now_s)]

    def kept(self, challenges: Challenges, not_kept: Sequence[NotKept]) -> list[Command]:
        """Report on a set of challenges, unless a newer set has replaced it."""
        return [each for said in self._challenges.kept(challenges, not_kept) for each in self._say(said)]

    def tick(self, now_s: float) -> list[Command]:
        """Send the report of this minute."""
        return self._say(Tick(report=self._local.report(now_s), contact=self._local.contact()))

    def _check(self, message: Message, blob: bytes) -> None:
        if blob and not isinstance(message, Offer | Payload):
            raise ProtocolError("an unexpected blob")
        if not self._welcomed and not isinstance(message, Welcome | Goodbye):
            raise ProtocolError("the manager spoke before its welcome")

    def _say(self, message: Message) -> list[Command]:
        return [Send(message)] if self._welcomed else []

    def _welcome(self, welcome: Welcome, now_s: float) -> list[Command]:
        if not self._connected or self._welcomed:
            raise ProtocolError("a second welcome on one connection")
        if welcome.verdict != "ok":
            message = f"the manager answered '{welcome.verdict}'" + (
                f": {welcome.message}" if welcome.message else ""
            )
            reason = _VERDICT_REASONS[welcome.verdict]
            return [Welcomed(welcome), Disconnect(reason, message, welcome.retry_after_s)]
        self._welcomed = True
        commands: list[Command] = [Welcomed(welcome), ManagerSeen(welcome.server_time_s)]
        commands += _announced(welcome.contact)
        if self._installing is None and (outcome := self._local.unacknowledged_outcome(now_s)) is not None:
            commands.append(Send(outcome))
        return commands

    def _take_offer(self, offer: Offer, blob: bytes, now_s: float) -> list[Command]:
        self._transfer = None
        if self._installing is not None:
            # drops carried payloads: the agent asks for those that it still lacks then
            self._waiting = (msgspec.structs.replace(offer, carried=[]), blob)
            return []
        try:
            manifest = read_offer(offer, blob, node=self._node, local=self._local)
        except BundleError as error:
            return self._refuse(offer, error.reason, error.message, 0.0)
        if is_applied(manifest, self._local):
            return [Send(already_applied(offer, self._local, now_s))]
        if (failure := find_quarantine(offer, manifest, self._local, now_s)) is not None:
            text = f"this content failed {counted(failure.attempts, 'time')}, last: {failure.message}"
            return self._refuse(offer, Reason.QUARANTINED, text, failure.retry_after_s, now_s=now_s)
        wanted = dict.fromkeys(
            entry.digest for entry in manifest.entries if not self._local.has(entry.digest)
        )
        transfer = self._transfer = _Transfer(offer, manifest, set(wanted))
        asked: list[str] = [digest for digest in wanted if digest not in offer.carried]
        if wanted and not asked:
            return []
        commands: list[Command] = [Send(Want(push_id=offer.push_id, digests=asked))]
        return commands if wanted else [*commands, self._install(transfer)]

    def _take_payload(self, payload: Payload, blob: bytes) -> list[Command]:
        transfer = self._transfer
        if transfer is None or payload.push_id != transfer.offer.push_id:
            return []  # belongs to an offer that a newer one replaced
        if payload.digest not in transfer.missing:
            if payload.digest in transfer.offer.carried:
                return []  # the manager did not know that the agent has it
            raise ProtocolError("a payload that was not asked for", reason=Reason.BAD_DIGEST)
        if digest_of(blob) != payload.digest:
            self._transfer = None
            text = "a payload's bytes are not what its digest says"
            return self._refuse(transfer.offer, Reason.BAD_DIGEST, text, 0.0)
        transfer.missing.discard(payload.digest)
        transfer.payloads[Digest(payload.digest)] = blob
        return [] if transfer.missing else [self._install(transfer)]

    def _install(self, transfer: _Transfer) -> Install:
        self._transfer = None
        self._installing = transfer.offer.push_id
        return Install(
            push_id=transfer.offer.push_id,
            manifest=transfer.manifest,
            payloads=transfer.payloads,
            forced=transfer.offer.forced,
            confirmed_anchors=transfer.offer.confirmed_anchors,
        )

    def _next_offer(self, now_s: float) -> list[Command]:
        waiting, self._waiting = self._waiting, None
        if waiting is None or not self._welcomed:
            return []
        return self._take_offer(*waiting, now_s)

    def _refuse(
        self, offer: Offer, reason: Reason, message: str, retry_after_s: float, *, now_s: float | None = None
    ) -> list[Command]:
        report = self._local.report(now_s) if now_s is not None else None
        refusal = Rejected(
            push_id=offer.push_id,
            reason=reason,
            message=clip(message),
            retry_after_s=retry_after_s,
            report=report,
        )
        return [Send(refusal)]


_VERDICT_REASONS: Final[dict[Verdict, Reason]] = {
    "wait": Reason.BUSY,
    "re_enrol": Reason.FORBIDDEN,
    "upgrade": Reason.UNSUPPORTED,
}


def _announced(contact: Contact | None) -> list[Command]:
    return [Announced(contact)] if contact is not None else []


def _reason(text: str) -> Reason:
    return Reason(text) if text in set(Reason) else Reason.INTERNAL
