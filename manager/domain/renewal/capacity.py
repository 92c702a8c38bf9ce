"""Capacity of accounts: which orders begin now, what others wait for, and when there is something to do again.

Pure. Decides by what is under way and what CAs allow; what is due is `manager.domain.renewal.schedule`'s. Invariants: a renewal has one order at a time, and a
test order holds up no other; of one account few begin at once, and never two for the same names, since a CA gives back its
pending order of the same names, which only one of the two could finish; and what is paused, rests, or waits for a person at its CA holds up no other.
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
"""An account, and the names that something is ordered for with it."""

ORDERS_AT_ONCE: Final = 5
"""Orders of one account that the CA works on at once: Let's Encrypt lets an account begin 300 in three hours, and small CAs sign one after the other."""

ACCOUNT_LIMIT_MOST_S: Final = 3 * 3600.0
"""Up to this wait a rate limit is taken for one of the whole account, and no other order of it begins. Let's Encrypt counts an account's orders over
three hours, and what it counts of single names over a week."""

PLACE_OF_FINALISED_S: Final = 1800.0
"""How long an order that the CA has been asked to sign keeps others of its account from beginning: most sign in seconds, and some when a person has looked."""


class Occupancy:
    """What is under way of all renewals at each account, which others wait for; counted once for all who ask."""

    def __init__(
        self, renewals: Iterable[RenewalRecord], orders: Iterable[OrderRecord], *, now_s: float
    ) -> None:
        """Take all renewals, and all orders that are not over."""
        self._now_s = now_s
        self._by_id = {each.id: each for each in renewals}
        # of a renewal that is gone nothing goes on
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
        """Whether an order of a renewal is due and none under way."""
        begins = begins_at_s(renewal, entry)
        is_free = renewal.terms is not None and renewal.id not in self._busy
        return is_free and begins is not None and begins <= self._now_s

    def waits_until(self, renewal: RenewalRecord, entry: Entry | None, *, more: Sequence[Need] = ()) -> str:
        """Say until when no order of a renewal begins that is due, `more` beginning now; "" if nothing keeps it, or it has one."""
        terms = renewal.terms
        if terms is None or not self.is_due(renewal, entry):
            return ""
        account, need = terms.account_id, need_of(terms, entry)
        if (limit_s := self._limits.get(account, 0.0)) > self._now_s:
            return f"{date(limit_s)}, since the CA limits how often the account asks"
        if same := self._same.get(need):
            return f"order {same.id} of renewal {same.renewal_id} for the same names is over"
        if need in more:
            return "the order for the same names that begins now is over"
        running = self._running[account] + sum(each[0] == account for each in more)
        if running >= ORDERS_AT_ONCE:
            return f"one of the {running} orders is over that its account has under way"
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
    """Return for what of an account's a CA gives back the same pending order."""
    return terms.account_id, frozenset(names_of(terms, entry))


def beginning(
    renewals: Iterable[RenewalRecord],
    orders: Sequence[OrderRecord],
    entries: Mapping[CertificateId, Entry],
    *,
    now_s: float,
) -> list[RenewalRecord]:
    """Return of which renewals an order begins now, those first whose certificates end first. `orders` are all that are not over.

    A test order of such a renewal, which asks another directory, ends before.
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
    """Whether an order is one of the few of its account that are worked on: not while it rests after a failure, or is paused, nor if its CA takes its time to sign."""
    is_slow = (
        order.state is OrderState.FINALISED
        and now_s - order.reached_s(OrderState.FINALISED) > PLACE_OF_FINALISED_S
    )
    return renewal.failures == 0 and not is_slow and not is_paused(order, renewal)


def limited(renewals: Iterable[RenewalRecord]) -> Mapping[AccountId, float]:
    """Return until when accounts must ask for no order, because their CA said so of one."""
    found: dict[AccountId, float] = {}
    for each in renewals:
        terms = each.terms
        if terms is not None and is_account_limit(each):
            found[terms.account_id] = max(found.get(terms.account_id, 0.0), each.retry_at_s)
    return found


def is_account_limit(renewal: RenewalRecord) -> bool:
    """Whether a renewal rests for what its CA counts of the whole account, not of the names."""
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
    """Return when there is something to do again, infinite if there never is. What is due and cannot begin waits for an order to end."""
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
    # what has no certificate yet is waited for by somebody
    return float("-inf") if entry is None or entry.leaf.not_after_s is None else entry.leaf.not_after_s
