"""Stored alarms, and the changes that bring them up to date."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from common.ids import CertificateId, NodeName
from manager.domain.alarms.kinds import AlarmSpec, Condition, Subject
from manager.domain.alarms.registry import ALARM_SPECS
from manager.domain.inventory import Inventory


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRecord:
    """An alarm in the store; active while `lowered_s` is None. Times are unix seconds."""

    id: int
    subject: Subject
    label: str
    node: str
    details: str
    raised_s: float
    lowered_s: float | None
    acknowledged_s: float | None
    acknowledged_by: str | None

    @property
    def spec(self) -> AlarmSpec:
        """Return the properties of the alarm's kind."""
        return ALARM_SPECS[self.subject.kind]

    def nodes(self, inventory: Inventory) -> Sequence[NodeName]:
        """Return the nodes concerned: the alarm's own node, or those that have its certificate now."""
        if self.node:
            return (NodeName(self.node),)
        what, _, number = self.subject.key.partition(":")
        if what != "certificate" or (entry := inventory.entries.get(CertificateId(int(number)))) is None:
            return ()
        return tuple(dict.fromkeys(place.node for place in entry.places))


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmChanges:
    """Changes that bring the active alarms up to date: raise, lower, and reword (by id)."""

    raised: Sequence[Condition]
    lowered: Sequence[AlarmRecord]
    updated: Mapping[int, Condition]

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.raised or self.lowered or self.updated)


class OnsetDelay:
    """Remembers when conditions began, and passes on those that have lasted long enough."""

    def __init__(self) -> None:
        self._since: dict[Subject, float] = {}

    def lasting(self, conditions: Iterable[Condition], *, now_s: float) -> list[Condition]:
        """Return the conditions whose kind's delay is over, and forget those that ended. `now_s` is monotonic."""
        since: dict[Subject, float] = {}
        lasting = []
        for condition in conditions:
            first_s = since[condition.subject] = self._since.get(condition.subject, now_s)
            if now_s - first_s >= ALARM_SPECS[condition.subject.kind].delay_s:
                lasting.append(condition)
        self._since = since
        return lasting


def compare(active: Iterable[AlarmRecord], conditions: Iterable[Condition]) -> AlarmChanges:
    """Return the changes that make the active alarms match the conditions."""
    wanted = {condition.subject: condition for condition in conditions}
    active_by_subject = {record.subject: record for record in active}
    return AlarmChanges(
        raised=[
            condition
            for subject, condition in wanted.items()
            if subject not in active_by_subject and not condition.sustains
        ],
        lowered=[record for subject, record in active_by_subject.items() if subject not in wanted],
        updated={
            record.id: wanted[subject]
            for subject, record in active_by_subject.items()
            if subject in wanted
            and (wanted[subject].details, wanted[subject].label) != (record.details, record.label)
        },
    )
