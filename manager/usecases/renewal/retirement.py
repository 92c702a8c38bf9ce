"""End of a renewal: removing it, or keeping what CA limits still count.

Invariant: the end of a renewal does not hasten the expiry of signings that its CA counts.
"""

from common.errors import NotFoundError
from manager.domain.renewal.budget import SIGNED_WITHIN_S, counted_until_s
from manager.domain.renewal.records import RenewalId, RenewalRecord
from manager.usecases.context import Context


async def require_going_on(context: Context, renewal_id: RenewalId) -> RenewalRecord:
    """Return a renewal that is not over: of what was removed nothing is changed any more. Raises NotFoundError."""
    known = await context.store.renewals.get(renewal_id)
    if known.is_over:
        raise NotFoundError(f"there is no renewal {renewal_id}")
    return known


async def delete_or_retire(context: Context, renewal: RenewalRecord) -> None:
    """Remove a renewal without a running order, in the current transaction. Raises NotFoundError."""
    store, now_s = context.store, context.clock()
    until_s = counted_until_s(
        await store.orders.changed_since(now_s - SIGNED_WITHIN_S, renewal_id=renewal.id)
    )
    if until_s > now_s:
        # the clock may have been ahead
        await store.renewals.retire(renewal, until_s=min(until_s, now_s + SIGNED_WITHIN_S))
    else:
        await store.renewals.delete(renewal.id)
