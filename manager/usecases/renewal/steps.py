"""Steps of an order at its CA, from the stored CSR to the stored certificate.

Decides what to ask the CA in each state, and how long to wait for it. Each step can be repeated: an existing
order is looked up before a new one is requested, and a finalised order is polled, not finalised again.
Invariant: the data a step needs from an earlier one is stored before the step is taken.
"""

from typing import Final

import structlog

from manager.domain.inventory import Entry
from manager.domain.renewal.chains import choose_chain
from manager.domain.renewal.records import (
    OrderRecord,
    OrderState,
    Problem,
    RenewalRecord,
)
from manager.domain.renewal.schedule import (
    OTHER_TERMS,
    PAUSED,
    is_paused,
    urgent_s,
    why_obsolete,
    why_obsolete_test,
)
from manager.usecases.renewal.ca_accounts import CaAccounts
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.leftovers import Leftovers
from manager.usecases.renewal.ports import Ca, CaError
from manager.usecases.renewal.progress import advance, end, end_paused, fail, require_kept, wait
from manager.usecases.renewal.proving import VALIDATED_WITHIN_S, Proving, poll_s, require_open
from manager.usecases.renewal.signed_orders import is_signed
from manager.usecases.renewal.slots import require_free
from manager.usecases.renewal.taking_over import TakingOver
from manager.usecases.workers import READ_TIMEOUT_S

log = structlog.get_logger(__name__)

ISSUED_WITHIN_S: Final = 7 * 86400.0
"""Time allowed for the CA to sign. RFC 8555 7.4 sets no limit; Let's Encrypt's orders expire after a week."""

UNWATCHED_S: Final = 2 * 86400.0
"""Longest gap between two checks of such an order. After a longer one the clock was set forward, or no manager ran."""

COSTLY: Final = frozenset({OrderState.CREATED, OrderState.ORDERED, OrderState.PLACED, OrderState.VALIDATED})
"""States whose step uses up a CA's rate limit or places proofs."""

SIGNED_WITHIN_S: Final = 600.0
"""Time after which an unsigned order is reported."""


