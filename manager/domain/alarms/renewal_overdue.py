"""An overdue renewal: half of the time between its due moment and the certificate's end has passed."""

from typing import Final

from common.words import date
from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, RenewalRecord
from manager.domain.renewal.schedule import moment_of

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_OVERDUE, 28, "error")

GRACE_S: Final = 900.0
"""Time before a renewal that was just set up, resumed or changed counts as overdue.

Nodes show proofs within seconds, DNS servers within minutes.
"""


def condition(
    renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None, *, waits: str, now_s: float
) -> Condition | None:
    """Say since when the renewal is due, and when the certificate expires.

    None while there is time, or while the renewal is paused. `order` is the unfinished one. `waits` says
    until when no order begins, "" if nothing delays it.
    """
    due_s = moment_of(renewal, entry)
    if renewal.is_paused or entry is None or due_s is None or entry.leaf.not_after_s is None:
        return None
    # a renewal cannot be late before it was set up
    since_s, ends_s = max(due_s, renewal.created_s), entry.leaf.not_after_s
    if now_s < since_s + max(0.0, ends_s - since_s) / 2 or _has_just_begun(renewal, order, now_s=now_s):
        return None
    why = f" An order waits until {waits}." if waits else ""
    details = (
        f"It was due for renewal on {date(since_s)}, is not renewed yet, and expires on {date(ends_s)}.{why}"
    )
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_OVERDUE, details)


def _has_just_begun(renewal: RenewalRecord, order: OrderRecord | None, *, now_s: float) -> bool:
    """Whether the renewal or its order was changed a short time ago, and nothing has failed since."""
    begun_s = renewal.changed_s if order is None or order.is_test else max(order.created_s, renewal.changed_s)
    return renewal.failures == 0 and now_s < begun_s + GRACE_S
