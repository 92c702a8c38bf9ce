"""The messages of the conversation, msgpack maps tagged by `t`.

Decides shapes and limits. A field that the reader does not know is ignored, so that a manager can speak to agents
one version behind it. Invariant: every string and list from the network has a ceiling.

The course of a conversation (A agent, M manager):

    A hello -> M welcome -> (M offer -> A want -> M payload* -> A accepted | rejected -> A progress* -> A outcome
    -> M outcome_ack)*, and each minute A tick -> M tock; beside it (M challenges -> A challenges_kept)*.

Where a manager knows what an agent lacks, small payloads follow the offer at once; an agent that lacks nothing else says no want.
"""

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from common.bundle.manifest import Slot
from common.bundle.parts import Part
from common.errors import ProtocolError, Reason
from common.pki.expiry import from_number
from common.schema import UNDECODABLE, finding_text
from common.wire.challenges import Challenges, ChallengesKept
from common.wire.contact import Contact
from common.wire.fields import Calendar, Count, Duration, Hex, Moment, Name, PartText, ReasonText, Text
from common.wire.frames import encode_frame

PROTOCOL: Final = 1
"""The version spoken by this side. A manager accepts PROTOCOL and PROTOCOL - 1, so managers are upgraded first."""

PROTOCOLS: Final = (1,)

UPGRADE_RETRY_S: Final = 300.0
"""After which an agent whose protocol is not spoken here asks again: soon after this side was upgraded, and 10,000 such agents are 33 greetings a second."""

DIAGNOSTICS_MAX_BYTES: Final = 8 * 1024
"""As UTF-8; ASCII, so that bytes and characters are the same."""

CONFIGURATION_FAULTS_MAX: Final = 16
PAYLOADS_MAX: Final = 32
"""In one list of digests; a bundle has at most fifteen files."""

Verdict = Literal["ok", "wait", "re_enrol", "upgrade"]
WaitReason = Literal["window", "interval", "service"]
Result = Literal["applied", "rolled_back", "failed"]
Phase = Literal["receive", "preflight", "check", "stage", "switch", "reload", "verify", "commit", "rollback"]


class Applied(msgspec.Struct, frozen=True, kw_only=True):
    """A generation that a node runs, by version and content digest, and the leaf in each of its slots."""

    epoch: Count
    generation: Count
    digest: Hex
    leaves: dict[Slot, Hex] = {}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last generation that a node refused or rolled back; stays until a later success.

    `retry_after_s` is how much longer the digest is in quarantine, relative to the message that carries it.
    """

    epoch: Count
    generation: Count
    digest: Hex
    result: Literal["rolled_back", "failed", "rejected"]
    phase: Phase
    reason: ReasonText
    message: Text
    at_s: Moment
    attempts: Count
    retry_after_s: Duration


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """What an endpoint was seen to serve. `leaf` is "" with a reason and message if no handshake succeeded.

    A leaf with a reason and message is the installed one, sent with another chain than the installed one. `tls` is the protocol version,
    `sent` counts the certificates sent after the leaf. `strict_client` is "" if a strict client that trusts what the node was given accepts
    it, else why not, None if not asked yet. `stapled`: whether an OCSP response came with a leaf that demands one (RFC 7633), else None.
    """

    consumer: Name
    endpoint: Name
    slot: Slot
    leaf: Hex
    not_after_s: Calendar = 0
    at_s: Moment = 0.0
    reason: ReasonText = ""
    message: Text = ""
    tls: Name = ""
    sent: Count = 0
    strict_client: Text | None = None
    stapled: bool | None = None

    @property
    def ends_s(self) -> int | None:
        """Return when the leaf ends, None where that is not known: not seen, not told by an old agent, or not readable."""
        return from_number(self.not_after_s) if self.leaf else None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A reload that is due and waits: for its window, since the last one was not long ago, or for its service to run."""

    consumer: Name
    since_s: Moment
    reason: WaitReason
    message: Text = ""


