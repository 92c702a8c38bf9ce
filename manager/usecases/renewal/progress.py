"""Progress of an order in the store: a completed step, a wait, a failure, its end.

Decides the cost of a failure: how long its renewal waits, and whether the order continues afterwards.
Invariant: an order is written only in the version that was read. If another manager advanced it meanwhile,
nothing is written (ChangedMeanwhileError).
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

import structlog

from common.errors import CertcastError, ChangedMeanwhileError, NotFoundError
from manager.domain.inventory import Entry
from manager.domain.renewal.account_fields import is_same_directory
from manager.domain.renewal.budget import SIGNED_WITHIN_S, allowed_s, signed_s, words_of_limit
from manager.domain.renewal.future_timestamps import order_by, renewal_by
from manager.domain.renewal.moments import REST_MOST_S, retry_at_s
from manager.domain.renewal.records import AccountId, OrderRecord, OrderState, Problem, RenewalRecord, Step
from manager.domain.renewal.schedule import (
    RATE_LIMITED,
    entry_of,
    is_left_behind,
    manual_retry_at_s,
    moment_of,
    why_obsolete,
)
from manager.usecases.context import Context
from manager.usecases.renewal.ports import CaError

log = structlog.get_logger(__name__)

STEPS_KEPT: Final = 40
"""Latest steps kept of one order: it has eight, and one more for each failure."""


ORDERS_KEPT: Final = 50
"""Finished orders kept of one renewal, and as many of its tests."""


async def advance(
    context: Context, order: OrderRecord, state: OrderState, *, message: str = "", **changes: Any
) -> OrderRecord:
    """Store an order's new state with the data for its next step. Raises ChangedMeanwhileError."""
    async with context.store.transaction():
        return await keep_advanced(context, order, state, message=message, **changes)


async def keep_advanced(
    context: Context,
    order: OrderRecord,
    state: OrderState,
    *,
    message: str = "",
    is_failure: bool = False,
    **changes: Any,
) -> OrderRecord:
    """Store a new state as `advance` does, or a failure, in the current transaction."""
    await _require_same(context, order)
    now_s = context.clock()
    step = Step(at_s=now_s, state=state, message=message, is_failure=is_failure)
    steps = (*order.steps, step)[-STEPS_KEPT:]
    known = {"recheck_at_s": 0.0, "problem": None, **changes}
    after = replace(order, state=state, steps=steps, changed_s=now_s, **known)
    await context.store.orders.keep(after)
    return after


async def wait(context: Context, order: OrderRecord, seconds: float, **changes: Any) -> OrderRecord:
    """Store when to check an order again, and its data so far. Raises ChangedMeanwhileError."""
    async with context.store.transaction():
        await _require_same(context, order)
        now_s = context.clock()
        after = replace(order, recheck_at_s=now_s + seconds, changed_s=now_s, **changes)
        await context.store.orders.keep(after)
        return after


async def require_kept(context: Context, order: OrderRecord) -> None:
    """Keep an order as it is, so that no CA is asked for what the store could not keep afterwards. Raises ChangedMeanwhileError, StorageError."""
    async with context.store.transaction():
        await _require_same(context, order)
        await context.store.orders.keep(order)


async def order_by_clock(context: Context, order: OrderRecord) -> OrderRecord:
    """Return an order; one written by a clock that was ahead is first stored with the current time."""
    after = order_by(order, now_s=context.clock())
    if after is order:
        return order
    try:
        async with context.store.transaction():
            await _require_same(context, order)
            await context.store.orders.keep(after)
    except (ChangedMeanwhileError, NotFoundError):
        return order
    return after


async def renewal_by_clock(context: Context, renewal: RenewalRecord) -> RenewalRecord:
    """Return a renewal; one written by a clock that was ahead is first stored with the current time."""
    if renewal_by(renewal, now_s=context.clock()) is renewal:
        return renewal
    try:
        async with context.store.transaction():
            after = renewal_by(await context.store.renewals.get(renewal.id), now_s=context.clock())
            await context.store.renewals.keep(after)
    except NotFoundError:
        return renewal
    return after


async def end(context: Context, order: OrderRecord, message: str) -> None:
    """End an obsolete order, which is not a failure. Raises ChangedMeanwhileError."""
    problem = Problem(at_s=context.clock(), message=message)
    await advance(context, order, OrderState.FAILED, message=message, problem=problem)
    log.info("order.ended", order=order.id, renewal=order.renewal_id, message=message)


async def end_paused(context: Context, order: OrderRecord, message: str) -> None:
    """End an order whose renewal has been paused for too long. Raises ChangedMeanwhileError.

    Resuming the renewal begins another one, even before its regular time.
    """
    inventory = await context.inventories.current()
    async with context.store.transaction():
        known = await context.store.renewals.get(order.renewal_id)
        await end(context, order, message)
        entry = entry_of(known, inventory.entries)
        moment_s = moment_of(known, entry)
        is_early = moment_s is None or moment_s > context.clock()
        if is_early and not why_obsolete(order, known, entry):
            await context.store.renewals.keep(replace(known, follows_at_once=True))


