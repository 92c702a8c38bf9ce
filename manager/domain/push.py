"""Push state: how far the latest attempt to deliver a generation to a node has come.

Decides nothing; invariant: a push that has no `concluded_s` is under way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.bundle.manifest import Slot
from common.codes import Phase
from common.ids import Digest, Fingerprint
from manager.domain.model import PushRecord
from manager.domain.view import PushView, Version


@dataclass(slots=True, kw_only=True)
class PushState:
    """One push. `changed_s` is when the change that it carries was made, `leaves` are what is offered in each slot."""

    push_id: str
    version: Version
    leaves: Mapping[Slot, Fingerprint] = field(default_factory=dict)
    changed_s: float
    offered_s: float
    forced: bool
    concluded_s: float | None = None
    phase: Phase | None = None
    result: str = ""
    reason: str = ""
    message: str = ""

    def conclude(self, now_s: float, *, result: str, reason: str, message: str) -> None:
        """Note how it ended."""
        self.concluded_s, self.result, self.reason, self.message = now_s, result, reason, message

    def record(self) -> PushRecord:
        """Return what the store keeps of it."""
        return PushRecord(
            push_id=self.push_id,
            epoch=self.version.epoch,
            generation=self.version.generation,
            digest=self.version.digest,
            leaves=dict(self.leaves),
            changed_s=self.changed_s,
            offered_s=self.offered_s,
            forced=self.forced,
            concluded_s=self.concluded_s,
            phase=self.phase,
            result=self.result,
            reason=self.reason,
            message=self.message,
        )

    def view(self) -> PushView:
        """Return it as the API and people see it."""
        return PushView(
            push_id=self.push_id,
            generation=self.version.generation,
            changed_at_s=self.changed_s,
            offered_at_s=self.offered_s,
            concluded_at_s=self.concluded_s,
            phase=self.phase,
            result=self.result,
            reason=self.reason,
            message=self.message,
        )


def push_of(record: PushRecord) -> PushState:
    """Return a push as the store kept it."""
    return PushState(
        push_id=record.push_id,
        version=Version(epoch=record.epoch, generation=record.generation, digest=Digest(record.digest)),
        leaves={slot: Fingerprint(leaf) for slot, leaf in record.leaves.items()},
        changed_s=record.changed_s,
        offered_s=record.offered_s,
        forced=record.forced,
        concluded_s=record.concluded_s,
        phase=record.phase,
        result=record.result,
        reason=record.reason,
        message=record.message,
    )
