"""Renewal schedule: when a renewal is due, when an order continues, and when an order is obsolete.

Pure. Judges one renewal at a time, by its moments (`manager.domain.renewal.moments`), failures and pauses.
`manager.domain.renewal.capacity` chooses which due renewals begin, and the use cases carry out orders.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from common.ids import CertificateId
from common.pki.certificate import Certificate
from manager.domain.inventory import Entry
from manager.domain.renewal.moments import Validity, Window, renewed_s
from manager.domain.renewal.names import written
from manager.domain.renewal.records import (
    AccountId,
    OrderRecord,
    OrderState,
    RenewalRecord,
    Terms,
)

NEW_URGENT_S: Final = 3600.0
"""Time that a first certificate waits for every node: two tries, while no node serves anything."""

RATE_LIMITED: Final = "rateLimited"
"""RFC 8555 6.7: error type for too many requests."""

PAUSED_MOST_S: Final = 3600.0
"""Time that an order waits for its paused renewal. Then it ends and its proofs are removed.

A CA returns the same pending order to anyone who orders these names with the account, and forgets it after
some days.
"""

GONE: Final = "the certificate is gone, or is not renewed any more"
OTHER_TERMS: Final = "what the certificate is renewed with was changed"
PAUSED: Final = "its renewal has been paused for an hour; another one is ordered once it is resumed"
"""Reason why an order is obsolete."""

BEFORE_TAKING_OVER: Final = frozenset(OrderState) - {
    OrderState.TAKEN_OVER,
    OrderState.SERVED,
    OrderState.TESTED,
    OrderState.FAILED,
}
"""States in which the CA or a challenge provider is still asked."""

AT_CA: Final = BEFORE_TAKING_OVER - {OrderState.FINALISED, OrderState.DOWNLOADED}
"""States in which a CA returns an order again if its account orders the same names; a finalised order is never returned."""


def manual_retry_at_s(renewal: RenewalRecord) -> float:
    """Return when to retry a renewal that a user has acted on: at once, unless its CA asked to wait."""
    is_limited = renewal.problem is not None and renewal.problem.type == RATE_LIMITED
    return renewal.retry_at_s if is_limited else 0.0


def brings_another(before: Terms | None, after: Terms | None) -> bool:
    """Whether changed terms may lead to a different certificate than the refused one.

    The challenge makes no difference.
    """
    if before is None or after is None:
        return True
    return replace(before, challenge=after.challenge) != after


def end_rest(renewal: RenewalRecord, *, now_s: float) -> RenewalRecord:
    """Return a renewal without its back-off, because a user has acted on it now."""
    return replace(renewal, retry_at_s=manual_retry_at_s(renewal), changed_s=now_s)


def validity_of(leaf: Certificate) -> Validity:
    """Return the validity and fingerprint that determine when a certificate is renewed."""
    return Validity(
        not_before_s=leaf.not_before_s, not_after_s=leaf.not_after_s, fingerprint=leaf.fingerprint
    )


def window_for(renewal: RenewalRecord, entry: Entry | None) -> Window | None:
    """Return the CA's window for a certificate; one suggested for its predecessor does not apply."""
    return renewal.window if entry is not None and renewal.window_of == entry.leaf.fingerprint else None


