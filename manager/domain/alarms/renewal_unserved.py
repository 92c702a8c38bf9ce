"""A renewed certificate that not every node serves, or that no node has now."""

from typing import Final

from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, OrderState, RenewalRecord
from manager.domain.renewal.state import is_displaced

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_UNSERVED, 29, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None) -> Condition | None:
    """Say which nodes do not serve it, and why; None while they have time.

    If no node has it now, this is reported until one has it again.
    """
    if entry is not None and is_displaced(renewal, entry):
        details = (
            "It was renewed, but no node uses it: its nodes kept the certificate it replaces, were given another one since, or were removed. "
            "This renewal does not renew what they use now: assign this certificate to them, or remove this renewal and renew theirs."
        )
        return about_renewal(renewal, entry, AlarmKind.RENEWAL_UNSERVED, details)
    if order is None or order.state is not OrderState.TAKEN_OVER or order.problem is None:
        return None
    details = f"It was renewed, but is not served everywhere: {order.problem.message}"
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_UNSERVED, details)
