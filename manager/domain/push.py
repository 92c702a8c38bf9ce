"""Push state: how far the latest attempt to deliver a generation to a node has come.

Decides nothing; invariant: a push that has no `concluded_s` is under way.
"""

from dataclasses import dataclass

from common.codes import Phase
from manager.domain.view import PushView, Version


@dataclass(slots=True, kw_only=True)
class PushState:
    """One push. `changed_s` is when the change that it carries was made."""

    push_id: str
    version: Version
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

    def view(self) -> PushView:
        """Return it as the API and people see it."""
        return PushView(
            push_id=self.push_id,
            generation=self.version.generation,
            changed_s=self.changed_s,
            offered_s=self.offered_s,
            concluded_s=self.concluded_s,
            phase=self.phase,
            result=self.result,
            reason=self.reason,
            message=self.message,
        )
