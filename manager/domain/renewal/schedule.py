"""Schedule of renewals: which is due, which orders begin now, and when to look again.

Pure. Decides by moments (`manager.domain.renewal.moments`), failures and what is under way. Leaves carrying orders out to the use cases.
Invariants: a renewal has one order at a time, and a test order holds up no other; of one account few begin at once, and never two for the same names, since a CA gives back its
pending order of the same names, which only one of the two could finish.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from common.ids import CertificateId
from manager.domain.inventory import Entry
from manager.domain.renewal.moments import Validity, Window, renewed_s
from manager.domain.renewal.records import (
    AccountId,
    OrderRecord,
    OrderState,
    RenewalRecord,
    Terms,
)

ORDERS_AT_ONCE: Final = 5
"""Orders of one account that the CA works on at once: Let's Encrypt lets an account begin 300 in three hours, and small CAs sign one after the other."""

NEW_URGENT_S: Final = 3600.0
"""How long a certificate that is not there yet waits for every node: it has been tried twice by then, and no node serves anything meanwhile."""

RATE_LIMITED: Final = "rateLimited"
"""RFC 8555 6.7: what a CA says of who asks too often."""

ACCOUNT_LIMIT_MOST_S: Final = 3 * 3600.0
"""Up to this wait a rate limit is taken for one of the whole account, and no other order of it begins. Let's Encrypt counts an account's orders over
three hours, and what it counts of single names over a week."""

GONE: Final = "the certificate is gone, or is not renewed any more"
OTHER_TERMS: Final = "what the certificate is renewed with was changed"
"""Why an order is of no use any more."""

BEFORE_TAKING_OVER: Final = frozenset(OrderState) - {
    OrderState.TAKEN_OVER,
    OrderState.SERVED,
    OrderState.TESTED,
    OrderState.FAILED,
}
"""States in which a CA, or who shows proofs to it, is still asked."""


def at_once_s(renewal: RenewalRecord) -> float:
    """Return when a renewal is tried again for which somebody has done something: at once, unless its CA has asked to wait."""
    is_limited = renewal.problem is not None and renewal.problem.type == RATE_LIMITED
    return renewal.retry_at_s if is_limited else 0.0


def brings_another(before: Terms | None, after: Terms | None) -> bool:
    """Whether other terms may bring a certificate that is taken where the last one was refused: how names are proven changes nothing of it."""
    if before is None or after is None:
        return True
    return replace(before, challenge=after.challenge) != after


def end_rest(renewal: RenewalRecord, *, now_s: float) -> RenewalRecord:
    """Return a renewal for which somebody has done something now, so that it rests no longer."""
    return replace(renewal, retry_at_s=at_once_s(renewal), changed_s=now_s)


def validity_of(entry: Entry) -> Validity:
    """Return the validity and fingerprint that determine when a certificate is renewed."""
    leaf = entry.leaf
    return Validity(
        not_before_s=leaf.not_before_s, not_after_s=leaf.not_after_s, fingerprint=leaf.fingerprint
    )


def window_for(renewal: RenewalRecord, entry: Entry | None) -> Window | None:
    """Return when the CA suggests to renew a certificate: a window counts for the one that it was suggested for, and for no other that stands there since."""
    return renewal.window if entry is not None and renewal.window_of == entry.leaf.fingerprint else None