class OrderSteps:
    """`take` takes one step and stores its result."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._context = dependencies.context
        self._ca_accounts = CaAccounts(dependencies.context, dependencies.cas)
        self._proving = Proving(dependencies)
        self._leftovers = Leftovers(dependencies)
        self._taking_over = TakingOver(dependencies)

    async def take(self, order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> None:
        """Take an order's next step; `entry` is the certificate to be renewed. Raises ChangedMeanwhileError, StorageError."""
        try:
            if order.state is OrderState.TAKEN_OVER:
                await self._taking_over.look(order, renewal, entry)
            elif not (why := self._of_no_use(order, renewal, entry)):
                await self._take(order, renewal, entry)
            elif why not in {OTHER_TERMS, PAUSED} or not await is_signed(self._ca_accounts, order, renewal):
                await self._give_up(order, why)
            elif order.state is OrderState.VALIDATED:
                # the answer to its request was lost
                await advance(self._context, order, OrderState.FINALISED)
            else:
                await self._take(order, renewal, entry)
        except CaError as error:
            if error.is_final or order.is_test:
                await self._leftovers.remove(order, order.proofs)
            await fail(self._context, order, error)

    async def _give_up(self, order: OrderRecord, why: str) -> None:
        """End an obsolete order and remove its proofs. Raises ChangedMeanwhileError, StorageError."""
        left = await self._leftovers.remove(order, order.proofs)
        ended = end_paused if why == PAUSED else end
        await ended(self._context, order, f"The order was given up, because {why}. {left}".rstrip())

    def _of_no_use(self, order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> str:
        if order.is_test:
            return why_obsolete_test(order, renewal)
        # a paused order is not checked before its pause limit
        return why_obsolete(order, renewal, entry) or (PAUSED if is_paused(order, renewal) else "")

    async def _take(self, order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> None:
        if order.state is OrderState.DOWNLOADED:
            await self._taking_over.take(order)
            return
        if order.state is OrderState.CREATED and order.proofs:
            # of the test order it replaced
            await self._leftovers.remove(order, order.proofs)
            await wait(self._context, order, 0.0, proofs=())
            return
        await self._require_sense(order, renewal)
        ca = await self._ca_accounts.ca(order.terms.account_id, is_test=order.is_test)
        match order.state:
            case OrderState.CREATED:
                await self._ask(ca, order)
            case OrderState.ORDERED if order.placing_s is None:
                await self._proving.read(ca, order)
            case OrderState.ORDERED:
                await self._proving.show(order, urgent_s=urgent_s(order, renewal, entry))
            case OrderState.PLACED:
                await self._proving.let_look(ca, order)
            case OrderState.VALIDATED:
                await self._finalise(ca, order)
            case OrderState.FINALISED:
                await self._download(ca, order, rested_s=renewal.retry_at_s)
            case _:
                raise ValueError(f"order {order.id} has no step in the state {order.state}")

    async def _require_sense(self, order: OrderRecord, renewal: RenewalRecord) -> None:
        """Check that the step's result can be stored and assigned. Raises CaError, ChangedMeanwhileError, StorageError."""
        if order.state in {OrderState.CREATED, OrderState.VALIDATED}:
            # later the CA has signed, and counts the certificate
            require_free(renewal, await self._context.inventories.current())
        if order.state in COSTLY:
            await require_kept(self._context, order)

    async def _ask(self, ca: Ca, order: OrderRecord) -> None:
        """Create an order, or find one whose URL was lost. A test first checks the demands of the production CA."""
        if order.is_test:
            await self._ca_accounts.check_demands(order.terms.account_id, profile=order.terms.profile)
        found = await ca.find_order(order.names, profile=order.terms.profile)
        if found is None or found.status not in {"pending", "ready"}:
            found = await ca.order(order.names, profile=order.terms.profile, replaces=order.replaces)
        await advance(
            self._context, order, OrderState.ORDERED, url=found.url, finalize_url=found.finalize_url
        )

    async def _finalise(self, ca: Ca, order: OrderRecord) -> None:
        ordered = await ca.look(order.url)
        waited_s = self._context.clock() - order.reached_s(OrderState.VALIDATED)
        if ordered.status == "pending" and waited_s <= VALIDATED_WITHIN_S:
            await wait(self._context, order, poll_s(waited_s, ordered.retry_after_s))
            return
        if ordered.status == "pending":
            raise CaError("the CA validated each name but still reports the order as pending", is_final=True)
        require_open(ordered)
        if ordered.status == "ready":
            await ca.finalize(ordered.finalize_url or order.finalize_url, order.request_pem)
        await advance(self._context, order, OrderState.FINALISED)

    async def _download(self, ca: Ca, order: OrderRecord, *, rested_s: float) -> None:
        """Download the certificate, or wait for it. `rested_s` is the end of the order's last back-off."""
        ordered = await ca.look(order.url)
        require_open(ordered)
        if ordered.status == "valid":
            texts = await ca.download(ordered.certificate_url)
            if not texts:
                raise CaError("the CA returned no certificate")
            # a staging environment has other roots
            root = "" if order.is_test else order.terms.preferred_chain
            # a CA may send megabytes of chains
            chosen = await self._context.workers.run(READ_TIMEOUT_S, choose_chain, texts, root)
            await advance(
                self._context,
                order,
                OrderState.DOWNLOADED,
                message=""
                if chosen.is_preferred
                else f"No chain ends at '{root}', so the CA's default chain is used.",
                certificate_url=ordered.certificate_url,
                answer_text=chosen.text,
            )
            return
        if ordered.status == "ready":
            # the CA has lost the CSR
            await ca.finalize(ordered.finalize_url or order.finalize_url, order.request_pem)
        now_s = self._context.clock()
        waited_s = now_s - order.reached_s(OrderState.FINALISED)
        if now_s - max(order.changed_s, order.recheck_at_s, rested_s) > UNWATCHED_S:
            message = (
                "The clock was set forward, or no manager was running; the wait for the CA starts again."
            )
            await advance(self._context, order, OrderState.FINALISED, message=message)
            return
        if waited_s > ISSUED_WITHIN_S:
            raise CaError("the CA has not signed the certificate for a week", is_final=True)
        problem = order.problem
        if problem is None and waited_s > SIGNED_WITHIN_S:
            problem = Problem(at_s=now_s, message="The CA has not signed it yet.")
        await wait(self._context, order, poll_s(waited_s, ordered.retry_after_s), problem=problem)
