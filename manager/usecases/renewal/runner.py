"""Renewal runner: the leading manager's loop that asks CAs when to renew, begins orders and advances them.

`manager.domain.renewal.schedule` decides times and order. Invariants: changes are committed only while this
manager leads. A failing order or CA delays no other.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import structlog

from common.errors import DutyLostError, StorageError
from common.ids import CertificateId
from manager.domain.audit import RENEWAL
from manager.domain.inventory import Entry, Inventory
from manager.domain.renewal.capacity import beginning, limited, next_s
from manager.domain.renewal.records import (
    AccountId,
    OrderId,
    OrderRecord,
    OrderState,
    RenewalRecord,
)
from manager.domain.renewal.schedule import (
    BEFORE_TAKING_OVER,
    asked_s,
    begins_at_s,
    entry_of,
    manual_retry_at_s,
    next_step_at_s,
    problem_is_of_replaced,
)
from manager.usecases.ports import Lead
from manager.usecases.renewal.csr_renewals import CsrRenewals
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.fault_isolation import ActGuard, kept_if_failed
from manager.usecases.renewal.leftovers import Leftovers, due_of, is_waited_for, next_clear_s
from manager.usecases.renewal.order_creation import OrderCreation
from manager.usecases.renewal.ports import CaError
from manager.usecases.renewal.progress import (
    fail,
    fail_to_begin,
    forget_failure,
    order_by_clock,
    renewal_by_clock,
)
from manager.usecases.renewal.retirement import delete_or_retire
from manager.usecases.renewal.steps import OrderSteps
from manager.usecases.renewal.task_pool import TaskPool
from manager.usecases.renewal.windows import Windows

log = structlog.get_logger(__name__)

LOOK_MOST_S: Final = 10.0
"""Interval of checks for changes by other managers."""

LOOK_LEAST_S: Final = 0.5
"""Minimum interval between two checks."""

AT_ONCE: Final = 3
"""Concurrent orders of one account: each waits for a network, and accounts do not wait for each other."""

LOOKS_AT_ONCE: Final = 2
"""Checks until all due work has begun: an order first waits for the CA's renewal window."""

STEPS_AT_ONCE: Final = 20
"""Steps of one order without a pause; it has eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Snapshot of all renewals, unfinished orders and certificates."""

    inventory: Inventory
    renewals: Sequence[RenewalRecord]
    orders: Sequence[OrderRecord]


