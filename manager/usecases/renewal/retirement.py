"""End of a renewal: removing it, or keeping what CA limits still count.

Invariant: the end of a renewal does not hasten the expiry of signings that its CA counts.
"""

from manager.domain.renewal.budget import SIGNED_WITHIN_S, counted_until_s
from manager.domain.renewal.records import RenewalRecord
from manager.usecases.context import Context


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
