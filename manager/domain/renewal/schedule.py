"""Schedule of renewals: which is due, when an order goes on, and why one is of no use any more.

Pure. Decides by moments (`manager.domain.renewal.moments`), failures and pauses, of one renewal at a time; which of those that are due begin is
`manager.domain.renewal.capacity`'s. Leaves carrying orders out to the use cases.
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
"""How long a certificate that is not there yet waits for every node: it has been tried twice by then, and no node serves anything meanwhile."""

RATE_LIMITED: Final = "rateLimited"
"""RFC 8555 6.7: what a CA says of who asks too often."""

PAUSED_MOST_S: Final = 3600.0
"""How long an order waits for its paused renewal. Then it ends, with what is shown for it: its CA gives it back to whoever orders the same names, and forgets it in some days."""

GONE: Final = "the certificate is gone, or is not renewed any more"
OTHER_TERMS: Final = "what the certificate is renewed with was changed"
PAUSED: Final = "its renewal has been paused for an hour; another one is ordered once it is resumed"
"""Why an order is of no use any more."""

BEFORE_TAKING_OVER: Final = frozenset(OrderState) - {
    OrderState.TAKEN_OVER,
    OrderState.SERVED,
    OrderState.TESTED,
    OrderState.FAILED,
}
"""States in which a CA, or who shows proofs to it, is still asked."""


def manual_retry_at_s(renewal: RenewalRecord) -> float:
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
    return replace(renewal, retry_at_s=manual_retry_at_s(renewal), changed_s=now_s)


def validity_of(leaf: Certificate) -> Validity:
    """Return the validity and fingerprint that determine when a certificate is renewed."""
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
    window = window_for(renewal, entry)
    return renewed_s(validity_of(entry.leaf), window=window, window_from_s=renewal.window_from_s)


def begins_at_s(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when its next order begins: not while it rests after a failure; None while it is paused, or its account is deactivated, too."""
    if renewal.is_stopped:
        return None
    moment_s = None if renewal.is_paused else moment_of(renewal, entry)
    if renewal.follows_at_once and not (renewal.is_paused or renewal.is_over):
        moment_s = renewal.changed_s
    return None if moment_s is None else max(moment_s, renewal.retry_at_s)


def continues_at_s(renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None) -> float | None:
    """Return when something is ordered again, or an order goes on that has failed; `order` is the renewal's latest. None while it is paused, too.

    An order before its time that has failed for good is followed by none until it is time, unless somebody says so.
    """
    is_resting = order is not None and not (order.is_test or order.state.is_over) and renewal.failures > 0
    if is_resting and not renewal.is_paused:
        return renewal.retry_at_s
    return begins_at_s(renewal, entry)


def has_failed_early(
    renewal: RenewalRecord, entry: Entry | None, order: OrderRecord | None, *, now_s: float
) -> bool:
    """Whether an order before its time has failed, after which nothing begins now, though its CA has not asked to wait; `order` as for `continues_at_s`."""
    goes_on = continues_at_s(renewal, entry, order)
    is_left = renewal.terms is not None and (goes_on is None or goes_on > now_s)
    return is_left and renewal.failures > 0 and manual_retry_at_s(renewal) <= now_s


def urgent_s(renewal: RenewalRecord, entry: Entry | None) -> float | None:
    """Return when half of the time is gone that is left for a renewal from its moment to the certificate's end; of a new one, when somebody has waited long enough."""
    if renewal.is_new:
        return renewal.created_s + NEW_URGENT_S
    moment_s = moment_of(renewal, entry)
    if entry is None or moment_s is None or entry.leaf.not_after_s is None:
        return None
    return moment_s + max(0.0, entry.leaf.not_after_s - moment_s) / 2


def names_of(terms: Terms, entry: Entry | None) -> tuple[str, ...]:
    """Return for which names to order, each once and as CAs write it: those of the terms, else the certificate's own that a CA can prove."""
    names = terms.names
    if not names and entry is not None:
        names = (*entry.leaf.dns_names, *entry.leaf.ip_addresses)
    return tuple(dict.fromkeys(map(written, names)))


def is_paused(order: OrderRecord, renewal: RenewalRecord) -> bool:
    """Whether an order does not go on while its renewal is paused: what its CA has been asked to sign is collected, and a test goes on."""
    if order.is_test or _has_proofs_of_a_test(order):
        return False
    return renewal.is_paused and order.state in BEFORE_TAKING_OVER - {
        OrderState.FINALISED,
        OrderState.DOWNLOADED,
    }


def _has_proofs_of_a_test(order: OrderRecord) -> bool:
    """Whether an order has taken the place of a test order, whose proofs go before anything else happens."""
    return order.state is OrderState.CREATED and bool(order.proofs)


def next_step_at_s(
    order: OrderRecord, renewal: RenewalRecord, entry: Entry | None, *, limits: Mapping[AccountId, float]
) -> float:
    """Return when an order is to be looked at again: if its renewal is paused, when that has lasted for so long that the order ends, unless it is of no use any more.

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
    if _has_proofs_of_a_test(order):
        return renewal.retry_at_s
    if is_paused(order, renewal):
        return renewal.changed_s + PAUSED_MOST_S
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


def problem_is_of_replaced(renewal: RenewalRecord, entry: Entry | None) -> bool:
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


def uses_other_account(order: OrderRecord, renewal: RenewalRecord) -> bool:
    """Whether another CA is to sign than the one of an order, or none is asked any more."""
    return renewal.terms is None or renewal.terms.account_id != order.terms.account_id


def _is_by_other_terms(order: OrderRecord, renewal: RenewalRecord) -> bool:
    if order.state is OrderState.FINALISED:
        return uses_other_account(order, renewal)
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


def entry_of(renewal: RenewalRecord, entries: Mapping[CertificateId, Entry]) -> Entry | None:
    """Return the certificate that is renewed, None if it is not there."""
    return None if renewal.certificate_id is None else entries.get(renewal.certificate_id)
