"""A certificate should be renewed by now: half of the time is gone that was left for it."""

from typing import Final

from common.words import date
from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, manager_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import RenewalRecord
from manager.domain.renewal.schedule import moment_of, urgent_s

SPEC: Final = manager_spec(AlarmKind.RENEWAL_OVERDUE, 28, "error")


def condition(renewal: RenewalRecord, entry: Entry | None, *, now_s: float) -> Condition | None:
    """Say since when it is due, and when it expires; None while there is time. Who has paused a renewal knows."""
    at_s = urgent_s(renewal, entry)
    if renewal.is_paused or entry is None or at_s is None or now_s < at_s:
        return None
    due, ends = date(moment_of(renewal, entry)), date(entry.leaf.not_after_s)
    details = (
        f"It was to be renewed on {due}, which has not been possible until now, and it expires on {ends}."
    )
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_OVERDUE, details)
