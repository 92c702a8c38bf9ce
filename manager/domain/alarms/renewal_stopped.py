"""A certificate is to be renewed with an account that was deactivated, so that nothing is ordered for it any more."""

from typing import Final

from common.words import date
from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import AccountRecord, RenewalRecord

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_STOPPED, 31, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None, account: AccountRecord | None) -> Condition | None:
    """Say which account was ended, and until when there is time; None if its account is in use. Who has paused a renewal knows."""
    if account is None or not account.is_deactivated or renewal.is_paused:
        return None
    ends_s = None if entry is None else entry.leaf.not_after_s
    ends = "" if ends_s is None else f" It expires on {date(ends_s)}."
    details = f"Its account '{account.name}' was deactivated, so nothing is ordered any more: give renewal {renewal.id} another account.{ends}"
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_STOPPED, details)
