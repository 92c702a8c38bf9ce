"""Proofs of an order: read from its CA, shown where it looks for them, and taken away again.

Decides when a CA is let look at what is shown, and for how long everybody has. Leaves showing to `Showing`, and what is proven to the CA. Invariant: what
is shown is in the store before, so that it can be taken away by whoever comes later.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import Final

from common.words import date, listed
from manager.domain.renewal.names import is_ordered
from manager.domain.renewal.records import ChallengeKind, OrderRecord, OrderState, Problem, Proof
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.leftovers import Leftovers
from manager.usecases.renewal.ports import Authorization, Ca, CaError, Missing, Ordered, Showing
from manager.usecases.renewal.progress import advance, wait

SHOWN_S: Final = 2 * 3600.0
"""For how long proofs are left where they were put, if nothing takes them away before: longer than a CA looks for them."""

SHOWN_WITHIN_S: Final = 600.0
"""How long everybody has who is to show a proof, before that is a failure; DNS servers tell each other within minutes."""

TRIED_WITHIN_S: Final = 60.0
"""The same for nodes in a test order, which somebody waits for: nodes are told within seconds."""

SHOWN_AGAIN_S: Final = 10.0
"""How soon to look again whether a proof is shown."""

TOLD_AGAIN_S: Final = 1.0
"""The same while nodes are being told of it, which takes them as long; for SHOWN_AGAIN_S it is nothing to speak of."""

VALIDATED_WITHIN_S: Final = 1800.0
"""How long a CA has to look at proofs: Boulder and pebble do within seconds."""

POLL_LEAST_S: Final = 3.0
POLL_MOST_S: Final = 600.0
"""How soon a CA that does not say is asked again: first after seconds, then after a quarter of the time that it has been waited for."""

RETRY_LEAST_S: Final = 1.0
RETRY_MOST_S: Final = 86_400.0
"""What is obeyed of how long a CA asks to wait for what it is working on."""

MISSING_NAMED: Final = 5

STILL_GOING: Final = (
    "The same proof is just being taken away for another order; it is shown again after that."
)

PLACED_MOST: Final = 2
"""How often the same order is shown anew without a failure: what ends the showing again and again must come to light."""


class Proving:
    """Takes the steps of an order in which its names are proven; `read`, `show` and `let_look` raise CaError, ChangedMeanwhileError, StorageError."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._context = dependencies.context
        self._leftovers = Leftovers(dependencies)

    async def read(self, ca: Ca, order: OrderRecord) -> None:
        """Ask the CA what it wants to see."""
        ordered = await ca.look(order.url)
        require_open(ordered)
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
        await self._leftovers.remove(order, [each for each in order.proofs if each not in proofs])
        if proofs:
            await wait(self._context, order, 0.0, proofs=tuple(proofs), placing_s=self._context.clock())
        else:
            await advance(self._context, order, OrderState.VALIDATED, proofs=())

    async def show(self, order: OrderRecord, *, urgent_s: float | None) -> None:
        """Put proofs where the CA will look, and look there first; from `urgent_s` on the CA is asked without who is missing."""
        now_s, showing = self._context.clock(), self._showing(order)
        self._dependencies.removals.need(order)
        if self._dependencies.removals.are_going(order.proofs):
            problem = Problem(at_s=now_s, message=STILL_GOING)
            # its own time to show it begins after that
            await wait(self._context, order, SHOWN_AGAIN_S, problem=problem, placing_s=now_s)
            return
        await showing.place(order.proofs, until_s=now_s + SHOWN_S)
        if (await self._context.store.orders.get(order.id)).state.is_over:
            # the proofs were removed before they were there
            await self._leftovers.remove(order, order.proofs)
            return
        missing = await showing.missing(order.proofs)
        waited_s = now_s - (now_s if order.placing_s is None else order.placing_s)
        is_tried = order.is_test and order.terms.challenge is ChallengeKind.HTTP
        if not missing:
            await advance(self._context, order, OrderState.PLACED, is_answered=False)
        elif waited_s < SHOWN_AGAIN_S and all(each.is_being_told for each in missing):
            await wait(self._context, order, TOLD_AGAIN_S, problem=None)
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

    async def let_look(self, ca: Ca, order: OrderRecord) -> None:
        """Let the CA look at proofs, once, and wait until it has."""
        waited_s = self._context.clock() - order.reached_s(OrderState.PLACED)
        if waited_s > SHOWN_S / 2:
            await self._show_anew(order, "more than an hour has passed, and what was shown may be gone")
            return
        pending: list[Proof] = []
        asked_s: float | None = None
        for proof in order.proofs:
            found = await ca.authorization(proof.authorization_url, order.terms.challenge)
            if found.status == "valid":
                continue
            if found.status != "pending":
                raise _unproven(found, await self._missing(order, proof))
            if not order.is_answered and _is_another(found.proof, proof):
                await self._show_anew(order, f"the CA wants to see another proof for {found.name} by now")
                return
            pending.append(proof)
            if found.retry_after_s is not None:
                asked_s = max(found.retry_after_s, asked_s or 0.0)
        for proof in () if order.is_answered else pending:
            await self._answer(ca, order, proof)
        if not pending:
            message = await self._leftovers.remove(order, order.proofs)
            await advance(
                self._context, order, OrderState.VALIDATED, message=message, proofs=(), placing_s=None
            )
        elif waited_s > VALIDATED_WITHIN_S:
            raise CaError("the CA has not looked at what is shown to it", is_final=True)
        else:
            # as long as it asks, but not beyond what it has
            rests_s = min(poll_s(waited_s, asked_s), VALIDATED_WITHIN_S - waited_s + POLL_LEAST_S)
            await wait(self._context, order, rests_s, is_answered=True)

    async def _show_anew(self, order: OrderRecord, why: str) -> None:
        """Go back to where proofs are read, unless that was done before. Raises CaError."""
        since_failure = takewhile(lambda each: not each.is_failure, reversed(order.steps))
        if sum(each.state is OrderState.PLACED for each in since_failure) >= PLACED_MOST:
            raise CaError(f"the CA could not be let look, because {why}")
        message = f"What the CA wants to see is shown anew, because {why}."
        await advance(
            self._context, order, OrderState.ORDERED, message=message, placing_s=None, is_answered=False
        )

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

    def _showing(self, order: OrderRecord) -> Showing:
        showing = self._dependencies.showings.get(order.terms.challenge)
        if showing is None:
            raise CaError(f"this manager cannot show {order.terms.challenge}", is_final=True)
        return showing