def moment_of(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when a renewal is due; None if it is over or its certificate's validity cannot be read."""
    if renewal.is_new:
        return renewal.created_s
    if entry is None:
        return None
    window = window_for(renewal, entry)
    return renewed_s(validity_of(entry.leaf), window=window, window_from_s=renewal.window_from_s)


def begins_at_s(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when the next order begins, after any back-off; None if paused or the account is deactivated."""
    if renewal.is_stopped:
        return None
    moment_s = None if renewal.is_paused else moment_of(renewal, entry)
    if renewal.follows_at_once and not (renewal.is_paused or renewal.is_over):
        moment_s = renewal.changed_s
    return None if moment_s is None else max(moment_s, renewal.retry_at_s)


def continues_at_s(renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None) -> float | None:
    """Return when a new order begins or a failed one continues; None also while paused.

    `order` is the latest. After an early order has failed for good, none follows before the regular time
    unless a user asks.
    """
    is_resting = order is not None and not (order.is_test or order.state.is_over) and renewal.failures > 0
    if is_resting and not renewal.is_paused:
        return renewal.retry_at_s
    return begins_at_s(renewal, entry)


def has_failed_early(
    renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None, *, now_s: float
) -> bool:
    """Whether an early order has failed, so that nothing begins now although the CA did not ask to wait.

    `order` is as for `continues_at_s`.
    """
    goes_on = continues_at_s(renewal, entry, order)
    is_left = renewal.terms is not None and (goes_on is None or goes_on > now_s)
    return is_left and renewal.failures > 0 and manual_retry_at_s(renewal) <= now_s


def urgent_s(order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when half of the time between a renewal's moment and its certificate's end has passed.

    For a first certificate this is when its order has waited long enough.
    """
    if renewal.is_new:
        return order.created_s + NEW_URGENT_S
    moment_s = moment_of(renewal, entry)
    if entry is None or moment_s is None or entry.leaf.not_after_s is None:
        return None
    return moment_s + max(0.0, entry.leaf.not_after_s - moment_s) / 2


def names_of(terms: Terms, entry: Entry | None) -> tuple[str, ...]:
    """Return the deduplicated names to order: those of the terms, else the certificate's provable ones."""
    names = terms.names
    if not names and entry is not None:
        names = (*entry.leaf.dns_names, *entry.leaf.ip_addresses)
    return tuple(dict.fromkeys(map(written, names)))


def is_paused(order: OrderRecord, renewal: RenewalRecord) -> bool:
    """Whether an order waits because its renewal is paused.

    Signed certificates are still collected, and tests continue.
    """
    if order.is_test or _has_proofs_of_a_test(order):
        return False
    return renewal.is_paused and order.state in AT_CA


def _has_proofs_of_a_test(order: OrderRecord) -> bool:
    """Whether an order replaced a test order, whose proofs must be removed first."""
    return order.state is OrderState.CREATED and bool(order.proofs)


def next_step_at_s(
    order: OrderRecord, renewal: RenewalRecord, entry: Entry | None, *, limits: Mapping[AccountId, float]
) -> float:
    """Return when to advance an order next.

    A paused order is due when its pause limit expires; an obsolete one as soon as its back-off allows. An
    order also waits for the CA's decisions and after a failure. A finalised order is completed, and an
    installed one is only checked.
    """
    if order.is_test and why_obsolete_test(order, renewal):
        return 0.0
    # a test asks another directory
    if order.is_test or renewal.is_over:
        return order.recheck_at_s
    if order.state is OrderState.TAKEN_OVER:
        return max(order.recheck_at_s, renewal.retry_at_s)
    if why_obsolete(order, renewal, entry):
        # an obsolete order does not wait for the CA, but backs off after failures
        return max(renewal.retry_at_s, order.recheck_at_s if order.rests else 0.0)
    if _has_proofs_of_a_test(order):
        return renewal.retry_at_s
    if is_paused(order, renewal):
        return renewal.changed_s + PAUSED_MOST_S
    limited_s = limits.get(order.terms.account_id, 0.0) if order.state is OrderState.CREATED else 0.0
    return max(order.recheck_at_s, renewal.retry_at_s, limited_s)


def follows_at_once(renewal: RenewalRecord, terms: Terms | None, order: OrderRecord | None) -> bool:
    """Whether new terms need another order at once: the running one is, or brings, no longer what is wanted."""
    if terms is None:
        return False
    if order is None or order.is_test or order.state.is_over or terms == renewal.terms:
        return renewal.follows_at_once
    if terms == order.terms:
        # changed back: the running order is the wanted one
        return False
    is_at_ca = order.state in AT_CA
    return is_at_ca or brings_another(order.terms, terms)


def problem_is_of_replaced(renewal: RenewalRecord, entry: Entry | None) -> bool:
    """Whether the last failure concerned a since replaced certificate, or the time before the first one."""
    problem = renewal.problem
    return problem is not None and entry is not None and problem.leaf != entry.leaf.fingerprint


def asked_s(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when to ask the CA for its window again; None without an order or certificate."""
    if renewal.terms is None or renewal.is_paused or entry is None:
        return None
    return renewal.poll_at_s if renewal.window_of == entry.leaf.fingerprint else 0.0


def is_being_signed(order: OrderRecord) -> bool:
    """Whether a CA has signed or may sign for an order; its account is needed to download the certificate."""
    return not order.is_test and order.state in {OrderState.VALIDATED, OrderState.FINALISED}


def needs_account(order: OrderRecord) -> bool:
    """Whether ending an order's account could lose a certificate: its CA is signing, or validating proofs."""
    return is_being_signed(order) or (order.state is OrderState.PLACED and not order.is_test)


def uses_other_account(order: OrderRecord, renewal: RenewalRecord) -> bool:
    """Whether a different CA than the order's will sign, or none."""
    return renewal.terms is None or renewal.terms.account_id != order.terms.account_id


def _is_by_other_terms(order: OrderRecord, renewal: RenewalRecord) -> bool:
    if order.state is OrderState.FINALISED:
        return uses_other_account(order, renewal)
    return order.state is not OrderState.DOWNLOADED and renewal.terms != order.terms


def why_obsolete(order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> str:
    """Return why an order is obsolete, "" if not: its target was removed or changed before the CA signed.

    A certificate that the CA has promised to sign is collected, unless a different CA is to sign now.
    """
    if renewal.is_over:
        return GONE
    if _is_by_other_terms(order, renewal):
        return OTHER_TERMS
    if is_left_behind(order, renewal, entry):
        return "another certificate was put in the place of the one to be renewed"
    return ""


def is_left_behind(order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> bool:
    """Whether an order's predecessor was replaced meanwhile: its failures concern no current certificate."""
    if renewal.is_over:
        return True
    leaf = None if entry is None else entry.leaf.fingerprint
    return order.state is not OrderState.TAKEN_OVER and leaf != order.replaces_leaf


def why_obsolete_test(order: OrderRecord, renewal: RenewalRecord) -> str:
    """Return why a test order is obsolete, "" if it is not: nothing would be ordered, or something else."""
    if renewal.is_over:
        return GONE
    return OTHER_TERMS if renewal.terms != order.terms else ""


def entry_of(renewal: RenewalRecord, entries: Mapping[CertificateId, Entry]) -> Entry | None:
    """Return the renewed certificate, None if it is not there."""
    return None if renewal.certificate_id is None else entries.get(renewal.certificate_id)
