"""A signing request was opened in time, and somebody is to send it to the CA."""

from typing import Final

from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import RenewalRecord

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_REQUESTED, 30, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None) -> Condition | None:
    """Say which request is to be sent to whom; None if none waits for its answer."""
    if renewal.terms is not None or renewal.request_id is None:
        return None
    whom = f"{renewal.send_to}" if renewal.send_to else "its CA"
    details = f"It is to be renewed by request {renewal.request_id}: send that to {whom}, and answer it with what comes back."
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_REQUESTED, details)
