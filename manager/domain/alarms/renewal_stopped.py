"""A renewal that orders nothing, because its account was deactivated."""

from typing import Final

from common.words import date
from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import AccountRecord, RenewalRecord

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_STOPPED, 31, "warning")


def condition(renewal: RenewalRecord, entry: Entry | None, account: AccountRecord | None) -> Condition | None:
    """Say which account was deactivated, and when the certificate expires; None if the account is in use.

    None also while the renewal is paused.
    """
    if account is None or not account.is_deactivated or renewal.is_paused:
        return None
    ends_s = None if entry is None else entry.leaf.not_after_s
    ends = "" if ends_s is None else f" It expires on {date(ends_s)}."
    details = f"Its account '{account.name}' was deactivated, so nothing is ordered: give renewal {renewal.id} another account.{ends}"
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_STOPPED, details)
