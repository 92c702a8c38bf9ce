"""Facts about one node, from its reports: desired, offered, applied and serving, and the current push.

Decides what each message of a node changes. The fleet handles sockets and the store. Invariant: only publishing
changes `desired`, only offering `offered`, and only the node's reports `applied` and `serving`.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from common.bundle.verify import CLOCK_TOLERANCE_S
from common.codes import NodeKind, State
from common.errors import Reason
from common.ids import Digest, NodeName
from common.wire.ladder import remaining_s, step_s
from manager.domain.clocks import is_skew_news
from manager.domain.contact import Contact
from manager.domain.desired import Desired
from manager.domain.duplicate_identity import RecentAgents
from manager.domain.members import Sighting
from manager.domain.model import KeyChange
from manager.domain.push import PushState
from manager.domain.report import (
    Applied,
    ConfigurationFault,
    Failure,
    Outcome,
    PartRefused,
    Progress,
    Rejected,
    Report,
    Serving,
    Waiting,
    attempts_with,
)
from manager.domain.view import Version, excused_consumers, is_stale

LEAP_MAX: Final = 1_000_000
"""Limit for a node's claimed generation above the published one: one generation each minute for two years."""


@dataclass(slots=True, kw_only=True)
class NodeFacts:
    """Known facts about one node. None of the four is derived from another. Times are unix seconds by the manager's clock."""

    name: NodeName
    kind: NodeKind
    joined: bool
    node_id: int = 0
    """The node's number in the store; a node added again under the same name has another one."""
    enrolled_s: float | None = None
    session: int = 0
    """Number of its session at this manager; 0 if there is none."""
    session_s: float = 0.0
    """Start of that session, in monotonic seconds."""
    elsewhere: bool = False
    """Whether another manager has its session."""
    kept_s: float | None = None
    """Time of the stored record that these facts are based on."""
    kept_skew_s: float = 0.0
    """The node's clock skew in that record."""
    key_change: KeyChange | None = None
    awaiting_first_report: bool = False  # it has just joined: earlier state does not count
    desired: Desired | None = None
    running: Desired | None = None  # desired version when the node last reported that it runs it
    applied: Applied | None = None
    reported_failed: Failure | None = None
    refused: Failure | None = None
    serving: tuple[Serving, ...] = ()
    disk: str = ""
    drifts: int = 0
    clock_skew_s: float = 0.0
    waiting: tuple[Waiting, ...] = ()
    configuration: tuple[ConfigurationFault, ...] = ()
    refused_parts: tuple[PartRefused, ...] = ()
    contact: Contact | None = None
    """Address at which it last said that it reaches this manager; None if it never did."""
    diagnostics: str = ""
    """Diagnostics of the last failure, as the node sent them with the outcome."""
    reported_retry_s: float = 0.0
    refused_retry_s: float = 0.0
    connected_s: float | None = None
    last_report_s: float | None = None
    address: str = ""
    agent_version: str = ""
    push: PushState | None = field(default=None, repr=False)
    flood: str = ""
    """Recent excess of the node at this manager, and its source address; "" once it is over."""
    seats: RecentAgents = field(default_factory=RecentAgents, repr=False)
    turned_away: str = ""
    """Why this manager rejected its agent's last greeting, "" if any manager has welcomed it since."""
    sightings: tuple[Sighting, ...] = ()
    """Observations of other managers about it."""
    told: tuple[str, str] = "", ""
    """Observations that this manager has shared, as `flood` and `turned_away`."""

    @property
    def last_failed(self) -> Failure | None:
        """Return the last failure, kept until a later success. A failure of the desired content takes precedence."""
        return self._refused_desired or self.reported_failed or self.refused

    @property
    def _refused_desired(self) -> Failure | None:
        """Return a refusal of the desired content that the node itself does not store."""
        if self.refused is None or self.desired is None:
            return None
        return self.refused if self.refused.digest == self.desired.version.digest else None

    def retry_in_s(self, now_s: float) -> float:
        """Return how much longer the desired content is paused after a failure, 0 if it may be offered now."""
        if not self.failed_desired:
            return 0.0
        until_s = self.refused_retry_s if self._refused_desired is not None else self.reported_retry_s
        return remaining_s(until_s, now_s)

    def connect(self, *, address: str, agent_version: str, since_s: float, now_s: float) -> None:
        """Record a welcomed connection; `since_s` is by the clock of the database, as all managers share it."""
        self.connected_s, self.last_report_s = since_s, now_s
        self.turned_away = ""
        self.address, self.agent_version = address, agent_version

    def disconnect(self, now_s: float) -> None:
        """Record that the connection ended; a current push stays open until the node reports again."""
        self.connected_s, self.session = None, 0
        self.lose_push(now_s)

    def lose_push(self, now_s: float) -> None:
        """Record that the session of a current push is over."""
        if self.is_pushing and self.push is not None:
            text = "the connection ended before the outcome; the node will say what came of it"
            self.push.conclude(now_s, result="lost", reason=Reason.UNREACHABLE, message=text)

    def apply_report(self, report: Report, now_s: float) -> bool:
        """Apply a node's report; return whether anything changed that must be stored."""
        before, skew_before_s = _stable(self), self.clock_skew_s
        self.last_report_s = now_s
        self.applied, self.serving = report.applied, report.serving
        self.disk, self.drifts = report.disk, report.drifts
        self.clock_skew_s = round(report.clock_s - now_s, 3)
        self.reported_failed, self.waiting = report.last_failed, report.waiting
        self.refused_parts = report.refused
        # the node reports the rest of its own back-off; a refusal stored only here began once, and no report
        # restarts it
        if self.reported_failed is not None:
            self.reported_retry_s = now_s + self.reported_failed.retry_after_s
        if self.is_applied:
            self.refused, self.running = None, self.desired
        self.configuration = report.configuration
        # a report with an outcome has no contact
        self.contact = report.contact or self.contact
        if (
            self.refused is not None
            and self.refused.reason == Reason.CLOCK_SKEW
            and abs(self.clock_skew_s) <= CLOCK_TOLERANCE_S < abs(skew_before_s)
        ):
            self.refused_retry_s = now_s
        if (
            self.refused is not None
            and self.refused.reason == Reason.SERVICES_INVALID
            and not any(each.code == Reason.SERVICES_INVALID for each in self.configuration)
        ):
            self.refused_retry_s = now_s
        if self.last_failed is None:
            self.diagnostics = ""
        return before != _stable(self) or is_skew_news(self.clock_skew_s, self.kept_skew_s)

    def offer(self, push_id: str, desired: Desired, now_s: float, *, forced: bool = False) -> None:
        """Record that a generation was offered. Nothing else changes."""
        self.push = PushState(
            push_id=push_id,
            version=desired.version,
            leaves={slot: each.leaf for slot, each in desired.manifest.slots.items()},
            changed_s=desired.changed_s,
            offered_s=now_s,
            forced=forced,
        )

    def progress(self, message: Progress) -> None:
        """Record the phase of an installation."""
        if self.push is not None and self.push.push_id == message.push_id:
            self.push.phase = message.phase

    def conclude(self, message: Rejected | Outcome, now_s: float) -> bool:
        """Record the end of a push; return whether anything changed that must be stored."""
        changed = self.apply_report(message.report, now_s) if message.report is not None else False
        if isinstance(message, Rejected):
            changed = self._refuse(message, now_s) or changed
        if isinstance(message, Outcome) and message.diagnostics:
            self.diagnostics, changed = message.diagnostics, True
        if self.push is not None and self.push.push_id == message.push_id:
            result = "rejected" if isinstance(message, Rejected) else message.result
            self.push.conclude(now_s, result=result, reason=message.reason, message=message.message)
            changed = True
        return changed

    def _refuse(self, message: Rejected, now_s: float) -> bool:
        """Store a refusal that the node does not count as a failed installation (such as a stale generation)."""
        push, kept = self.push, self.reported_failed
        if push is None or push.push_id != message.push_id:
            return False
        if kept is not None and kept.digest == push.version.digest:
            return False
        attempts = attempts_with(self.refused, push.version.digest)
        self.refused = Failure(
            epoch=push.version.epoch,
            generation=push.version.generation,
            digest=push.version.digest,
            result="rejected",
            phase="receive",
            reason=message.reason,
            message=message.message,
            at_s=now_s,
            attempts=attempts,
            retry_after_s=max(message.retry_after_s, step_s(attempts)),
        )
        self.refused_retry_s = now_s + self.refused.retry_after_s
        return True

    def overdue(self, push_id: str, stage: str, now_s: float) -> None:
        """Record that the node did not answer in time."""
        if self.push is not None and self.push.push_id == push_id:
            text = f"the node did not answer in time ({stage})"
            self.push.conclude(now_s, result="overdue", reason=Reason.TIMEOUT, message=text)

    @property
    def is_pushing(self) -> bool:
        """Whether a push is waiting for its outcome."""
        return self.push is not None and self.push.concluded_s is None

    @property
    def is_applied(self) -> bool:
        """Whether the node reports that it runs the desired content."""
        return (
            self.desired is not None
            and self.applied is not None
            and self.applied.digest == self.desired.version.digest
        )

    @property
    def runs(self) -> Version | None:
        """Return the version that the node reports it runs."""
        applied = self.applied
        if applied is None:
            return None
        return Version(epoch=applied.epoch, generation=applied.generation, digest=Digest(applied.digest))

    @property
    def believed_generation(self) -> int:
        """Return the highest generation that this node can credibly have seen.

        A store restored from a backup may have published more than it knows. Claims beyond the limit are not
        believed: they would use up the higher numbers, which every later publication to the node needs.
        """
        published = self.desired.version.generation if self.desired is not None else 0
        claimed = self.applied.generation if self.applied is not None else 0
        return max(published, claimed) if claimed - published <= LEAP_MAX else published

    @property
    def is_drifted(self) -> bool:
        """Whether the node's tree on disk differs from what it applied."""
        return self.applied is not None and bool(self.disk) and self.disk != self.applied.digest

    @property
    def is_in_conflict(self) -> bool:
        """Whether the node runs a generation that this store never published (restored, or another is live)."""
        if self.applied is None or self.is_applied or self.awaiting_first_report:
            return False
        if self.desired is None or self.applied.generation > self.desired.version.generation:
            return True
        return self.runs_namesake

    @property
    def runs_namesake(self) -> bool:
        """Whether the store lost the node's running generation and reused its number: the node calls it stale."""
        # a partly installed generation has another digest
        if self.runs is None or self.desired is None or self.refused_parts:
            return False
        desired = self.desired.version
        return self.runs == replace(desired, digest=self.runs.digest) != desired

    @property
    def failed_desired(self) -> bool:
        """Whether the last failure concerns the desired content."""
        return (
            self.last_failed is not None
            and self.desired is not None
            and self.last_failed.digest == self.desired.version.digest
        )

    def stale_endpoints(self) -> list[Serving]:
        """Return the endpoints whose leaf or chain is not the applied one, except where a reload is held back."""
        leaves = self.applied.leaves if self.applied is not None else {}
        excused = excused_consumers(
            self.waiting, last_report_s=self.last_report_s, clock_skew_s=self.clock_skew_s
        )
        return [
            seen
            for seen in self.serving
            if is_stale(seen, leaves.get(seen.slot, "")) and seen.consumer not in excused
        ]

    def state(self) -> State:
        """Return the node's state as one word, the most urgent first."""
        if not self.joined:
            return "never_joined"
        if self.connected_s is None:
            return "offline"
        if self.is_in_conflict:
            return "conflict"
        if self.is_applied:
            if self.is_drifted:
                return "drifted"
            if self.stale_endpoints():
                return "not_serving"
            return "reload_waiting" if self.waiting else "in_sync"
        if self.is_pushing:
            return "installing"
        failed = self.last_failed if self.failed_desired else None
        if failed is not None:
            return "scheduled" if failed.reason == Reason.NOT_YET_VALID else "failed"
        if self._is_offered_elsewhere:
            return "installing"
        refused = self.push is not None and self.push.result not in {"", "applied", "lost"}
        return "failed" if refused else "pending"

    @property
    def _is_offered_elsewhere(self) -> bool:
        """Whether the manager with its session is offering the desired content. It does so at once, but shares only slow steps."""
        if not self.elsewhere or self.desired is None:
            return False
        push = self.push
        # 'lost' and 'overdue' end the session, and the next session offers it again
        return push is None or push.version != self.desired.version or push.result in {"lost", "overdue"}


def _stable(facts: NodeFacts) -> object:
    """Return the facts that must be stored: no probe times, remaining quarantine or texts with seconds."""
    return (
        facts.applied,
        [each.lasting for each in (facts.reported_failed, facts.refused) if each is not None],
        [each.lasting for each in facts.serving],
        facts.disk,
        facts.drifts,
        [(each.consumer, each.since_s, each.reason) for each in facts.waiting],
        facts.configuration,
        [(each.part, each.digest, each.reason, each.file, each.certificate) for each in facts.refused_parts],
        facts.contact,
    )
