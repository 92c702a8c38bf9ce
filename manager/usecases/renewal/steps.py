"""Steps of an order at its CA: from a request that is kept to a certificate that is kept.

Decides what is asked of the CA in which state, and for how long what it has not decided is waited for. Each step can be taken again: an order is
looked for before another is asked for, and what was finalised is asked about and not finalised anew. Invariant: what a step needs of an
earlier one is in the store before it is taken.
"""

from collections.abc import Sequence
from typing import Final

import structlog

from common.errors import NotFoundError
from common.words import date, listed
from manager.domain.inventory import Entry
from manager.domain.renewal.chains import choose_chain
from manager.domain.renewal.names import is_ordered
from manager.domain.renewal.records import (
    ChallengeKind,
    OrderRecord,
    OrderState,
    Problem,
    Proof,
    RenewalRecord,
)
from manager.domain.renewal.schedule import OTHER_TERMS, urgent_s, why_obsolete, why_obsolete_test
from manager.usecases.renewal.around import Around
from manager.usecases.renewal.asking import AccountsAtCas
from manager.usecases.renewal.collecting import is_signed
from manager.usecases.renewal.ports import Authorization, Ca, CaError, Missing, Ordered, Showing
from manager.usecases.renewal.progress import advance, end, fail, wait
from manager.usecases.renewal.slots import require_free
from manager.usecases.renewal.taking_over import TakingOver
from manager.usecases.workers import READ_TIMEOUT_S

log = structlog.get_logger(__name__)

SHOWN_S: Final = 2 * 3600.0
"""For how long proofs are left where they were put, if nothing takes them away before: longer than a CA looks for them."""

SHOWN_WITHIN_S: Final = 600.0
"""How long everybody has who is to show a proof, before that is a failure; DNS servers tell each other within minutes."""

TRIED_WITHIN_S: Final = 60.0
"""The same for nodes in a test order, which somebody waits for: nodes are told within seconds."""

SHOWN_AGAIN_S: Final = 10.0
"""How soon to look again whether a proof is shown."""

VALIDATED_WITHIN_S: Final = 1800.0
"""How long a CA has to look at proofs: Boulder and pebble do within seconds."""

ISSUED_WITHIN_S: Final = 7 * 86400.0
"""How long a CA has to sign: RFC 8555 7.4 sets no limit, and Let's Encrypt's own orders end after a week."""

UNWATCHED_S: Final = 2 * 86400.0
"""How late such an order is looked at, at most. If it was later, the clock was set forward, or no manager has run."""

SIGNED_WITHIN_S: Final = 600.0
"""How long a CA has to sign before it is told that it has not yet."""

POLL_LEAST_S: Final = 3.0
POLL_MOST_S: Final = 600.0
"""How soon a CA that does not say is asked again: first after seconds, then after a quarter of the time that it has been waited for."""

RETRY_LEAST_S: Final = 1.0
RETRY_MOST_S: Final = 86_400.0
"""What is obeyed of how long a CA asks to wait for what it is working on."""

MISSING_NAMED: Final = 5


