"""Retry resets: how a failed renewal proceeds after a user's change.

Decides which changes may have fixed the cause. Invariant: a CA signs again after a refusal here only if the
result may be a different certificate.
"""

from dataclasses import replace

from manager.domain.inventory import Entry, Inventory
from manager.domain.renewal.account_fields import is_same_directory
from manager.domain.renewal.budget import allowed_s
from manager.domain.renewal.capacity import is_account_limit
from manager.domain.renewal.records import AccountId, OrderRecord, OrderState, RenewalRecord, Terms
from manager.domain.renewal.schedule import (
    brings_another,
    end_rest,
    entry_of,
    follows_at_once,
    has_failed_early,
    is_left_behind,
    manual_retry_at_s,
    names_of,
)
from manager.usecases.context import Context
from manager.usecases.renewal.progress import signed_for


async def reset_backoff(
    context: Context, account_id: AccountId, inventory: Inventory, *, is_at_another_ca: bool = False
) -> None:
    """Retry failed renewals of an account at once, since a change of the account may have fixed the cause.

    Refusals of signed certificates had other causes. A rate limit stays, unless the account
    `is_at_another_ca` now.
    """
    now_s = context.clock()
    orders = {each.renewal_id: each for each in await context.store.orders.unfinished()}
    for renewal in await context.store.renewals.list():
        if renewal.terms is None or renewal.terms.account_id != account_id or _was_signed(renewal):
            continue
        rested = end_rest(renewal, now_s=now_s)
        if is_at_another_ca:
            rested = replace(rested, retry_at_s=0.0)
        entry, order = entry_of(renewal, inventory.entries), orders.get(renewal.id)
        is_early = not renewal.is_paused and has_failed_early(rested, entry, order, now_s=now_s)
        if is_early or renewal.retry_at_s > now_s:
            follows = renewal.follows_at_once or is_early
            await context.store.renewals.keep(replace(rested, follows_at_once=follows))


async def resumed(
    context: Context, known: RenewalRecord, entry: Entry | None, latest: OrderRecord | None
) -> RenewalRecord:
    """Return a renewal that resumes at once; `latest` is its latest order.

    An early order that failed is repeated, and so is one that ended while paused, unless the certificate was
    replaced since.
    """
    now_s = context.clock()
    record = replace(end_rest(known, now_s=now_s), is_paused=False)
    if has_failed_early(record, entry, latest, now_s=now_s):
        return replace(record, follows_at_once=True)
    real = await context.store.orders.latest_real(known.id)
    is_replaced = (
        real is not None
        and real.state is OrderState.FAILED
        and real.terms == known.terms
        and is_left_behind(real, known, entry)
    )
    return replace(record, follows_at_once=record.follows_at_once and not is_replaced)


async def with_terms(
    context: Context, known: RenewalRecord, terms: Terms | None, inventory: Inventory
) -> RenewalRecord:
    """Return a renewal with new terms, which may have fixed a failure's cause. Raises NotFoundError."""
    order = await context.store.orders.unfinished_of(known.id)
    given = replace(
        known,
        terms=terms,
        is_stopped=False,
        follows_at_once=follows_at_once(known, terms, order),
        # an answer to a request opened before ordering is no longer awaited
        request_id=known.request_id if known.terms is None and terms is None else None,
    )
    again_s = await _limited_s(context, known, terms)
    if _was_signed(known) and terms is not None:
        if not brings_another(known.terms, terms):
            return given
        names = names_of(terms, entry_of(known, inventory.entries))
        again_s = allowed_s(await signed_for(context, names, terms.account_id))
        if again_s:
            return replace(given, retry_at_s=max(again_s, known.retry_at_s))
    return replace(given, failures=0, retry_at_s=again_s, problem=known.problem if again_s else None)


async def _limited_s(context: Context, known: RenewalRecord, terms: Terms | None) -> float:
    """Return how long a CA's limit applies to new terms. Raises NotFoundError.

    An account's limit ends with another account, a limit on names with another CA.
    """
    before = known.terms
    if before is None or terms is None:
        return 0.0
    if before.account_id != terms.account_id:
        if is_account_limit(known):
            return 0.0
        accounts = context.store.accounts
        former, given = await accounts.get(before.account_id), await accounts.get(terms.account_id)
        if not is_same_directory(former.directory_url, given.directory_url):
            return 0.0
    return manual_retry_at_s(known)


def _was_signed(renewal: RenewalRecord) -> bool:
    return renewal.problem is not None and renewal.problem.is_signed
