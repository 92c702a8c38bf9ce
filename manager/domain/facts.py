"""One node's facts, from its reports: what is desired, offered, applied and serving, and the push under way.

Decides what each word from a node changes. Leaves sockets and the store to the fleet.
Invariant: `desired` moves only by publishing, `offered` only by offering, `applied` and `serving` only by the node's word.
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
"""How much more than this store has published a node may claim to run: a new generation each minute for two years."""


@dataclass(slots=True, kw_only=True)
class NodeFacts:
    """What is known of one node: the four facts, none of which is derived from another. Times are unix seconds by the manager's clock."""

    name: NodeName
    kind: NodeKind
    joined: bool
    node_id: int = 0
    """The store's number of it, which a node that is added again under its name does not have."""
    enrolled_s: float | None = None
    session: int = 0
    """The number under which this manager has its session; 0 if it has none."""
    session_s: float = 0.0
    """When that was taken, in monotonic seconds."""
    elsewhere: bool = False
    """Whether another manager has its session."""
    kept_s: float | None = None
    """When the record was made that memory is of, as the store has it."""
    kept_skew_s: float = 0.0
    """What that says of the node's clock."""
    key_change: KeyChange | None = None
    awaiting_first_report: bool = False  # it has just joined: nothing from an earlier life counts
    desired: Desired | None = None
    running: Desired | None = None  # what was desired when it last said that it runs that
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
    """How it said last that it reaches this manager; None if it never did."""
    diagnostics: str = ""
    """Of the last failure, as the node sent it with the outcome."""
    reported_retry_s: float = 0.0
    refused_retry_s: float = 0.0
    connected_s: float | None = None
    last_report_s: float | None = None
    address: str = ""
    agent_version: str = ""
    push: PushState | None = field(default=None, repr=False)
    flood: str = ""
    """What it said or did too much of lately at this manager, and from where; "" once that is over."""
    seats: RecentAgents = field(default_factory=RecentAgents, repr=False)
    turned_away: str = ""
    """Why this manager sent its agent away at its last greeting, "" if it was welcomed since by any."""
    sightings: tuple[Sighting, ...] = ()
    """What other managers noticed of it."""
    told: tuple[str, str] = "", ""
    """What this manager told them, as `flood` and `turned_away`."""

    @property
    def last_failed(self) -> Failure | None:
        """Return the last failure, which stays until a later success: one of what is desired now before any other."""
        return self._refused_desired or self.reported_failed or self.refused

    @property
    def _refused_desired(self) -> Failure | None:
        """Return the refusal of what is desired now that the node itself does not keep."""
        if self.refused is None or self.desired is None:
            return None
        return self.refused if self.refused.digest == self.desired.version.digest else None

    def retry_in_s(self, now_s: float) -> float:
        """Return how much longer what is desired is paused after a failure, 0 if it may be offered now."""
        if not self.failed_desired:
            return 0.0
        until_s = self.refused_retry_s if self._refused_desired is not None else self.reported_retry_s
        return remaining_s(until_s, now_s)

    def connect(self, *, address: str, agent_version: str, since_s: float, now_s: float) -> None:
        """Note a conversation that was welcomed, since when by the database's clock, as every manager has it."""
        self.connected_s, self.last_report_s = since_s, now_s
        self.turned_away = ""
        self.address, self.agent_version = address, agent_version

    def disconnect(self, now_s: float) -> None:
        """Note that the conversation ended; a push under way is open until the node speaks again."""
        self.connected_s, self.session = None, 0
        self.lose_push(now_s)

    def lose_push(self, now_s: float) -> None:
        """Note that the session is over in which a push was under way, if one was."""
        if self.is_pushing and self.push is not None:
            text = "the connection ended before the outcome; the node will say what came of it"
            self.push.conclude(now_s, result="lost", reason=Reason.UNREACHABLE, message=text)

    def apply_report(self, report: Report, now_s: float) -> bool:
        """Take a node's word about itself; return whether anything has changed that the store is to keep."""
        before, skew_before_s = _stable(self), self.clock_skew_s
        self.last_report_s = now_s
        self.applied, self.serving = report.applied, report.serving
        self.disk, self.drifts = report.disk, report.drifts
        self.clock_skew_s = round(report.clock_s - now_s, 3)
        self.reported_failed, self.waiting = report.last_failed, report.waiting
        self.refused_parts = report.refused
        # the node's own rest is what is left of it; a refusal that only this side keeps began once, and no report restarts it
        if self.reported_failed is not None:
            self.reported_retry_s = now_s + self.reported_failed.retry_after_s
        if self.is_applied:
            self.refused, self.running = None, self.desired
        self.configuration = report.configuration
        # a report that comes with an outcome has no contact
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
        """Note that a generation was offered. Nothing else advances."""
        self.push = PushState(
            push_id=push_id,
            version=desired.version,
            leaves={slot: each.leaf for slot, each in desired.manifest.slots.items()},
            changed_s=desired.changed_s,
            offered_s=now_s,
            forced=forced,
        )

    def progress(self, message: Progress) -> None:
        """Note the phase that an installation entered."""
        if self.push is not None and self.push.push_id == message.push_id:
            self.push.phase = message.phase

    def conclude(self, message: Rejected | Outcome, now_s: float) -> bool:
        """Take the end of a push; return whether anything that the store keeps has changed."""
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
        """Keep a refusal that the node itself does not count as a failed installation (a stale generation, say)."""
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
        """Note that the node did not answer in time."""
        if self.push is not None and self.push.push_id == push_id:
            text = f"the node did not answer in time ({stage})"
            self.push.conclude(now_s, result="overdue", reason=Reason.TIMEOUT, message=text)

    @property
    def is_pushing(self) -> bool:
        """Whether a push waits for its end."""
        return self.push is not None and self.push.concluded_s is None

    @property
    def is_applied(self) -> bool:
        """Whether the node says that it runs what is desired."""
        return (
            self.desired is not None
            and self.applied is not None
            and self.applied.digest == self.desired.version.digest
        )

    @property
    def runs(self) -> Version | None:
        """Return what the node says that it runs."""
        applied = self.applied
        if applied is None:
            return None
        return Version(epoch=applied.epoch, generation=applied.generation, digest=Digest(applied.digest))

    @property
    def believed_generation(self) -> int:
        """Return the highest number that this node can have seen, as far as is credible.

        Before a store was restored from a backup it may have published more than it knows now. What is further off it never did: whoever
        claims it would use up the numbers above, which everything that is published to the node must have.
        """
        published = self.desired.version.generation if self.desired is not None else 0
        claimed = self.applied.generation if self.applied is not None else 0
        return max(published, claimed) if claimed - published <= LEAP_MAX else published

    @property
    def is_drifted(self) -> bool:
        """Whether the node's tree on disk is not what it applied."""
        return self.applied is not None and bool(self.disk) and self.disk != self.applied.digest

    @property
    def is_in_conflict(self) -> bool:
        """Whether the node runs a generation that this store has never published (it was restored, or another is live)."""
        if self.applied is None or self.is_applied or self.awaiting_first_report:
            return False
        if self.desired is None or self.applied.generation > self.desired.version.generation:
            return True
        return self.runs_namesake

    @property
    def runs_namesake(self) -> bool:
        """Whether the store lost the generation that the node runs, and gave its number once more, which the node refuses as stale."""
        # of what it installed in part the digest is another
        if self.runs is None or self.desired is None or self.refused_parts:
            return False
        desired = self.desired.version
        return self.runs == replace(desired, digest=self.runs.digest) != desired

    @property
    def failed_desired(self) -> bool:
        """Whether the last failure is of what is desired now."""
        return (
            self.last_failed is not None
            and self.desired is not None
            and self.last_failed.digest == self.desired.version.digest
        )

    def stale_endpoints(self) -> list[Serving]:
        """Return the endpoints that do not serve what the node applied, by leaf or by chain.

        Those whose service waits for its reload on purpose are not among them.
        """
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
        """Return the one word for this node, the most urgent first."""
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
        """Whether the manager that has its session is offering what is desired: it does so at once, and tells of it only what takes time."""
        if not self.elsewhere or self.desired is None:
            return False
        push = self.push
        # 'lost' and 'overdue' end the session, and the next session offers it again
        return push is None or push.version != self.desired.version or push.result in {"lost", "overdue"}


def _stable(facts: NodeFacts) -> object:
    """Return the part of the facts whose change must be stored: without times of probes, what is left of a quarantine, and texts that count seconds."""
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