class OrderSteps:
    """`take` takes one, and keeps what came of it."""

    def __init__(self, around: Around) -> None:
        self._around = around
        self._context = around.context
        self._asking = AccountsAtCas(around.context, around.cas)
        self._taking_over = TakingOver(around)

    async def take(self, order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> None:
        """Take an order's next step; `entry` is the certificate to be renewed. Raises ChangedMeanwhileError, StorageError."""
        try:
            if order.state is OrderState.TAKEN_OVER:
                await self._taking_over.look(order, renewal, entry)
            elif not (why := self._of_no_use(order, renewal, entry)):
                await self._take(order, renewal, entry)
            elif why != OTHER_TERMS or not await is_signed(self._asking, order, renewal):
                await self._give_up(order, why)
            elif order.state is OrderState.VALIDATED:
                # the answer to its request was lost
                await advance(self._context, order, OrderState.FINALISED)
            else:
                await self._take(order, renewal, entry)
        except CaError as error:
            if error.is_final or order.is_test:
                await self._remove(order, order.proofs)
            await fail(self._context, order, error)

    async def _give_up(self, order: OrderRecord, why: str) -> None:
        """End an order that is of no use any more, with all that was shown for it. Raises ChangedMeanwhileError, StorageError."""
        await self._remove(order, order.proofs)
        await end(self._context, order, f"The order was given up, because {why}.")

    def _of_no_use(self, order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> str:
        return why_obsolete_test(order, renewal) if order.is_test else why_obsolete(order, renewal, entry)

    async def _take(self, order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> None:
        if order.state is OrderState.DOWNLOADED:
            await self._taking_over.take(order)
            return
        if order.state is OrderState.CREATED and order.proofs:
            # of the test order whose place it took
            await self._remove(order, order.proofs)
            await wait(self._context, order, 0.0, proofs=())
            return
        if order.state in {OrderState.CREATED, OrderState.VALIDATED}:
            # not once the CA has signed, and counts it
            require_free(renewal, await self._context.inventories.current())
        ca = await self._asking.ca(order.terms.account_id, is_test=order.is_test)
        match order.state:
            case OrderState.CREATED:
                await self._ask(ca, order)
            case OrderState.ORDERED if order.placing_s is None:
                await self._read_proofs(ca, order)
            case OrderState.ORDERED:
                await self._show(order, urgent_s=urgent_s(renewal, entry))
            case OrderState.PLACED:
                await self._let_look(ca, order)
            case OrderState.VALIDATED:
                await self._finalise(ca, order)
            case OrderState.FINALISED:
                await self._download(ca, order, rested_s=renewal.retry_at_s)
            case _:
                raise ValueError(f"order {order.id} has no step in the state {order.state}")

    async def _ask(self, ca: Ca, order: OrderRecord) -> None:
        """Ask for an order, or find the one whose address was lost; before a test, ask the CA itself for what only it demands."""
        if order.is_test:
            await self._asking.check_demands(order.terms.account_id, profile=order.terms.profile)
        found = await ca.find_order(order.names, profile=order.terms.profile)
        if found is None or found.status not in {"pending", "ready"}:
            found = await ca.order(order.names, profile=order.terms.profile, replaces=order.replaces)
        await advance(
            self._context, order, OrderState.ORDERED, url=found.url, finalize_url=found.finalize_url
        )

    async def _read_proofs(self, ca: Ca, order: OrderRecord) -> None:
        ordered = await ca.look(order.url)
        _require(ordered)
        proofs: list[Proof] = []
        for url in ordered.authorization_urls if ordered.status == "pending" else ():
            found = await ca.authorization(url, order.terms.challenge)
            if not is_ordered(found.name, order.names):
                raise CaError(f"the CA wants {found.name} to be proven, which was not ordered", is_final=True)
            if found.status == "valid":
                continue
            if found.status != "pending":
                raise _unproven(found)
            if found.proof is None:
                raise CaError(f"the CA does not take {order.terms.challenge} for {found.name}", is_final=True)
            proofs.append(found.proof)
        # of an earlier attempt
        await self._remove(order, [each for each in order.proofs if each not in proofs])
        if proofs:
            await wait(self._context, order, 0.0, proofs=tuple(proofs), placing_s=self._context.clock())
        else:
            await advance(self._context, order, OrderState.VALIDATED, proofs=())

    async def _show(self, order: OrderRecord, *, urgent_s: float | None) -> None:
        """Put proofs where the CA will look, and look there first; from `urgent_s` on the CA is asked without who is missing."""
        now_s, showing = self._context.clock(), self._showing(order)
        await showing.place(order.proofs, until_s=now_s + SHOWN_S)
        missing = await showing.missing(order.proofs)
        waited_s = now_s - (now_s if order.placing_s is None else order.placing_s)
        is_tried = order.is_test and order.terms.challenge is ChallengeKind.HTTP
        if not missing:
            await advance(self._context, order, OrderState.PLACED, is_answered=False)
        elif waited_s < (TRIED_WITHIN_S if is_tried else SHOWN_WITHIN_S):
            problem = Problem(at_s=now_s, message=f"{_words(missing)}.")
            await wait(self._context, order, SHOWN_AGAIN_S, problem=problem)
        elif urgent_s is not None and urgent_s <= now_s and not order.is_test:
            # the CA may ask somebody else, and nodes without it would lose the certificate that they share with this one
            message = f"It cannot wait any longer, so the CA is asked although {_words(missing)}."
            await advance(self._context, order, OrderState.PLACED, message=message, is_answered=False)
        else:
            later = (
                ""
                if urgent_s is None or order.is_test
                else f"; from {date(urgent_s)} on it is asked all the same"
            )
            raise CaError(f"the CA was not asked yet, because {_words(missing)}{later}")

    async def _let_look(self, ca: Ca, order: OrderRecord) -> None:
        """Let the CA look at proofs, once, and wait until it has."""
        now_s = self._context.clock()
        if order.placing_s is None or now_s - order.placing_s > SHOWN_S / 2:
            # they may be gone by now
            await advance(self._context, order, OrderState.ORDERED, placing_s=None, is_answered=False)
            return
        is_pending = False
        for proof in order.proofs:
            found = await ca.authorization(proof.authorization_url, order.terms.challenge)
            if found.status == "valid":
                continue
            if found.status != "pending":
                raise _unproven(found, await self._missing(order, proof))
            is_pending = True
            if not order.is_answered:
                await self._answer(ca, order, proof)
        waited_s = now_s - order.reached_s(OrderState.PLACED)
        if not is_pending:
            await self._remove(order, order.proofs)
            await advance(self._context, order, OrderState.VALIDATED, proofs=(), placing_s=None)
        elif waited_s > VALIDATED_WITHIN_S:
            raise CaError("the CA has not looked at what is shown to it", is_final=True)
        else:
            await wait(self._context, order, _poll_s(waited_s, None), is_answered=True)

    async def _missing(self, order: OrderRecord, proof: Proof) -> Sequence[Missing]:
        """Return which nodes do not show a proof that the CA did not find, none if that cannot be told."""
        if order.terms.challenge is not ChallengeKind.HTTP:
            return ()
        try:
            return await self._showing(order).missing([proof])
        except CaError:
            return ()

    async def _answer(self, ca: Ca, order: OrderRecord, proof: Proof) -> None:
        try:
            await ca.answer(proof)
        except CaError:
            # it may have been let look before, and have done so
            found = await ca.authorization(proof.authorization_url, order.terms.challenge)
            if found.status == "pending":
                raise

    async def _finalise(self, ca: Ca, order: OrderRecord) -> None:
        ordered = await ca.look(order.url)
        waited_s = self._context.clock() - order.reached_s(OrderState.VALIDATED)
        if ordered.status == "pending" and waited_s <= VALIDATED_WITHIN_S:
            await wait(self._context, order, _poll_s(waited_s, ordered.retry_after_s))
            return
        if ordered.status == "pending":
            raise CaError(
                "the CA does not count the names as proven, though it said so of each", is_final=True
            )
        _require(ordered)
        if ordered.status == "ready":
            await ca.finalize(ordered.finalize_url or order.finalize_url, order.request_pem)
        await advance(self._context, order, OrderState.FINALISED)

    async def _download(self, ca: Ca, order: OrderRecord, *, rested_s: float) -> None:
        """Collect what the CA has signed, or wait for it; `rested_s` is until when the order has rested after a failure."""
        ordered = await ca.look(order.url)
        _require(ordered)
        if ordered.status == "valid":
            texts = await ca.download(ordered.certificate_url)
            if not texts:
                raise CaError("the CA gave no certificate")
            # a staging environment has other roots
            root = "" if order.is_test else order.terms.preferred_chain
            # a CA may give megabytes of chains
            chosen = await self._context.workers.run(READ_TIMEOUT_S, choose_chain, texts, root)
            await advance(
                self._context,
                order,
                OrderState.DOWNLOADED,
                message=""
                if chosen.is_preferred
                else f"No chain ends at '{root}', so the CA's own was taken.",
                certificate_url=ordered.certificate_url,
                answer_text=chosen.text,
            )
            return
        if ordered.status == "ready":
            # what was handed in is lost there
            await ca.finalize(ordered.finalize_url or order.finalize_url, order.request_pem)
        now_s = self._context.clock()
        waited_s = now_s - order.reached_s(OrderState.FINALISED)
        if now_s - max(order.changed_s, order.recheck_at_s, rested_s) > UNWATCHED_S:
            message = "The clock was set forward, or no manager has run: the CA is waited for anew."
            await advance(self._context, order, OrderState.FINALISED, message=message)
            return
        if waited_s > ISSUED_WITHIN_S:
            raise CaError("the CA has not signed the certificate for a week", is_final=True)
        problem = order.problem
        if problem is None and waited_s > SIGNED_WITHIN_S:
            problem = Problem(at_s=now_s, message="The CA has not signed it yet.")
        await wait(self._context, order, _poll_s(waited_s, ordered.retry_after_s), problem=problem)

    def _showing(self, order: OrderRecord) -> Showing:
        showing = self._around.showings.get(order.terms.challenge)
        if showing is None:
            raise CaError(f"this manager cannot show {order.terms.challenge}", is_final=True)
        return showing

    async def _remove(self, order: OrderRecord, proofs: Sequence[Proof]) -> None:
        """Take proofs away. That some stay, until they expire, holds nothing up."""
        showing = self._around.showings.get(order.terms.challenge)
        if not proofs or showing is None:
            return
        try:
            await showing.remove(proofs)
        except (CaError, NotFoundError) as error:
            log.warning("challenge.left", order=order.id, message=error.message)


def _require(ordered: Ordered) -> None:
    """Check that an order can still be fulfilled. Raises CaError."""
    if ordered.status not in {"pending", "ready", "processing", "valid"}:
        message = f"the order is {ordered.status} at the CA" + _because(ordered.message)
        raise CaError(message, type=ordered.type, detail=ordered.message, is_final=True)


def _unproven(found: Authorization, missing: Sequence[Missing] = ()) -> CaError:
    message = f"the CA did not find the proof for {found.name}" + _because(found.message)
    if missing:
        # a name that leads to nobody else stays unproven, and with it all names beside it
        message += f"; {_words(missing)}. If the CA can reach nobody else for {found.name}, take that name out until then, or prove names by dns-01"
    return CaError(message, type=found.type, detail=found.message, is_final=True)


def _because(message: str) -> str:
    return f": {message}" if message else ""


def _words(missing: Sequence[Missing]) -> str:
    named = [f"{each.where} does not show it for {each.name} ({each.message})" for each in missing]
    more = len(named) - MISSING_NAMED
    return listed(named[:MISSING_NAMED]) + (f" and {more} more" if more > 0 else "")


def _poll_s(waited_s: float, retry_after_s: float | None) -> float:
    if retry_after_s is not None:
        return min(max(retry_after_s, RETRY_LEAST_S), RETRY_MOST_S)
    return min(max(POLL_LEAST_S, waited_s / 4), POLL_MOST_S)
