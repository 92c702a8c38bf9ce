"""A certificate should be renewed by now: half of the time is gone that was left for it."""

from typing import Final

from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, manager_spec
from manager.domain.comparison import date
from manager.domain.inventory import Entry
from manager.domain.renewal.records import RenewalRecord
from manager.domain.renewal.schedule import is_urgent, moment_of

SPEC: Final = manager_spec(AlarmKind.RENEWAL_OVERDUE, 28, "error")


def condition(renewal: RenewalRecord, entry: Entry | None, *, now_s: float) -> Condition | None:
    """Say since when it is due, and when it expires; None while there is time. Who has paused a renewal knows."""
    if renewal.is_paused or entry is None or not is_urgent(renewal, entry, now_s=now_s):
        return None
    due, ends = date(moment_of(renewal, entry)), date(entry.leaf.not_after_s)
    details = (
        f"It was to be renewed on {due}, which has not been possible until now, and it expires on {ends}."
    )
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_OVERDUE, details)
