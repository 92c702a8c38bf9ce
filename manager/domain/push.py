"""Push state: the progress of the latest attempt to deliver a generation to a node.

Decides nothing. Invariant: a push without `concluded_s` is running.
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
    """One push. `changed_s` is the time of the change that it carries, `leaves` the offered leaf of each slot."""

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
        """Record its end."""
        self.concluded_s, self.result, self.reason, self.message = now_s, result, reason, message

    def record(self) -> PushRecord:
        """Return its record for the store."""
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
        """Return its view for the API and people."""
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
    """Return the push of a stored record."""
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