def moment_of(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when a renewal is due; None of one whose certificate's validity cannot be read, or that is over."""
    if renewal.is_new:
        return renewal.created_s
    if entry is None:
        return None
    return renewed_s(validity_of(entry), window=window_for(renewal, entry))


def begins_s(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when its next order begins: not while it rests after a failure; None while it is paused, too."""
    moment_s = None if renewal.is_paused else moment_of(renewal, entry)
    if renewal.follows_at_once and not (renewal.is_paused or renewal.is_over):
        moment_s = renewal.changed_s
    return None if moment_s is None else max(moment_s, renewal.retry_at_s)


def goes_on_s(renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None) -> float | None:
    """Return when something is ordered again, or an order goes on that has failed; `order` is the renewal's latest. None while it is paused, too.

    An order before its time that has failed for good is followed by none until it is time, unless somebody says so.
    """
    is_resting = order is not None and not (order.is_test or order.state.is_over) and renewal.failures > 0
    if is_resting and not renewal.is_paused:
        return renewal.retry_at_s
    return begins_s(renewal, entry)


def has_failed_early(
    renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None, *, now_s: float
) -> bool:
    """Whether an order before its time has failed, after which nothing begins now, though its CA has not asked to wait; `order` as for `goes_on_s`."""
    goes_on = goes_on_s(renewal, entry, order)
    is_left = renewal.terms is not None and (goes_on is None or goes_on > now_s)
    return is_left and renewal.failures > 0 and at_once_s(renewal) <= now_s


def urgent_s(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when half of the time is gone that is left for a renewal from its moment to the certificate's end; of a new one, when somebody has waited long enough."""
    if renewal.is_new:
        return renewal.created_s + NEW_URGENT_S
    moment_s = moment_of(renewal, entry)
    if entry is None or moment_s is None or entry.leaf.not_after_s is None:
        return None
    return moment_s + max(0.0, entry.leaf.not_after_s - moment_s) / 2


def names_of(terms: Terms, entry: Entry | None) -> tuple[str, ...]:
    """Return for which names to order: those of the terms, else the certificate's own that a CA can prove."""
    if terms.names or entry is None:
        return terms.names
    return (*entry.leaf.dns_names, *entry.leaf.ip_addresses)


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
    running = Counter(each.terms.account_id for each in asking if by_id[each.renewal_id].failures == 0)
    taken = {(each.terms.account_id, frozenset(each.names)) for each in asking}
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


def advanced_s(
    order: OrderRecord, renewal: RenewalRecord, entry: Entry | None, *, limits: Mapping[AccountId, float]
) -> float:
    """Return when an order is to be looked at again; infinite while its renewal is paused, unless it is of no use any more, so that it ends.

    It rests for what the CA has not decided, and after a failure. What is finalised is brought to its end, and what is taken over is only looked at.
    """
    if order.is_test and why_obsolete_test(order, renewal):
        return 0.0
    # a test asks another directory
    if order.is_test or renewal.is_over:
        return order.recheck_at_s
    if order.state is OrderState.TAKEN_OVER:
        return max(order.recheck_at_s, renewal.retry_at_s)
    if why_obsolete(order, renewal, entry):
        # what nobody wants any more is not waited for, but rests as well when it fails
        return max(renewal.retry_at_s, order.recheck_at_s if order.rests else 0.0)
    if order.state is OrderState.CREATED and order.proofs:
        # of a test order whose place it took: they go before anything is waited for
        return renewal.retry_at_s
    if renewal.is_paused and order.state not in {OrderState.FINALISED, OrderState.DOWNLOADED}:
        return float("inf")
    limited_s = limits.get(order.terms.account_id, 0.0) if order.state is OrderState.CREATED else 0.0
    return max(order.recheck_at_s, renewal.retry_at_s, limited_s)


def follows_at_once(renewal: RenewalRecord, terms: Terms | None, order: OrderRecord | None) -> bool:
    """Whether another order is to follow at once one that was under way as other terms were given: it is given up, or brings what nobody wants any more."""
    if terms is None:
        return False
    if order is None or order.is_test or order.state.is_over or terms == renewal.terms:
        return renewal.follows_at_once
    if terms == order.terms:
        # changed back: what is under way is what is wanted
        return False
    is_at_ca = order.state in BEFORE_TAKING_OVER - {OrderState.FINALISED, OrderState.DOWNLOADED}
    return is_at_ca or brings_another(order.terms, terms)


def is_of_another(renewal: RenewalRecord, entry: Entry | None) -> bool:
    """Whether what was wrong last was wrong with a certificate in whose place there is another one since, or before there was any."""
    problem = renewal.problem
    return problem is not None and entry is not None and problem.leaf != entry.leaf.fingerprint


def asked_s(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when to ask the CA for its window again; None for what is not ordered, or not there yet."""
    if renewal.terms is None or renewal.is_paused or entry is None:
        return None
    return renewal.poll_at_s if renewal.window_of == entry.leaf.fingerprint else 0.0


def is_being_signed(order: OrderRecord) -> bool:
    """Whether a CA may sign for an order, or have signed, which its account is needed to collect."""
    return not order.is_test and order.state in {OrderState.VALIDATED, OrderState.FINALISED}


def needs_account(order: OrderRecord) -> bool:
    """Whether a certificate could be lost with an order's account: its CA signs, or looks at proofs, and signs within seconds once it has seen them."""
    return is_being_signed(order) or (order.state is OrderState.PLACED and not order.is_test)


def is_elsewhere(order: OrderRecord, renewal: RenewalRecord) -> bool:
    """Whether another CA is to sign than the one of an order, or none is asked any more."""
    return renewal.terms is None or renewal.terms.account_id != order.terms.account_id


def _is_by_other_terms(order: OrderRecord, renewal: RenewalRecord) -> bool:
    if order.state is OrderState.FINALISED:
        return is_elsewhere(order, renewal)
    return order.state is not OrderState.DOWNLOADED and renewal.terms != order.terms


def why_obsolete(order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> str:
    """Say why an order is of no use any more, "" if it is: what it is for was taken away, or changed by hand, before the CA signed.

    What has the CA's word that it signs is collected, unless another CA is to sign now.
    """
    if renewal.is_over:
        return GONE
    if _is_by_other_terms(order, renewal):
        return OTHER_TERMS
    if is_left_behind(order, renewal, entry):
        return "another certificate was put in the place of the one to be renewed"
    return ""


def is_left_behind(order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> bool:
    """Whether what an order was to replace is there no more, though it has brought nothing: its failures are none of what is there."""
    if renewal.is_over:
        return True
    leaf = None if entry is None else entry.leaf.fingerprint
    return order.state is not OrderState.TAKEN_OVER and leaf != order.replaces_leaf


def why_obsolete_test(order: OrderRecord, renewal: RenewalRecord) -> str:
    """Say why a test order is of no use any more, "" if it is: nothing would be ordered, or something else."""
    if renewal.is_over:
        return GONE
    return OTHER_TERMS if renewal.terms != order.terms else ""


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


def entry_of(renewal: RenewalRecord, entries: Mapping[CertificateId, Entry]) -> Entry | None:
    """Return the certificate that is renewed, None if it is not there."""
    return None if renewal.certificate_id is None else entries.get(renewal.certificate_id)


def _end(entry: Entry | None) -> float:
    # what has no certificate yet is waited for by somebody
    return float("-inf") if entry is None or entry.leaf.not_after_s is None else entry.leaf.not_after_s
