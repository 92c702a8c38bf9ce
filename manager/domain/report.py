"""Node reports: a node's statements about itself and its pushes, in the manager's own types.

Translated where they come in or go out (`manager.channel.translate`, `manager.store.translate`,
`manager.api.facts`). Times are unix seconds by the node's clock.
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
    """A generation that a node runs: number, content digest, and the leaf in each of its slots."""

    epoch: int
    generation: int
    digest: str
    leaves: Mapping[Slot, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The last generation that a node refused or rolled back; kept until a later success.

    `retry_after_s` is the remaining quarantine of the digest, relative to the report that contains it.
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
        """The parts worth storing: without the remaining quarantine, and without texts that count seconds."""
        return self.digest, self.generation, self.reason, self.attempts


def attempts_with(former: Failure | None, digest: str) -> int:
    """Return how often content has failed in a row after one more failure; `former` is the previous one."""
    return former.attempts + 1 if former is not None and former.digest == digest else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Observed serving state of an endpoint.

    `leaf` is "" with a reason and message if no handshake succeeded.

    A leaf with a reason and message is the installed one, sent with another chain. `tls` is the protocol
    version, `sent` the number of certificates after the leaf. `strict_client` is "" if a strict client with
    the node's trust store accepts it, else the reason, None if not checked yet. `stapled` is whether an OCSP
    response came with a leaf that demands one (RFC 7633), None if the leaf does not or the port did not tell.
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
        """When the leaf expires; None if unknown: not seen, not reported by an old agent, or unreadable."""
        return from_number(self.not_after_s) if self.leaf else None

    @property
    def lasting(self) -> object:
        """The parts worth storing: without the time of the probe, and without texts that count seconds."""
        return replace(self, at_s=0.0, message="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A due reload that waits for its window, for the interval since the last one, or for its service to run."""

    consumer: str
    since_s: float
    reason: WaitReason
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationFault:
    """A fault in a node's own configuration that would make the next installation or start fail.

    `code` is a `common.codes.ConfigurationCode`, or an unknown code of a newer agent.
    """

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRefused:
    """A bundle part that is not on the node, which keeps its former content until the part is installed.

    `digest` is that of the part's content, `file` its path in the bundle, `certificate` the one to blame, ""
    for none.
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
    """A node's report about itself.

    `disk` is the digest of the live tree on disk ("" if unreadable); it differs from `applied.digest` while
    the tree has drifted. `drifts` counts repaired drifts since the agent's start. `refused` are the parts of
    the last offer that are not on the node; `applied` then has another digest than the offer. `contact` is
    how it knows this manager, None if it does not say.
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
    """A node's introduction. `node` is its claimed name; `instance` tells two agents with one key apart."""

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
    """The node refused an offer or its bundle; nothing was touched. `report` is None if the node sent none."""

    push_id: str
    reason: str
    message: str
    retry_after_s: float = 0.0
    report: Report | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Outcome of an installation, which the node sends until it is acknowledged.

    `diagnostics` is the node's state before the rollback, for people; "" if all went well.
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
"""Messages of a node after it was welcomed."""
