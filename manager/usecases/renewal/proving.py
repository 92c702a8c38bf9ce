"""Validation of an order's names: proofs are read from the CA, placed where it looks for them, and removed again.

Decides when to ask the CA to validate, and how long each party may take. `Showing` places proofs. Invariant:
a proof is stored before it is placed, so that it can be removed after a crash or by another manager.
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
"""Lifetime of a placed proof that is not removed before; longer than a CA takes to validate."""

SHOWN_WITHIN_S: Final = 600.0
"""Time allowed for every node or DNS server to serve a proof. DNS servers notify each other within minutes."""

TRIED_WITHIN_S: Final = 60.0
"""The same for nodes in a test order, for which a user waits. Nodes receive proofs within seconds."""

SHOWN_AGAIN_S: Final = 10.0
"""Interval of checks whether a proof is served."""

TOLD_AGAIN_S: Final = 1.0
"""The same while proofs are being sent to nodes. For the first SHOWN_AGAIN_S this is not reported as a problem."""

VALIDATED_WITHIN_S: Final = 1800.0
"""Time allowed for the CA to validate; Boulder and pebble take seconds."""

POLL_LEAST_S: Final = 3.0
POLL_MOST_S: Final = 600.0
"""Bounds of the poll interval without a Retry-After header: a quarter of the time waited so far."""

RETRY_LEAST_S: Final = 1.0
RETRY_MOST_S: Final = 86_400.0
"""Bounds of a Retry-After that is obeyed while the CA works on an order."""

MISSING_NAMED: Final = 5

STILL_GOING: Final = "The same proof is being removed for another order; it is placed again after that."

PLACED_MOST: Final = 2
"""How often an order's proofs are placed again before that counts as a failure, so that a recurring cause comes to light."""


class Proving:
    """The steps of an order that prove its names. `read`, `show` and `let_look` raise CaError, ChangedMeanwhileError, StorageError."""

    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._context = dependencies.context
        self._leftovers = Leftovers(dependencies)

    async def read(self, ca: Ca, order: OrderRecord) -> None:
        """Read the CA's challenges."""
        ordered = await ca.look(order.url)
        require_open(ordered)
        proofs: list[Proof] = []
        for url in ordered.authorization_urls if ordered.status == "pending" else ():
            found = await ca.authorization(url, order.terms.challenge)
            if not is_ordered(found.name, order.names):
                raise CaError(f"the CA demands proof for {found.name}, which was not ordered", is_final=True)
            if found.status == "valid":
                continue
            if found.status != "pending":
                raise _unproven(found)
            if found.proof is None:
                raise CaError(
                    f"the CA does not offer {order.terms.challenge} for {found.name}", is_final=True
                )
            proofs.append(found.proof)
        # of an earlier attempt
        await self._leftovers.remove(order, [each for each in order.proofs if each not in proofs])
        if proofs:
            await wait(self._context, order, 0.0, proofs=tuple(proofs), placing_s=self._context.clock())
        else:
            await advance(self._context, order, OrderState.VALIDATED, proofs=())

    async def show(self, order: OrderRecord, *, urgent_s: float | None) -> None:
        """Place the proofs and check that they are served. From `urgent_s` on the CA is asked even if some are not."""
        now_s, showing = self._context.clock(), self._showing(order)
        self._dependencies.removals.need(order)
        if self._dependencies.removals.are_going(order.proofs):
            problem = Problem(at_s=now_s, message=STILL_GOING)
            # the time allowed for placing begins after that
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
            # the CA may ask another node, and waiting longer would leave all nodes of this certificate without one
            message = f"There is no time left to wait, so the CA was asked although {_words(missing)}."
            await advance(self._context, order, OrderState.PLACED, message=message, is_answered=False)
        else:
            later = (
                ""
                if urgent_s is None or order.is_test
                else f"; from {date(urgent_s)} on it will be asked anyway"
            )
            raise CaError(f"the CA has not been asked yet because {_words(missing)}{later}")

    async def let_look(self, ca: Ca, order: OrderRecord) -> None:
        """Ask the CA to validate, once, and wait until it has."""
        waited_s = self._context.clock() - order.reached_s(OrderState.PLACED)
        if waited_s > SHOWN_S / 2:
            await self._show_anew(order, "they were placed more than an hour ago and may be gone")
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
                await self._show_anew(order, f"the CA now wants a different proof for {found.name}")
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
            raise CaError("the CA did not validate the proofs in time", is_final=True)
        else:
            # as long as it asks for, within the time it is allowed
            rests_s = min(poll_s(waited_s, asked_s), VALIDATED_WITHIN_S - waited_s + POLL_LEAST_S)
            await wait(self._context, order, rests_s, is_answered=True)

    async def _show_anew(self, order: OrderRecord, why: str) -> None:
        """Return to reading proofs, unless that was done PLACED_MOST times. Raises CaError."""
        since_failure = takewhile(lambda each: not each.is_failure, reversed(order.steps))
        if sum(each.state is OrderState.PLACED for each in since_failure) >= PLACED_MOST:
            raise CaError(f"the CA could not be asked to validate the proofs because {why}")
        message = f"The proofs are placed again because {why}."
        await advance(
            self._context, order, OrderState.ORDERED, message=message, placing_s=None, is_answered=False
        )

    async def _missing(self, order: OrderRecord, proof: Proof) -> Sequence[Missing]:
        """Return the nodes that do not serve a proof the CA did not find; empty if unknown."""
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
            # it may have been asked before, and have validated
            found = await ca.authorization(proof.authorization_url, order.terms.challenge)
            if found.status == "pending":
                raise

    def _showing(self, order: OrderRecord) -> Showing:
        showing = self._dependencies.showings.get(order.terms.challenge)
        if showing is None:
            raise CaError(f"this manager cannot place proofs for {order.terms.challenge}", is_final=True)
        return showing


def require_open(ordered: Ordered) -> None:
    """Check that the CA can still complete an order. Raises CaError."""
    if ordered.status not in {"pending", "ready", "processing", "valid"}:
        message = f"the order is {ordered.status} at the CA" + _because(ordered.message)
        raise CaError(message, type=ordered.type, detail=ordered.message, is_final=True)


def _is_another(wanted: Proof | None, shown: Proof) -> bool:
    """Whether the CA wants a proof other than the placed one, as after a change of the account key (RFC 8555 8.1)."""
    return wanted is not None and (wanted.token, wanted.response) != (shown.token, shown.response)


def _unproven(found: Authorization, missing: Sequence[Missing] = ()) -> CaError:
    message = f"the CA did not find the proof for {found.name}" + _because(found.message)
    if missing:
        # a name served by these nodes alone stays unproven, and fails the order for all its names
        message += f"; {_words(missing)}. If no other node answers for {found.name}, remove that name until these do, or use dns-01"
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