async def fail(context: Context, order: OrderRecord, error: CaError) -> None:
    """Store a failure: its renewal waits, and the order is retried if that may help. A test ends at once.

    An obsolete order keeps its own back-off, since the renewal's failures are forgotten. Raises
    ChangedMeanwhileError.
    """
    is_end = error.is_final or order.is_test
    # an installed certificate, from this order or not, is unaffected by its failure
    problem = Problem(
        at_s=context.clock(),
        message=error.message,
        type=error.type,
        detail=error.detail,
        is_signed=error.is_signed,
        leaf=order.replaces_leaf,
    )
    # until the retry the proofs may have been removed
    before = OrderState.ORDERED if order.state is OrderState.PLACED else order.state
    state = OrderState.FAILED if is_end else before
    again: dict[str, Any] = {} if is_end else {"placing_s": None, "is_answered": False}
    inventory = await context.inventories.current()
    async with context.store.transaction():
        known = await context.store.renewals.get(order.renewal_id)
        entry = entry_of(known, inventory.entries)
        is_alone = not order.is_test and is_left_behind(order, known, entry)
        if is_alone and not is_end:
            again["recheck_at_s"] = _rests_until_s(context, order.failed_in_a_row + 1, error, entry)
        await keep_advanced(
            context, order, state, message=error.message, is_failure=True, problem=problem, **again
        )
        if not order.is_test and (not is_alone or error.type == RATE_LIMITED):
            signed = await signed_for(context, order.names, order.terms.account_id) if error.is_signed else ()
            await _rest(context, known, problem, error, entry, signed=signed)
    log.warning("order.failed", order=order.id, renewal=order.renewal_id, message=error.message)


async def fail_to_begin(context: Context, renewal: RenewalRecord, error: CertcastError) -> None:
    """Store that no order could begin: the renewal waits."""
    inventory = await context.inventories.current()
    async with context.store.transaction():
        known = await context.store.renewals.get(renewal.id)
        entry = entry_of(known, inventory.entries)
        leaf = None if entry is None else entry.leaf.fingerprint
        problem = Problem(at_s=context.clock(), message=error.message, leaf=leaf)
        await _rest(context, known, problem, CaError(error.message), entry)
    log.warning("order.failed", renewal=renewal.id, message=error.message)


async def _rest(
    context: Context,
    renewal: RenewalRecord,
    problem: Problem,
    error: CaError,
    entry: Entry | None,
    *,
    signed: Collection[float] = (),
) -> None:
    """Store the problem and the renewal's retry time.

    `entry` is the installed certificate; `signed` has the CA's counted signings.
    """
    now_s, failures = context.clock(), renewal.failures + 1
    rests_until_s = _rests_until_s(context, failures, error, entry)
    if (by_itself_s := allowed_s(signed)) > rests_until_s:
        rests_until_s = by_itself_s
        words = f"{problem.message.removesuffix('.')}. {words_of_limit(signed, now_s=now_s)}"
        problem = replace(problem, message=words)
    rested = replace(renewal, failures=failures, retry_at_s=rests_until_s, problem=problem, changed_s=now_s)
    await context.store.renewals.keep(rested)
    context.store.after_commit(context.content_changed.set)


def _rests_until_s(context: Context, failures: int, error: CaError, entry: Entry | None) -> float:
    """Return the retry time after this many failures in a row, the last one just now."""
    now_s = context.clock()
    ends_s = None if entry is None else entry.leaf.not_after_s
    asked_s = None
    if error.retry_after_s is not None:
        asked_s = now_s + min(max(error.retry_after_s, 0.0), REST_MOST_S)
    return retry_at_s(failures, now_s=now_s, not_before_s=asked_s, ends_s=ends_s, is_signed=error.is_signed)


async def forget_failure(context: Context, renewal: RenewalRecord) -> None:
    """Forget the failure of a replaced certificate. Raises NotFoundError.

    The CA's requested delay stays, and so does an immediate order for changed terms.
    """
    store = context.store
    async with store.transaction():
        known = await store.renewals.get(renewal.id)
        if known.problem != renewal.problem or manual_retry_at_s(known) > context.clock():
            return
        after = replace(
            known,
            failures=0,
            retry_at_s=0.0,
            problem=None,
            follows_at_once=known.follows_at_once and await _has_other_terms(context, known),
            changed_s=context.clock(),
        )
        await store.renewals.keep(after)
        store.after_commit(context.content_changed.set)


async def _has_other_terms(context: Context, renewal: RenewalRecord) -> bool:
    """Whether nothing was ordered yet with a renewal's terms, but something was with former ones."""
    latest = await context.store.orders.latest_real(renewal.id)
    return latest is not None and latest.terms != renewal.terms


async def signed_for(context: Context, names: Collection[str], account_id: AccountId) -> list[float]:
    """Return when a CA signed for these names within the counted period, also with deleted accounts."""
    store, now_s = context.store, context.clock()
    since_s = now_s - SIGNED_WITHIN_S
    directories = {each.id: each.directory_url for each in await store.accounts.list()}
    directory = directories.get(account_id)
    same = {account_id}
    if directory is not None:
        same |= {each for each, url in directories.items() if is_same_directory(url, directory)}
    found = signed_s(await store.orders.changed_since(since_s), names, same)
    # the clock may have been ahead
    return [min(each, now_s) for each in found if each > since_s]


async def _require_same(context: Context, order: OrderRecord) -> None:
    if await context.store.orders.get(order.id) != order:
        raise ChangedMeanwhileError(f"order {order.id} was advanced in the meantime")
