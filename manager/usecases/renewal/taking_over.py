"""Installing an issued certificate: from the download until all ports serve it.

Decides which signed certificates are refused: those that do not match the request, or that nodes or their
clients would reject. Invariants: a test order is refused whatever its real order would be refused. The new
certificate, all places of its predecessor, its renewal and its order change in one transaction.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from common.bundle.manifest import Slot
from common.errors import (
    CertcastError,
    ChangedMeanwhileError,
    InvalidInputError,
    NotFoundError,
    PkiError,
    StorageError,
)
from common.ids import NO_CERTIFICATE, CertificateId, NodeName
from common.pki.expiry import DAY_S
from common.pki.finding import LintCode, Severity
from common.words import listed
from manager.domain.audit import RENEWAL
from manager.domain.comparison import has_name
from manager.domain.consequences import Consequence, ConsequenceCode, unique
from manager.domain.inventory import Entry, Inventory
from manager.domain.keeping import new_entry
from manager.domain.model import AssignmentRecord
from manager.domain.moves import Move
from manager.domain.placements import of_moves
from manager.domain.renewal.early import taken_over_early_s
from manager.domain.renewal.moments import WINDOW_COUNTED_S, why_too_short, window_from_s
from manager.domain.renewal.records import OrderRecord, OrderState, Problem, RenewalRecord
from manager.domain.renewal.schedule import begins_at_s, brings_another, entry_of, validity_of, why_obsolete
from manager.domain.renewal.state import is_displaced
from manager.domain.view import NodeView
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.material import TlsMaterial
from manager.usecases.confirming import Impact, assess_kept, other_keys
from manager.usecases.kept import new_certificate
from manager.usecases.material_checks import read_for_key
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.ports import CaError
from manager.usecases.renewal.progress import ORDERS_KEPT, advance, end, keep_advanced, wait
from manager.usecases.renewal.slots import why_occupied
from manager.usecases.workers import READ_TIMEOUT_S

log = structlog.get_logger(__name__)

SERVED_WITHIN_S: Final = 600.0
"""Time that nodes have to serve a certificate before those that do not are reported."""

LOOKED_LEAST_S: Final = 2.0
LOOKED_MOST_S: Final = 600.0
"""Longest interval of checks whether ports serve it; it grows with a quarter of the elapsed time."""

_ACCEPTED: Final = frozenset({ConsequenceCode.NAME_MISMATCH})
"""Consequences that a renewal may have: its names were chosen knowing the nodes' names.

