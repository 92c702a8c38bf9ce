"""Capacity of accounts: which orders begin now, and when there is something to do again.

Pure. Decides by what is under way and what CAs allow; what is due is `manager.domain.renewal.schedule`'s. Invariants: a renewal has one order at a time, and a
test order holds up no other; of one account few begin at once, and never two for the same names, since a CA gives back its
pending order of the same names, which only one of the two could finish; and what is paused, rests, or waits for a person at its CA holds up no other.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from common.ids import CertificateId
from manager.domain.inventory import Entry
from manager.domain.renewal.records import AccountId, OrderRecord, OrderState, RenewalRecord
from manager.domain.renewal.schedule import (
    BEFORE_TAKING_OVER,
    RATE_LIMITED,
    advanced_s,
    asked_s,
    begins_s,
    entry_of,
    is_paused,
    names_of,
)

ORDERS_AT_ONCE: Final = 5
"""Orders of one account that the CA works on at once: Let's Encrypt lets an account begin 300 in three hours, and small CAs sign one after the other."""

ACCOUNT_LIMIT_MOST_S: Final = 3 * 3600.0
"""Up to this wait a rate limit is taken for one of the whole account, and no other order of it begins. Let's Encrypt counts an account's orders over
three hours, and what it counts of single names over a week."""

PLACE_OF_FINALISED_S: Final = 1800.0
"""How long an order that the CA has been asked to sign keeps others of its account from beginning: most sign in seconds, and some when a person has looked."""


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
    by_id = {each.id: each for each in renewals}
    # of a renewal that is gone nothing goes on
    real = [each for each in orders if not each.is_test and each.renewal_id in by_id]
    busy = {each.renewal_id for each in real}
    asking = [each for each in real if each.state in BEFORE_TAKING_OVER]
    limits = limited(by_id.values())
    running = Counter(
        each.terms.account_id for each in asking if _takes_a_place(each, by_id[each.renewal_id], now_s=now_s)
    )
    # what is finalised no CA gives back
    pending = [each for each in asking if each.state not in {OrderState.FINALISED, OrderState.DOWNLOADED}]
    taken = {(each.terms.account_id, frozenset(each.names)) for each in pending}
    found: list[RenewalRecord] = []
    due = [
        (_end(entry), renewal, terms, names_of(terms, entry))
        for renewal in by_id.values()
        if (terms := renewal.terms) is not None
        and renewal.id not in busy
        and (begins := begins_s(renewal, entry := entry_of(renewal, entries))) is not None
        and begins <= now_s
    ]
    for _, renewal, terms, ordered in sorted(due, key=lambda each: each[0]):
        account, names = terms.account_id, frozenset(ordered)
        is_limited = limits.get(account, 0.0) > now_s
        if is_limited or running[account] >= ORDERS_AT_ONCE or (account, names) in taken:
            continue
        running[account] += 1
        taken.add((account, names))
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
        advanced_s(order, renewal, entry_of(renewal, entries), limits=limits)
        for order in orders
        if (renewal := by_id.get(order.renewal_id)) is not None
    ]
    is_any_due = False
    for renewal in by_id.values():
        entry = entry_of(renewal, entries)
        moments += [each for each in (asked_s(renewal, entry),) if each is not None]
        begins = begins_s(renewal, entry)
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
