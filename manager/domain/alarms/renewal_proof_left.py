"""A proof for a CA that could not be removed for a day."""

from typing import Final

from common.pki.expiry import DAY_S
from common.words import date, listed
from manager.domain.alarms.about import about_renewal
from manager.domain.alarms.kinds import AlarmKind, Condition, renewal_spec
from manager.domain.inventory import Entry
from manager.domain.renewal.records import RenewalRecord

SPEC: Final = renewal_spec(AlarmKind.RENEWAL_PROOF_LEFT, 32, "warning")

NAMED: Final = 5


def condition(renewal: RenewalRecord, entry: Entry | None, *, now_s: float) -> Condition | None:
    """Say which names' proofs are left, since when, and why; None during the first day of retries."""
    left = [each for each in renewal.left if now_s - each.since_s >= DAY_S]
    if not left:
        return None
    names = list(dict.fromkeys(each.proof.name for each in left))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    since_s = min(each.since_s for each in left)
    details = f"Since {date(since_s)} the {left[0].challenge} proof for {listed(names[:NAMED])}{more} could not be removed: {left[-1].message.removesuffix('.')}. It is tried again each day."
    return about_renewal(renewal, entry, AlarmKind.RENEWAL_PROOF_LEFT, details)
