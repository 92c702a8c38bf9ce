"""Capacity of accounts: which orders begin now, what the others wait for, and when to look again.

Pure. Decides by the running orders and the CAs' limits; `manager.domain.renewal.schedule` decides what is
due.

Invariants: a renewal has one order at a time, and a test order delays no other. Few orders of one account
begin at once, and never two for the same names: the CA would return its pending order for these names, which
only one of the two could finish. An order that is paused, backs off, or waits for a person at its CA delays
no other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from common.ids import CertificateId
from common.words import date
from manager.domain.inventory import Entry
from manager.domain.renewal.names import written
from manager.domain.renewal.records import AccountId, OrderRecord, OrderState, RenewalRecord, Terms
from manager.domain.renewal.schedule import (
    AT_CA,
    BEFORE_TAKING_OVER,
    RATE_LIMITED,
    asked_s,
    begins_at_s,
    entry_of,
    is_paused,
    names_of,
    next_step_at_s,
)

Need = tuple[AccountId, frozenset[str]]
"""An account, and the names that are ordered with it."""

ORDERS_AT_ONCE: Final = 5
"""Orders of one account that run at once.

Let's Encrypt lets an account begin 300 in three hours; small CAs sign one after the other.
"""

ACCOUNT_LIMIT_MOST_S: Final = 3 * 3600.0
"""Longest wait for which a rate limit counts as one of the whole account, so that none of its orders begins.

Let's Encrypt counts an account's orders over three hours, and those of single names over a week.
"""

PLACE_OF_FINALISED_S: Final = 1800.0
"""Time that a finalised order occupies one of its account's places.

