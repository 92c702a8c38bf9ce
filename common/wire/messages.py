"""The messages of the conversation, msgpack maps tagged by `t`.

Decides shapes and limits. Readers ignore unknown fields, so a manager can speak to agents one version behind
it. Invariant: every string and list from the network has a ceiling.

The course of a conversation (A agent, M manager):

    A hello -> M welcome -> (M offer -> A want -> M payload* -> A accepted | rejected -> A progress* -> A outcome
    -> M outcome_ack)*, and each minute A tick -> M tock; at any time (M challenges -> A challenges_kept)*.

A manager that knows which small payloads an agent lacks sends them right after the offer. An agent that lacks
nothing else sends no want.
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
"""How long an agent with an unsupported protocol waits before it dials again.

Short enough to connect soon after this side is upgraded; 10,000 such agents send 33 greetings a second.
"""

DIAGNOSTICS_MAX_BYTES: Final = 8 * 1024
"""The text is ASCII, so this counts both UTF-8 bytes and characters."""

CONFIGURATION_FAULTS_MAX: Final = 16
PAYLOADS_MAX: Final = 32
"""The limit for one list of digests; a bundle has at most fifteen files."""

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
    """The last generation that a node refused or rolled back, reported until a later success.

    `retry_after_s` is the rest of the digest's quarantine, counted from the message that carries it.
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
    """The certificate that an endpoint serves. `leaf` is "" with a reason and message if no handshake succeeded.

    A leaf with a reason and message is the installed leaf, sent with a chain other than the installed one.
    `tls` is the protocol version; `sent` counts the certificates after the leaf. `strict_client` is "" if a
    strict client with the node's trust store accepts the certificate, otherwise the objection, and None before
    the check. `stapled` says whether an OCSP response came with a leaf that demands one (RFC 7633); None for
    any other leaf.
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
        """Return when the leaf expires; None if it was not seen, not readable, or not reported by an old agent."""
        return from_number(self.not_after_s) if self.leaf else None


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """A due reload that waits for its window, for its minimum interval, or for its service to run."""

    consumer: Name
    since_s: Moment
    reason: WaitReason
    message: Text = ""


class ConfigurationFault(msgspec.Struct, frozen=True, kw_only=True):
    """A fault in the node's own configuration that would fail the next installation or start.

    `code` is a `common.codes.ConfigurationCode`, or a code that only a newer agent knows.
    """

    code: ReasonText
    message: Text


class PartRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a bundle that the node refused; it has the former content or none. Reported until installed.

    `digest` is the digest of the part's content, `file` its path in the bundle. `certificate` names the
    certificate to blame, "" for none.
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
    """A node's report about itself.

    `disk` is the digest of the live tree on disk now ("" if unreadable); it differs from `applied.digest`
    while the tree has drifted. `drifts` counts the drifts repaired since start. `configuration` lists faults in
    the administrator's files. `refused` lists the parts of the last offer that are not on the node; the digest
    of `applied` then differs from the offer's. `stopped` exists only on the wire: the waits for a service,
    which a manager of an earlier release could not read in `waiting`.
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

    The agent draws a random `instance` at each start, which tells apart two agents with one key even on one
    machine; "" from an older agent. `accepts_carried` says whether payloads may follow an offer unasked.
    `contact` is the manager's contact as the node knows it, None from an agent that only uses the one it joined
    with. `challenges_held` counts the challenges that the node shows, None from an agent without support.
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
    """The manager's answer. The agent keeps `contact`.

    After any verdict but ok it closes the connection and dials again after `retry_after_s`.
    """

    verdict: Verdict
    retry_after_s: Duration = 0.0
    server_time_s: Moment = 0.0
    epoch: Count = 0
    message: Text = ""
    contact: Contact | None = None


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="offer"):
    """A generation to install; the blob is its canonical manifest. `forced` overrides quarantine and shrink guard.

    `confirmed_anchors` is the number of trust anchors that an operator confirmed: the shrink guard lets a trust
    store with that many pass. `carried` lists the digests of the payloads that follow at once, unasked.
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
    """The bytes of one entry, in the blob."""

    push_id: Name
    digest: Hex


class Accepted(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="accepted"):
    """The bundle is complete and passed every check. Installation begins and ends within `within_s`."""

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
    """The outcome of an installation, sent again after each reconnect until it is acknowledged.

    `diagnostics` describes the node before the rollback, for people; "" after a success.
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
    """The node's report, once a minute: digests only. `contact` as in `hello`."""

    report: Report
    contact: Contact | None = None


class Tock(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="tock"):
    """The manager's answer to a tick. Sent unasked with a `contact` when the manager's addresses or keys change."""

    server_time_s: Moment
    epoch: Count
    contact: Contact | None = None


class Goodbye(msgspec.Struct, frozen=True, kw_only=True, tag_field="t", tag="goodbye"):
    """The manager closes on purpose: it is stopping, or a newer connection of this node replaced this one."""

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
    """Return the tag of a kind of message on the wire."""
    return str(kind.__struct_config__.tag)
