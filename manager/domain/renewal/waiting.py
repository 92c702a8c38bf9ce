"""Reasons for which a renewal that is due has no order yet: others of its account go first. Pure.

Invariant: it names what `manager.domain.renewal.schedule.beginning` passes renewals over for.
"""

from collections import Counter
from collections.abc import Iterable

from common.words import date
from manager.domain.inventory import Entry
from manager.domain.renewal.records import OrderRecord, RenewalRecord
from manager.domain.renewal.schedule import (
    BEFORE_TAKING_OVER,
    ORDERS_AT_ONCE,
    begins_s,
    limited,
    names_of,
)


class OrderQueue:
    """The orders that others wait for, of all renewals; counted once for all who ask."""

    def __init__(self, renewals: Iterable[RenewalRecord], orders: Iterable[OrderRecord]) -> None:
        """Take all renewals, and all orders that are not over."""
        by_id = {each.id: each for each in renewals}
        real = [each for each in orders if not each.is_test and each.renewal_id in by_id]
        asking = [each for each in real if each.state in BEFORE_TAKING_OVER]
        self._busy = {each.renewal_id for each in real}
        self._limits = limited(by_id.values())
        self._same = {(each.terms.account_id, frozenset(each.names)): each for each in asking}
        self._running = Counter(
            each.terms.account_id for each in asking if by_id[each.renewal_id].failures == 0
        )

    def waits_until(self, renewal: RenewalRecord, entry: Entry | None, *, now_s: float) -> str:
        """Say until when no order of a renewal begins that is due; "" if nothing keeps it, or it has one."""
        terms, begins = renewal.terms, begins_s(renewal, entry)
        if terms is None or begins is None or begins > now_s or renewal.id in self._busy:
            return ""
        account = terms.account_id
        if (limit_s := self._limits.get(account, 0.0)) > now_s:
            return f"{date(limit_s)}, since the CA limits how often the account asks"
        if same := self._same.get((account, frozenset(names_of(terms, entry)))):
            return f"order {same.id} of renewal {same.renewal_id} for the same names is over"
        if self._running[account] >= ORDERS_AT_ONCE:
            return f"one of the {self._running[account]} orders is over that its account has under way"
        return ""