Most CAs sign within seconds; some wait for a person.
"""


class Occupancy:
    """Running orders of each account, which other orders may have to wait for; counted once for all callers."""

    def __init__(
        self, renewals: Iterable[RenewalRecord], orders: Iterable[OrderRecord], *, now_s: float
    ) -> None:
        """Count the unfinished orders; needs all of them, and all renewals."""
        self._now_s = now_s
        self._by_id = {each.id: each for each in renewals}
        # orders of a removed renewal do not continue
        real = [each for each in orders if not each.is_test and each.renewal_id in self._by_id]
        asking = [each for each in real if each.state in BEFORE_TAKING_OVER]
        pending = [each for each in asking if each.state in AT_CA]
        self._busy = {each.renewal_id for each in real}
        self._limits = limited(self._by_id.values())
        self._same = {_need_of_order(each): each for each in pending}
        self._running = Counter(
            each.terms.account_id
            for each in asking
            if _takes_a_place(each, self._by_id[each.renewal_id], now_s=now_s)
        )

    def is_due(self, renewal: RenewalRecord, entry: Entry | None) -> bool:
        """Whether an order of a renewal is due and none is running."""
        begins = begins_at_s(renewal, entry)
        is_free = renewal.terms is not None and renewal.id not in self._busy
        return is_free and begins is not None and begins <= self._now_s

    def waits_until(self, renewal: RenewalRecord, entry: Entry | None, *, more: Sequence[Need] = ()) -> str:
        """Say until when a renewal's due order waits, while `more` begin now.

        "" if nothing delays it, or its order is running.
        """
        terms = renewal.terms
        if terms is None or not self.is_due(renewal, entry):
            return ""
        account, need = terms.account_id, need_of(terms, entry)
        if (limit_s := self._limits.get(account, 0.0)) > self._now_s:
            return f"{date(limit_s)}, because the CA limits this account's requests"
        if same := self._same.get(need):
            return f"order {same.id} of renewal {same.renewal_id} for the same names is over"
        if need in more:
            return "the order for the same names that begins now is over"
        running = self._running[account] + sum(each[0] == account for each in more)
        if running >= ORDERS_AT_ONCE:
            return f"one of its account's {running} running orders is over"
        return ""


def find_same(new: OrderRecord, orders: Iterable[OrderRecord]) -> OrderRecord | None:
    """Return another renewal's unfinished order that the CA would return for a new one, None if there is none.

    Test orders and real ones ask different directories.
    """
    return next(
        (
            each
            for each in orders
            if each.renewal_id != new.renewal_id
            and each.is_test == new.is_test
            and each.state in AT_CA
            and _need_of_order(each) == _need_of_order(new)
        ),
        None,
    )


def _need_of_order(order: OrderRecord) -> Need:
    return order.terms.account_id, frozenset(map(written, order.names))


def need_of(terms: Terms, entry: Entry | None) -> Need:
    """Return the key of an order: the CA returns the same pending order for equal keys."""
    return terms.account_id, frozenset(names_of(terms, entry))


def beginning(
    renewals: Iterable[RenewalRecord],
    orders: Sequence[OrderRecord],
    entries: Mapping[CertificateId, Entry],
    *,
    now_s: float,
) -> list[RenewalRecord]:
    """Return the renewals whose order begins now, those first whose certificates end first.

    `orders` are all unfinished ones. A test order of such a renewal, which asks another directory, ends
    before.
    """
    every = list(renewals)
    occupancy = Occupancy(every, orders, now_s=now_s)
    due = [
        (renewal, renewal.terms, entry)
        for renewal in every
        if renewal.terms is not None and occupancy.is_due(renewal, entry := entry_of(renewal, entries))
    ]
    found: list[RenewalRecord] = []
    begun: list[Need] = []
    for renewal, terms, entry in sorted(due, key=lambda each: _end(each[2])):
        if not occupancy.waits_until(renewal, entry, more=begun):
            begun.append(need_of(terms, entry))
            found.append(renewal)
    return found


def _takes_a_place(order: OrderRecord, renewal: RenewalRecord, *, now_s: float) -> bool:
    """Whether an order occupies one of its account's places.

    Not while it backs off after a failure or is paused, nor if its CA is slow to sign.
    """
    is_slow = (
        order.state is OrderState.FINALISED
        and now_s - order.reached_s(OrderState.FINALISED) > PLACE_OF_FINALISED_S
    )
    return renewal.failures == 0 and not is_slow and not is_paused(order, renewal)


def limited(renewals: Iterable[RenewalRecord]) -> Mapping[AccountId, float]:
    """Return until when accounts must not order, because their CA rate-limited one of their orders."""
    found: dict[AccountId, float] = {}
    for each in renewals:
        terms = each.terms
        if terms is not None and is_account_limit(each):
            found[terms.account_id] = max(found.get(terms.account_id, 0.0), each.retry_at_s)
    return found


def is_account_limit(renewal: RenewalRecord) -> bool:
    """Whether a renewal waits for a rate limit of the whole account, rather than of its names."""
    problem = renewal.problem
    if problem is None or problem.type != RATE_LIMITED:
        return False
    return renewal.retry_at_s - problem.at_s <= ACCOUNT_LIMIT_MOST_S


def next_s(
    renewals: Sequence[RenewalRecord],
    orders: Sequence[OrderRecord],
    entries: Mapping[CertificateId, Entry],
    *,
    now_s: float,
) -> float:
    """Return when to look again, infinite for never. A due order that cannot begin waits for another to end."""
    by_id = {each.id: each for each in renewals}
    limits = limited(by_id.values())
    moments = [
        next_step_at_s(order, renewal, entry_of(renewal, entries), limits=limits)
        for order in orders
        if (renewal := by_id.get(order.renewal_id)) is not None
    ]
    is_any_due = False
    for renewal in by_id.values():
        entry = entry_of(renewal, entries)
        moments += [each for each in (asked_s(renewal, entry),) if each is not None]
        begins = begins_at_s(renewal, entry)
        if begins is not None and renewal.terms is not None:
            begins = max(begins, limits.get(renewal.terms.account_id, 0.0))
        if begins is not None and begins > now_s:
            moments.append(begins)
        is_any_due |= begins is not None and begins <= now_s
    if is_any_due and beginning(renewals, orders, entries, now_s=now_s):
        return now_s
    return min(moments, default=float("inf"))


def _end(entry: Entry | None) -> float:
    # somebody waits for a first certificate
    return float("-inf") if entry is None or entry.leaf.not_after_s is None else entry.leaf.not_after_s
