"""A signing request that waits for a person to send it to the CA."""

from typing import Final

from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import RenewalRecord

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_REQUESTED, 30, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None) -> Condition | None:
    """Say which request to send to whom; None if no request waits for an answer."""
    if renewal.terms is not None or renewal.request_id is None:
        return None
    whom = f"{renewal.send_to}" if renewal.send_to else "its CA"
    details = f"It is due for renewal by request {renewal.request_id}: send the request to {whom}, and answer it with the certificate that comes back."
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_REQUESTED, details)