def require_open(ordered: Ordered) -> None:
    """Check that an order can still be fulfilled. Raises CaError."""
    if ordered.status not in {"pending", "ready", "processing", "valid"}:
        message = f"the order is {ordered.status} at the CA" + _because(ordered.message)
        raise CaError(message, type=ordered.type, detail=ordered.message, is_final=True)


def _is_another(wanted: Proof | None, shown: Proof) -> bool:
    """Whether a CA wants to see something else than is shown, as it does once its account has another key (RFC 8555 8.1)."""
    return wanted is not None and (wanted.token, wanted.response) != (shown.token, shown.response)


def _unproven(found: Authorization, missing: Sequence[Missing] = ()) -> CaError:
    message = f"the CA did not find the proof for {found.name}" + _because(found.message)
    if missing:
        # a name that leads to nobody else stays unproven, and with it all names beside it
        message += f"; {_words(missing)}. If the CA can reach nobody else for {found.name}, take that name out until then, or prove names by dns-01"
    return CaError(message, type=found.type, detail=found.message, is_final=True)


def _because(message: str) -> str:
    return f": {message}" if message else ""


def _words(missing: Sequence[Missing]) -> str:
    named = [f"{each.where} does not show the proof for {each.name} ({each.message})" for each in missing]
    more = len(named) - MISSING_NAMED
    return listed(named[:MISSING_NAMED]) + (f" and {more} more" if more > 0 else "")


def poll_s(waited_s: float, retry_after_s: float | None) -> float:
    if retry_after_s is not None:
        return min(max(retry_after_s, RETRY_LEAST_S), RETRY_MOST_S)
    return min(max(POLL_LEAST_S, waited_s / 4), POLL_MOST_S)
