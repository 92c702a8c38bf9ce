"""Node reports: what a node says about itself and about the pushes that it was offered, in the manager's own terms.

The wire has messages for this, the store records, and the API answers; each is translated where it comes in or goes out
(`manager.channel.translate`, `manager.store.translate`, `manager.api.facts`). Times are unix seconds by the node's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from common.bundle.manifest import Slot
from common.bundle.parts import Part
from common.codes import FailureResult, Phase, Result, WaitReason
from common.pki.expiry import from_number
from manager.domain.challenges import ChallengesKept
from manager.domain.contact import Contact


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A generation that a node runs, by version and content digest, and the leaf in each of its slots."""

    epoch: int
    generation: int
    digest: str
    leaves: Mapping[Slot, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last generation that a node refused or rolled back; stays until a later success.

    `retry_after_s` is how much longer the digest is in quarantine, relative to the report that has it.
    """

    epoch: int
    generation: int
    digest: str
    result: FailureResult
    phase: Phase
    reason: str
    message: str
    at_s: float
    attempts: int
    retry_after_s: float

    @property
    def lasting(self) -> object:
        """What of it is worth keeping: not what is left of a quarantine, and no text that counts seconds."""
        return self.digest, self.generation, self.reason, self.attempts


def attempts_with(former: Failure | None, digest: str) -> int:
    """Return how often content has failed in a row if it has failed once more, `former` being the failure before."""
    return former.attempts + 1 if former is not None and former.digest == digest else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What an endpoint was seen to serve. `leaf` is "" with a reason and message if no handshake succeeded.

    A leaf with a reason and message is the installed one, sent with another chain than the installed one. `tls` is the
    protocol version, `sent` counts the certificates sent after the leaf. `strict_client` is "" if a strict client that
    trusts what the node was given accepts it, else why it does not, None if that was not asked yet. `stapled` says whether an
    OCSP response came along with a leaf that demands one (RFC 7633), None if the leaf does not or the port would not tell.
    """

    consumer: str
    endpoint: str
    slot: Slot
    leaf: str
    not_after_s: int = 0
    at_s: float = 0.0
    reason: str = ""
    message: str = ""
    tls: str = ""
    sent: int = 0
    strict_client: str | None = None
    stapled: bool | None = None

    @property
    def ends_s(self) -> int | None:
        """When the leaf ends, None where that is not known: not seen, not told by an old agent, or not readable."""
        return from_number(self.not_after_s) if self.leaf else None

    @property
    def lasting(self) -> object:
        """What of it is worth keeping: not when it was probed, and no text that counts seconds."""
        return replace(self, at_s=0.0, message="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A reload that is due and waits: for its window, since the last one was not long ago, or for its service to run."""

    consumer: str
    since_s: float
    reason: WaitReason
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFault:
    """What is wrong with a node's own configuration and would fail at the next installation or start.

    `code` is a `common.codes.ConfigurationCode`, or what a newer agent calls something else.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRefused:
    """A part of a bundle that is not on the node: its former content is, or none. Stays until the part is installed.

    `digest` is that of the part's content, `file` its path in the bundle, `certificate` names the one to blame, "" for none.
    """

    part: Part
    digest: str
    reason: str
    message: str = ""
    file: str = ""
    certificate: str = ""
    attempts: int = 1
    retry_after_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a node knows about itself.

    `disk` is the digest of the live tree as it is on disk now ("" if unreadable), which differs from `applied.digest` while the
    tree has drifted; `drifts` counts repaired drifts since the agent's start. `refused` are the parts of the last offer that are
    not on the node; `applied` then has another digest than the offer. `contact` is how it knows this manager, None where it does not say.
    """

    applied: Applied | None = None
    last_failed: Failure | None = None
    serving: tuple[Serving, ...] = ()
    disk: str = ""
    drifts: int = 0
    clock_s: float = 0.0
    waiting: tuple[Waiting, ...] = ()
    configuration: tuple[ConfigurationFault, ...] = ()
    refused: tuple[PartRefused, ...] = ()
    contact: Contact | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """A node's introduction. `node` is the name that it claims; `instance` tells two agents with one key apart."""

    node: str
    instance: str
    agent_version: str
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The bundle of a push passed the node's checks, and is being installed."""

    push_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The installation of a push entered a phase."""

    push_id: str
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The node refused an offer or its bundle; nothing was touched. `report` is None where the node sent none along."""

    push_id: str
    reason: str
    message: str
    retry_after_s: float = 0.0
    report: Report | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an installation. The node sends it until it is acknowledged.

    `diagnostics` is what was seen on the node before anything was taken back, for people; "" if all went well.
    """

    push_id: str
    epoch: int
    generation: int
    digest: str
    result: Result
    phase: Phase
    reason: str = ""
    message: str = ""
    at_s: float = 0.0
    duration_ms: int = 0
    reloads: int = 0
    diagnostics: str = ""
    report: Report


Statement = Report | Accepted | Progress | Rejected | Outcome | ChallengesKept
"""What a node says once it has been welcomed."""