Those of the former certificate are accepted, too.
"""


class TakingOver:
    def __init__(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._context = dependencies.context

    async def take(self, order: OrderRecord) -> None:
        """Replace the renewed certificate with the downloaded one; a test ends here. Raises CaError if it is refused."""
        material = await self._read(order)
        now_s = self._context.clock()
        begins = material.leaf.not_before_s
        if begins is not None and now_s < begins <= now_s + DAY_S:
            await wait(self._context, order, begins - now_s)
            return
        if missing := [name for name in order.names if not has_name(material.leaf, name)]:
            raise _refused(order, f"the certificate does not match the request: it lacks {listed(missing)}")
        if order.is_test:
            await self._try(order, material, now_s)
            return
        try:
            nodes, number = await self._keep(order, material, now_s)
        except (CaError, ChangedMeanwhileError, StorageError):
            raise
        except CertcastError as error:
            # of the store's identity rules, or because something was deleted meanwhile
            raise _refused(order, f"the certificate cannot be taken into use: {error.message}") from error
        log.info("renewal.taken_over", order=order.id, renewal=order.renewal_id, certificate=number)
        self._context.changed(nodes, cause=f"certificate {number} belongs to another renewal")

    async def _read(self, order: OrderRecord) -> TlsMaterial:
        """Parse the certificate with its request's key.

        Raises CaError, CertcastError (the worker failed, not the certificate).
        """
        key = await self._context.store.orders.private_key(order.id)
        try:
            return await self._context.workers.run(
                READ_TIMEOUT_S,
                read_for_key,
                certificate=order.answer_text,
                private_key=key,
                owner="the key that was made for this order",
            )
        except (InvalidInputError, PkiError, PkiFindingsError) as error:
            raise _refused(order, f"the certificate does not match the request: {error.message}") from error

    async def _try(self, order: OrderRecord, material: TlsMaterial, now_s: float) -> None:
        """End a test with the result of its real order, except for the chain's root: staging roots differ.

        Raises CaError.
        """
        inventory = await self._context.inventories.current()
        renewal = await self._context.store.renewals.get(order.renewal_id)
        await self._assess(inventory, order, renewal, material, now_s=now_s)
        # the store's own rule, checked without a transaction
        for _, message in other_keys(inventory, [material]):
            raise _refused(order, f"the certificate cannot be taken into use: {message}")
        root = order.terms.preferred_chain
        untried = (
            f"Whether a chain ends at '{root}' was not tried: a staging environment has roots of its own."
        )
        await advance(self._context, order, OrderState.TESTED, message=untried if root else "")

    async def _assess(
        self,
        inventory: Inventory,
        order: OrderRecord,
        renewal: RenewalRecord,
        material: TlsMaterial,
        *,
        now_s: float,
    ) -> Impact:
        """Assess a certificate in its places, including nodes that get their first one. Raises CaError if it is refused."""
        predecessor = entry_of(renewal, inventory.entries)
        if why := why_occupied(renewal, inventory):
            raise _refused(order, why)
        if predecessor is not None and predecessor.leaf == material.leaf:
            raise _refused(order, "the CA returned the certificate that is being renewed")
        impact = await asyncio.to_thread(
            assess_renewed,
            inventory,
            predecessor,
            material,
            first_nodes(renewal, inventory),
            renewal.slot,
            now_s=now_s,
        )
        # no one trusts the root of a staging environment
        unasked = {LintCode.CHAIN} if order.is_test else frozenset[str]()
        found = [each for each in impact.consequences if each.code not in unasked]
        if refused := refusals(found):
            raise _refused(order, f"the certificate is refused here: {' '.join(refused)}")
        if why := why_too_short(validity_of(material.leaf), now_s=now_s):
            raise _refused(order, f"the certificate does not last long enough: {why}")
        return impact

    async def _keep(
        self, order: OrderRecord, material: TlsMaterial, now_s: float
    ) -> tuple[Sequence[NodeName], CertificateId]:
        store = self._context.store
        async with self._context.deciding() as inventory:
            renewal = await store.renewals.get(order.renewal_id)
            if why := why_obsolete(order, renewal, entry_of(renewal, inventory.entries)):
                raise ChangedMeanwhileError(why)
            impact = await self._assess(inventory, order, renewal, material, now_s=now_s)
            kept = await store.catalogue.renew(
                renewal.certificate_id,
                new_certificate(impact.materials[0]),
                nodes=first_nodes(renewal, inventory),
                slot=renewal.slot,
                now_s=now_s,
            )
            number = kept.certificate.id
            detail = {"renewal": renewal.id, "replaces": renewal.certificate_id, "nodes": kept.nodes}
            await self._context.audit(RENEWAL, "renewal.taken_over", f"certificate {number}", detail)
            await keep_advanced(self._context, order, OrderState.TAKEN_OVER, answer_id=number)
            early_s = await self._early_s(renewal, now_s)
            successor = _of_successor(renewal, order, number, now_s)
            await store.renewals.keep(
                replace(
                    successor,
                    is_placed=renewal.is_placed or bool(kept.nodes),
                    window_from_s=window_from_s(early_s, now_s=now_s),
                )
            )
        return kept.nodes, number

    async def _early_s(self, renewal: RenewalRecord, now_s: float) -> Sequence[float]:
        """Return the times of a renewal's early replacements, including this one, within the counted period."""
        latest = await self._context.store.orders.of_renewal(renewal.id, limit=2 * ORDERS_KEPT)
        return await asyncio.to_thread(taken_over_early_s, latest[::-1], since_s=now_s - WINDOW_COUNTED_S)

    async def look(self, order: OrderRecord, renewal: RenewalRecord, entry: Entry | None) -> None:
        """End the order if every node with the certificate serves it, else schedule the next check."""
        now_s = self._context.clock()
        if renewal.is_over or entry is None or entry.id != order.answer_id:
            await end(self._context, order, "Another certificate has replaced the one from this order.")
            return
        if is_displaced(renewal, entry):
            # unassigned by hand: no node gets it again, and previous certificates stay, since they may be
            # wanted
            await end(self._context, order, "No node has the certificate any more that it has brought.")
            return
        waiting = [text for place in entry.places if (text := self._not_served(place, entry))]
        # the next immediate order begins only after this one has ended
        begins = begins_at_s(replace(renewal, follows_at_once=False), entry)
        if not waiting:
            await self._serve(order, entry)
        elif begins is not None and begins <= now_s:
            await end(
                self._context,
                order,
                f"The next renewal is due, though not every node serves this one: {listed(waiting)}.",
            )
        else:
            waited_s = now_s - order.reached_s(OrderState.TAKEN_OVER)
            message = f"{listed(waiting)}." if waited_s >= SERVED_WITHIN_S else ""
            problem = Problem(at_s=now_s, message=message) if message else None
            if order.problem is not None and order.problem.message == message:
                problem = order.problem
            await wait(
                self._context,
                order,
                min(max(LOOKED_LEAST_S, waited_s / 4), LOOKED_MOST_S),
                problem=problem,
            )

    def _not_served(self, place: AssignmentRecord, entry: Entry) -> str:
        """Return why a slot does not serve a certificate, "" if it does."""
        try:
            view = self._dependencies.fleet.node(place.node)
        except NotFoundError:
            return ""  # the node was just removed
        return not_served(view, place.slot, entry)

    async def _serve(self, order: OrderRecord, entry: Entry) -> None:
        """Record that it is served, and delete the renewal's former certificates that are in no place now."""
        store = self._context.store
        brought = await store.orders.brought(order.renewal_id) - {entry.id}
        async with self._context.deciding() as inventory:
            nobody = "" if entry.places else "no node has it yet"
            await keep_advanced(self._context, order, OrderState.SERVED, message=nobody)
            for number in sorted(each for each in brought if each in inventory.entries):
                if not inventory.entries[number].places:
                    await store.certificates.delete([number], even_assigned=False)
                    detail = {"nodes": [], "renewed_by": entry.id}
                    await self._context.audit(RENEWAL, "certificate.deleted", f"certificate {number}", detail)
        seconds = self._context.clock() - order.created_s
        log.info(
            "renewal.served",
            order=order.id,
            renewal=order.renewal_id,
            certificate=entry.id,
            duration_ms=round(1000 * seconds),
        )
        self._context.content_changed.set()


