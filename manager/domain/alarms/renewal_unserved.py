"""A certificate was renewed, and not every node serves the new one."""

from typing import Final

from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, manager_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, OrderState, RenewalRecord

SPEC: Final = manager_spec(AlarmKind.RENEWAL_UNSERVED, 29, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None) -> Condition | None:
    """Say which nodes do not serve it, and why; None while they have time."""
    if order is None or order.state is not OrderState.TAKEN_OVER or order.problem is None:
        return None
    details = f"It was renewed, and is not served everywhere: {order.problem.message}"
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_UNSERVED, details)