class ConfigurationFault(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with the node's own configuration and would fail at the next installation or start.

    `code` is a `common.codes.ConfigurationCode`, or what a newer agent calls something else.
    """

    code: ReasonText
    message: Text


class PartRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a bundle that is not on the node: its former content is, or none. Stays until the part is installed.

    `digest` is that of the part's content, `file` its path in the bundle, `certificate` names the one to blame, "" for none.
    """

    part: Part
    digest: Hex
    reason: ReasonText
    message: PartText = ""
    file: Name = ""
    certificate: PartText = ""
    attempts: Count = 1
    retry_after_s: Duration = 0.0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a node knows about itself.

    `disk` is the digest of the live tree as it is on disk now ("" if unreadable),
    which differs from `applied.digest` while the tree has drifted; `drifts` counts repaired drifts since start.
    `configuration` is empty while nothing is wrong with what the node's administrator wrote.
    `refused` are the parts of the last offer that are not on the node; `applied` then has another digest than the offer.
    `stopped` is on the wire only: the waits for a service, which a manager of an earlier release would not read in `waiting`.
    """

    applied: Applied | None = None
    last_failed: Failure | None = None
    serving: Annotated[list[Serving], Meta(max_length=64)] = []
    disk: Hex = ""
    drifts: Count = 0
    clock_s: Moment = 0.0
    waiting: Annotated[list[Waiting], Meta(max_length=16)] = []
    configuration: Annotated[list[ConfigurationFault], Meta(max_length=CONFIGURATION_FAULTS_MAX)] = []
    refused: Annotated[list[PartRefused], Meta(max_length=3)] = []
    stopped: Annotated[list[Waiting], Meta(max_length=16)] = []


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="hello"):
    """The agent's first message.

    `instance` is drawn at each start of the agent, so that two agents with one key are told apart on one machine, too;
    "" from an agent that does not say. `accepts_carried`: whether payloads may follow an offer before they are asked for. `contact` is
    how the node knows its manager, None from an agent that keeps what it joined with. `challenges_held` is how many challenges
    the node shows, None from an agent that knows none.
    """

    protocol: Count
    node: Name
    boot_id: Name
    agent_version: Name
    report: Report
    instance: Name = ""
    accepts_carried: bool = False
    contact: Contact | None = None
    challenges_held: Count | None = None


class Welcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="welcome"):
    """The manager's answer. After any verdict but ok the agent closes, and dials again after `retry_after_s`. `contact` is to be kept."""

    verdict: Verdict
    retry_after_s: Duration = 0.0
    server_time_s: Moment = 0.0
    epoch: Count = 0
    message: Text = ""
    contact: Contact | None = None


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="offer"):
    """A generation to install; the blob is its canonical manifest. `forced` overrides quarantine and shrink guard.

    `confirmed_anchors` is how few anchors an operator has confirmed: the shrink guard lets a trust store of as many pass.
    `carried` are the digests of the payloads that follow at once, without being asked for.
    """

    push_id: Name
    epoch: Count
    generation: Count
    digest: Hex
    forced: bool = False
    confirmed_anchors: Count | None = msgspec.field(default=None, name="anchors_meant")
    carried: Annotated[list[Hex], Meta(max_length=PAYLOADS_MAX)] = []


class Want(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="want"):
    """The digests that the agent lacks and that its offer does not carry, possibly none."""

    push_id: Name
    digests: Annotated[list[Hex], Meta(max_length=PAYLOADS_MAX)]


class Payload(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="payload"):
    """One entry's bytes, in the blob."""

    push_id: Name
    digest: Hex


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="accepted"):
    """The bundle is whole and passed every check; installation begins. The outcome follows within `within_s`."""

    push_id: Name
    within_s: Annotated[float, Meta(ge=0, le=3600)]


class Rejected(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="rejected"):
    """The offer or bundle is refused; nothing was touched."""

    push_id: Name
    reason: ReasonText
    message: Text
    retry_after_s: Duration = 0.0
    report: Report | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="progress"):
    """The installation entered a phase; `detail` names a consumer or endpoint."""

    push_id: Name
    phase: Phase
    detail: Name = ""


class Outcome(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="outcome"):
    """What came of an installation. Sent again after each reconnect until it is acknowledged.

    `diagnostics` is what was seen on the node before anything was taken back, for people; "" if all went well.
    """

    push_id: Name
    epoch: Count
    generation: Count
    digest: Hex
    result: Result
    phase: Phase
    reason: ReasonText = ""
    message: Text = ""
    at_s: Moment = 0.0
    duration_ms: Count = 0
    reloads: Count = 0
    diagnostics: Annotated[str, Meta(max_length=DIAGNOSTICS_MAX_BYTES)] = ""
    report: Report


class OutcomeAck(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="outcome_ack"):
    """The manager has the outcome on disk; the agent may forget it."""

    push_id: Name


class Tick(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="tick"):
    """The minute's report of the node: digests only. `contact` as in `hello`."""

    report: Report
    contact: Contact | None = None


class Tock(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="tock"):
    """The manager's answer to a tick, and, with a `contact`, its word unasked that it is to be reached otherwise from now on."""

    server_time_s: Moment
    epoch: Count
    contact: Contact | None = None


class Goodbye(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="goodbye"):
    """The manager closes on purpose (it stops, or a newer connection of this node replaced this one)."""

    reason: ReasonText
    retry_after_s: Duration


FromAgent = Hello | Want | Accepted | Rejected | Progress | Outcome | Tick | ChallengesKept
FromManager = Welcome | Offer | Payload | OutcomeAck | Tock | Goodbye | Challenges
Message = FromAgent | FromManager

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message, blob: bytes = b"") -> bytes:
    """Return the frame of a message."""
    report = getattr(message, "report", None)
    if isinstance(report, Report) and any(one.reason == "service" for one in report.waiting):
        paced = [one for one in report.waiting if one.reason != "service"]
        stopped = [one for one in report.waiting if one.reason == "service"]
        report = msgspec.structs.replace(report, waiting=paced, stopped=stopped)
        message = msgspec.structs.replace(message, report=report)
    return encode_frame(_ENCODER.encode(message), blob)


def decode(header: bytes) -> Message:
    """Read a message. Raises ProtocolError BAD_MESSAGE for an unknown one or a field outside its limits."""
    try:
        message = _DECODER.decode(header)
    except UNDECODABLE as error:
        raise ProtocolError(
            f"the message cannot be read: {finding_text(error)}", reason=Reason.BAD_MESSAGE
        ) from error
    report = getattr(message, "report", None)
    if isinstance(report, Report) and report.stopped:
        waiting = [*report.waiting, *report.stopped]
        report = msgspec.structs.replace(report, waiting=waiting, stopped=[])
        message = msgspec.structs.replace(message, report=report)
    return message


def tag_of(kind: type[Message]) -> str:
    """Return the word by which a kind of message is told on the wire."""
    return str(kind.__struct_config__.tag)