def _refused(order: OrderRecord, message: str) -> CaError:
    """Return the refusal of a signed certificate.

    The CA would sign the same again, so another order has to wait until a user has fixed the cause.
    """
    if order.is_test:
        return CaError(f"the real order would be refused once its CA has signed: {message}", is_final=True)
    return CaError(
        f"{message.removesuffix('.')}. The CA has signed it, and counts what it signs, so nothing is ordered for longer. Change what is wrong, and resume the renewal then",
        is_final=True,
        is_signed=True,
    )


def first_nodes(renewal: RenewalRecord, inventory: Inventory) -> Sequence[NodeName]:
    """Return the nodes that get a renewal's first certificate, none if it has one."""
    return [name for name in renewal.nodes if name in inventory.nodes] if renewal.is_new else []


def assess_renewed(
    inventory: Inventory,
    predecessor: Entry | None,
    material: TlsMaterial,
    nodes: Sequence[NodeName],
    slot: Slot,
    *,
    now_s: float,
) -> Impact:
    """Assess a renewed certificate on the nodes of its predecessor and those that get their first one."""
    beside = [] if predecessor is None else [predecessor]
    kept = assess_kept(inventory, material, nodes, slot, beside=beside, now_s=now_s)
    number = kept.updates.id if kept.updates is not None else NO_CERTIFICATE
    after = new_entry(kept.materials[0], number=number, now_s=now_s)
    moves = [
        Move(node=place.node, slot=place.slot, before=predecessor, after=after)
        for place in (predecessor.places if predecessor is not None else ())
    ]
    found = [*kept.consequences, *of_moves(inventory, moves, now_s=int(now_s))]
    return replace(kept, consequences=unique(found))


def refusals(consequences: Sequence[Consequence]) -> list[str]:
    """Return the consequences for which a certificate is not installed without asking a user."""
    return [
        each.message
        for each in consequences
        if each.asks and each.severity is Severity.ERROR and each.code not in _ACCEPTED
    ]


def not_served(view: NodeView, slot: Slot, entry: Entry) -> str:
    """Return why a node's slot does not serve a certificate, by the node's own report. "" if it does or has no port."""
    facts = view.slots.get(slot)
    leaf = entry.leaf.fingerprint
    if facts is not None and facts.applied == leaf and facts.serving in {leaf, None}:
        return ""
    failed = view.last_failed
    if failed is not None and view.awaits_success:
        return f"{view.name} failed to install it ({failed.message})"
    return f"{view.name} does not serve it ({view.state.replace('_', ' ')})"


def _of_successor(
    renewal: RenewalRecord, order: OrderRecord, number: CertificateId, now_s: float
) -> RenewalRecord:
    return replace(
        renewal,
        follows_at_once=renewal.follows_at_once and brings_another(order.terms, renewal.terms),
        certificate_id=number,
        is_new=False,
        nodes=(),
        window=None,
        window_of=None,
        window_why="",
        poll_at_s=0.0,
        failures=0,
        retry_at_s=0.0,
        problem=None,
        changed_s=now_s,
    )