class RenewalRunner:
    """Runs renewals; the composition root supervises `run`. `at_once` limits concurrent orders per account.

    `observers` receive the seconds from an order's start until it was served; `failures` counts the failures
    of this run.
    """

    def __init__(self, dependencies: Dependencies, *, at_once: int) -> None:
        self._dependencies = dependencies
        self._context = dependencies.context
        self._windows = Windows(dependencies)
        self._creation = OrderCreation(dependencies.context)
        self._steps = OrderSteps(dependencies)
        self._csr_renewals = CsrRenewals(dependencies.context)
        self._leftovers = Leftovers(dependencies)
        self._guard = ActGuard(dependencies.context, failed=self._count_failure)
        self._at_once = at_once
        self._woken = asyncio.Event()
        self.observers: list[Callable[[float], None]] = []
        self.failures = 0

    def wake(self) -> None:
        """Check at once, after a renewal was enabled or changed."""
        self._woken.set()

    def _count_failure(self) -> None:
        self.failures += 1

    async def run(self, lead: Lead) -> None:
        """Do all due work until cancelled; do nothing while another manager leads."""
        async with asyncio.TaskGroup() as group:
            tasks = TaskPool(group, at_once=self._at_once, ended=self.wake)
            while True:
                self._woken.clear()
                wait_s = LOOK_MOST_S
                if lead.is_ours:
                    try:
                        wait_s = (await self._look(lead, tasks))[1] - self._context.clock()
                    except DutyLostError:
                        continue
                    except StorageError as error:
                        log.error("renewals.failed", reason=error.reason, message=error.message)
                    except Exception:
                        # running tasks continue: an error that left the loop would cancel the running orders,
                        # too
                        log.exception("renewals.failed")
                        self._count_failure()
                else:
                    tasks.end()
                await asyncio.sleep(LOOK_LEAST_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(min(wait_s, LOOK_MOST_S) - LOOK_LEAST_S):
                        await self._woken.wait()

    async def once(self, lead: Lead) -> float:
        """Do and await all due work; return when to check again, infinite if nothing is renewed.

        Raises StorageError.
        """
        for _ in range(LOOKS_AT_ONCE):
            async with asyncio.TaskGroup() as group:
                tasks = TaskPool(group, at_once=self._at_once, ended=self.wake)
                asks, _ = await self._look(lead, tasks)
            if not asks:
                break
        return self._next_s(await self._read(lead), tasks)

    async def _look(self, lead: Lead, tasks: TaskPool) -> tuple[bool, float]:
        """Begin due work; return whether CAs are being asked for windows, and when to check again.

        Raises DutyLostError, StorageError.
        """
        snapshot = await self._read(lead)
        if touched := await self._forget_failures(snapshot, lead):
            snapshot = await self._read_again(snapshot, touched, lead)
        asks = self._ask_windows(snapshot, lead, tasks)
        if touched := await self._begin(snapshot, lead):
            snapshot = await self._read_again(snapshot, touched, lead)
        self._carry_on(snapshot, lead, tasks)
        self._clear(snapshot, lead, tasks)
        return asks, self._next_s(snapshot, tasks)

    def _next_s(self, snapshot: Snapshot, tasks: TaskPool) -> float:
        """Return when to check again. Running tasks signal their end, and waiting ones are checked with the rest."""
        entries = snapshot.inventory.entries

        def is_held(key: Hashable) -> bool:
            return key in tasks or self._guard.rests(key)

        orders_s = next_s(
            [
                each
                for each in snapshot.renewals
                if not self._is_asked(each, entries) and not self._guard.rests(("begin", each.id))
            ],
            [
                replace(each, recheck_at_s=float("inf")) if is_held(each.id) else each
                for each in snapshot.orders
            ],
            entries,
            now_s=self._context.clock(),
        )
        cleared_s = next_clear_s([each for each in snapshot.renewals if not is_held(("left", each.id))])
        return min(orders_s, cleared_s)

    async def _read(self, lead: Lead) -> Snapshot:
        # certificates last, since renewals refer to them
        store = self._context.store
        renewals = [await self._by_clock(each, lead) for each in await store.renewals.list()]
        orders = await self._unfinished(lead) if renewals else ()
        inventory = await self._context.inventories.current()
        return Snapshot(inventory=inventory, renewals=renewals, orders=orders)

    async def _read_again(self, snapshot: Snapshot, touched: Sequence[RenewalRecord], lead: Lead) -> Snapshot:
        """Return the state after changes to these renewals; other managers' changes wait for the next check."""
        store, renewals = self._context.store, {each.id: each for each in snapshot.renewals}
        found = await store.renewals.some([each.id for each in touched])
        for renewal in touched:
            if renewal.id in found:
                renewals[renewal.id] = await self._by_clock(found[renewal.id], lead)
            else:
                del renewals[renewal.id]
        orders = await self._unfinished(lead)
        inventory = await self._context.inventories.current()
        return Snapshot(inventory=inventory, renewals=[*renewals.values()], orders=orders)

    async def _unfinished(self, lead: Lead) -> Sequence[OrderRecord]:
        orders = await self._context.store.orders.unfinished()
        with lead.enforced():
            return [await order_by_clock(self._context, each) for each in orders]

    async def _by_clock(self, renewal: RenewalRecord, lead: Lead) -> RenewalRecord:
        with lead.enforced():
            return await renewal_by_clock(self._context, renewal)

    async def _forget_failures(self, snapshot: Snapshot, lead: Lead) -> Sequence[RenewalRecord]:
        """Forget failures of certificates that were replaced since. Return the renewals concerned.

        A failure of the order that replaced the certificate is forgotten once that order is over.
        """
        now_s, entries = self._context.clock(), snapshot.inventory.entries
        looked_at = {each.renewal_id for each in snapshot.orders if each.state is OrderState.TAKEN_OVER}
        due = [
            each
            for each in snapshot.renewals
            if problem_is_of_replaced(each, entry_of(each, entries))
            and manual_retry_at_s(each) <= now_s
            and each.id not in looked_at
            and not self._guard.rests(("forget", each.id))
        ]
        for renewal in due:
            with lead.enforced():
                act = partial(forget_failure, self._context, renewal)
                await self._guard.run(renewal, act, key=("forget", renewal.id))
        return due

    def _ask_windows(self, snapshot: Snapshot, lead: Lead, tasks: TaskPool) -> bool:
        """Begin to ask CAs for renewal windows, most urgent first. Return whether there are any to ask."""
        entries = snapshot.inventory.entries
        by_account: dict[AccountId, list[RenewalRecord]] = defaultdict(list)
        for renewal in snapshot.renewals:
            if renewal.terms is not None and self._is_asked(renewal, entries):
                by_account[renewal.terms.account_id].append(renewal)
        for account, due in by_account.items():
            due.sort(key=lambda each: begins_at_s(each, entry_of(each, entries)) or float("inf"))
            key, act = ("windows", account), partial(self._windows.ask_all, due, entries, lead)
            if not self._guard.rests(key):
                tasks.begin(key, partial(self._guard.run, due[0], act, key=key), kind=key)
        return bool(by_account)

    def _is_asked(self, renewal: RenewalRecord, entries: Mapping[CertificateId, Entry]) -> bool:
        """Whether to ask the CA now when to renew, before anything is ordered."""
        at_s = asked_s(renewal, entry_of(renewal, entries))
        return at_s is not None and at_s <= self._context.clock()

    async def _begin(self, snapshot: Snapshot, lead: Lead) -> Sequence[RenewalRecord]:
        """Begin orders, open requests, end renewals of deleted certificates. Return the renewals concerned."""
        now_s, entries = self._context.clock(), snapshot.inventory.entries
        busy = {each.renewal_id for each in snapshot.orders}
        acts: list[tuple[RenewalRecord, Callable[[], Awaitable[object]]]] = []
        for renewal in snapshot.renewals:
            if renewal.is_over and renewal.id not in busy and not is_waited_for(renewal, now_s):
                acts.append((renewal, partial(self._drop, renewal)))
            elif renewal.terms is None and not renewal.is_over:
                entry = entry_of(renewal, entries)
                begins = begins_at_s(renewal, entry)
                # what an order that is under way brings is not due
                is_due = begins is not None and begins <= now_s and renewal.id not in busy
                if renewal.request_id is not None or is_due:
                    acts.append((renewal, partial(self._csr_renewals.look, renewal, entry)))
        acts += [
            (renewal, partial(self._creation.begin, renewal.id, is_test=False, asked_by=None))
            for renewal in beginning(snapshot.renewals, snapshot.orders, entries, now_s=now_s)
            if not self._is_asked(renewal, entries)
        ]
        acts = [(renewal, act) for renewal, act in acts if not self._guard.rests(("begin", renewal.id))]
        for renewal, act in acts:
            with lead.enforced():
                # for example a key that cannot be made, or names that cannot be ordered
                begin = partial(kept_if_failed, act, partial(self._fail_to_begin, renewal))
                await self._guard.run(renewal, begin, key=("begin", renewal.id))
        return [renewal for renewal, _ in acts]

    async def _fail_to_begin(self, renewal: RenewalRecord, error: CaError) -> None:
        self._count_failure()
        await fail_to_begin(self._context, renewal, error)

    async def _drop(self, renewal: RenewalRecord) -> None:
        """Remove a renewal if its certificate is still gone and its order has ended."""
        store = self._context.store
        async with store.transaction():
            known = await store.renewals.get(renewal.id)
            if not known.is_over or await store.orders.unfinished_of(renewal.id) is not None:
                return
            await delete_or_retire(self._context, known)
            await self._context.audit(RENEWAL, "renewal.ended", f"renewal {renewal.id}")

    def _carry_on(self, snapshot: Snapshot, lead: Lead, tasks: TaskPool) -> None:
        """Begin the next steps of orders that are due. Requests to a CA queue only behind those of the same account."""
        now_s, entries = self._context.clock(), snapshot.inventory.entries
        by_id, limits = {each.id: each for each in snapshot.renewals}, limited(snapshot.renewals)
        for order in snapshot.orders:
            renewal = by_id.get(order.renewal_id)
            if renewal is None or self._guard.rests(order.id):
                continue
            if next_step_at_s(order, renewal, entry_of(renewal, entries), limits=limits) <= now_s:
                act = partial(self._carry_on_one, order.id, lead)
                kind = order.terms.account_id if order.state in BEFORE_TAKING_OVER else None
                tasks.begin(order.id, partial(self._guard.run, renewal, act, key=order.id), kind=kind)

    def _clear(self, snapshot: Snapshot, lead: Lead, tasks: TaskPool) -> None:
        """Begin to remove leftover proofs of orders."""

        async def clear(renewal: RenewalRecord) -> None:
            with lead.enforced():
                await self._leftovers.clear(renewal.id)

        for renewal in snapshot.renewals:
            key, act = ("left", renewal.id), partial(clear, renewal)
            if due_of(renewal, self._context.clock()) and not self._guard.rests(key):
                account = renewal.terms and renewal.terms.account_id
                run = partial(self._guard.run, renewal, act, key=key)
                tasks.begin(key, run, kind=("left", account))

    async def _carry_on_one(self, order_id: OrderId, lead: Lead) -> None:
        """Advance an order until it has to wait. It may have been queued for long."""
        store = self._context.store
        order = await store.orders.get(order_id)
        renewal = await store.renewals.get(order.renewal_id)
        with lead.enforced():
            for _ in range(STEPS_AT_ONCE):
                entry = entry_of(renewal, (await self._context.inventories.current()).entries)
                if (
                    order.state.is_over
                    or next_step_at_s(order, renewal, entry, limits={}) > self._context.clock()
                ):
                    return
                # an error that no step anticipates must not be retried in a tight loop
                step = partial(self._steps.take, order, renewal, entry)
                await kept_if_failed(step, partial(fail, self._context, order))
                before = renewal
                order, renewal = await store.orders.get(order.id), await store.renewals.get(renewal.id)
                self.failures += renewal.failures > before.failures
                if order.state is OrderState.SERVED:
                    for observer in self.observers:
                        observer(order.reached_s(OrderState.SERVED) - order.created_s)
