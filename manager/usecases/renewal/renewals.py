"""Renewals: enabling, testing, changing, pausing and ending them, and ordering first certificates.

Decides what is stored of a renewal. `manager.usecases.renewal.terms` decides what can be ordered, and the
runner carries out orders. Invariant: an enabled renewal can be ordered.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Final

import structlog

from common.bundle.manifest import Slot
from common.errors import ChangedMeanwhileError, ConflictError, Hint, InvalidInputError, NotFoundError
from common.ids import CertificateId, NodeName
from manager.domain.etag import etag_of_renewal
from manager.domain.inventory import Entry, Inventory
from manager.domain.renewal.budget import SIGNED_WITHIN_S, counted_until_s
from manager.domain.renewal.capacity import Occupancy
from manager.domain.renewal.records import (
    AccountId,
    ChallengeKind,
    OrderRecord,
    RenewalId,
    RenewalRecord,
    Terms,
)
from manager.domain.renewal.schedule import begins_at_s, end_rest, entry_of, manual_retry_at_s
from manager.usecases.context import Context
from manager.usecases.renewal.order_creation import OrderCreation
from manager.usecases.renewal.progress import ORDERS_KEPT
from manager.usecases.renewal.retirement import delete_or_retire, require_going_on
from manager.usecases.renewal.retry_resets import resumed, with_terms
from manager.usecases.renewal.shown import ShownRenewal
from manager.usecases.renewal.slots import assess_ordered, check_slots, with_held
from manager.usecases.renewal.terms import checked_terms, checked_word, noted_terms, prefilled

log = structlog.get_logger(__name__)

ATTEMPTS_SHOWN: Final = 20

NEW: Final = RenewalId(0)
"""Placeholder for the number of a renewal that is not stored yet."""


class RenewalUseCases:
    """Use cases of renewals. `wake` makes the runner check at once; `challenges` are the available kinds."""

    def __init__(
        self, context: Context, *, wake: Callable[[], None], challenges: Collection[ChallengeKind]
    ) -> None:
        self._context = context
        self.challenges = challenges
        self._creation = OrderCreation(context)
        self._wake = wake

    async def list(self) -> Sequence[ShownRenewal]:
        """Return all current renewals, each with its latest order."""
        entries = (await self._context.inventories.current()).entries
        records, latest = await self.records(), await self._context.store.orders.latest()
        occupancy = await self._occupancy()
        return [
            ShownRenewal(
                renewal=each,
                entry=(entry := entry_of(each, entries)),
                orders=[latest[each.id]] if each.id in latest else [],
                waits_until=occupancy.waits_until(each, entry),
            )
            for each in records
        ]

    async def records(self) -> Sequence[RenewalRecord]:
        """Return all current renewals, without their orders."""
        return [each for each in await self._context.store.renewals.list() if not each.is_over]

    async def show(self, renewal_id: RenewalId) -> ShownRenewal:
        """Return one renewal with its latest orders. Raises NotFoundError."""
        renewal = await self._context.store.renewals.get(renewal_id)
        return await self._waiting(renewal)

    async def of_certificate(self, certificate_id: CertificateId) -> ShownRenewal | None:
        """Return a certificate's renewal with its latest orders, None if it is not renewed."""
        renewal = await self._context.store.renewals.of_certificate(certificate_id)
        if renewal is None:
            return None
        return await self._waiting(renewal)

    async def terms_for(
        self, certificate_id: CertificateId, account_id: AccountId, challenge: ChallengeKind
    ) -> Terms:
        """Return default terms for a certificate: its own and its nodes' names, and a key of equal strength. Raises NotFoundError."""
        inventory = await self._context.inventories.current()
        entry = _require(inventory, certificate_id)
        return prefilled(inventory, entry, account_id, challenge)

    async def switch_on(
        self,
        certificate_id: CertificateId,
        terms: Terms | None,
        *,
        paused: bool = False,
        send_to: str = "",
        actor: str,
    ) -> ShownRenewal:
        """Renew a certificate with `terms`, or, without, by a request to `send_to`.

        A `paused` one can be tested first. Raises NotFoundError, InvalidInputError, ConflictError (it has one).
        """
        entry = _require(await self._context.inventories.current(), certificate_id)
        given = None if terms is None else checked_terms(terms, entry, self.challenges)
        return await self._add(
            certificate_id, given, paused=paused, send_to=checked_word("send_to", send_to), actor=actor
        )

    async def order_new(
        self,
        terms: Terms,
        *,
        nodes: Sequence[NodeName],
        slot: Slot,
        paused: bool = False,
        confirm: str | None = None,
        actor: str,
    ) -> ShownRenewal:
        """Order a first certificate for a slot of some nodes, and renew it from then on.

        `confirm` is explained in `manager.usecases.confirming`. Raises NotFoundError, InvalidInputError,
        ConfirmationNeededError (a slot has another certificate), ConflictError (that one is renewed).
        """
        return await self._add(
            None,
            checked_terms(terms, None, self.challenges),
            nodes=nodes,
            slot=slot,
            paused=paused,
            confirm=confirm,
            actor=actor,
        )

    async def change(
        self,
        renewal_id: RenewalId,
        terms: Terms | None,
        *,
        send_to: str = "",
        seen: str | None = None,
        actor: str,
    ) -> ShownRenewal:
        """Change a renewal's terms. A running order ends, unless the CA has already signed.

        `seen` is the tag of the edited version, None for any. Raises NotFoundError, InvalidInputError,
        ChangedMeanwhileError (`manager.domain.etag`).
        """
        store = self._context.store
        async with self._context.deciding() as inventory:
            known = await require_going_on(self._context, renewal_id)
            if seen is not None and etag_of_renewal(known) != seen:
                raise ChangedMeanwhileError(
                    f"renewal {renewal_id} was changed in the meantime; review the new settings before you save"
                )
            if known.is_new and terms is None:
                raise InvalidInputError(
                    "terms", "the first certificate cannot be renewed by request; give terms to order it with"
                )
            given = (
                None
                if terms is None
                else checked_terms(terms, entry_of(known, inventory.entries), self.challenges)
            )
            await self._check_account(given)
            record = replace(
                await with_terms(self._context, known, given, inventory),
                send_to=checked_word("send_to", send_to),
                changed_s=self._context.clock(),
            )
            await store.renewals.keep(record)
            await self._context.audit(actor, "renewal.changed", f"renewal {renewal_id}", noted_terms(record))
            shown = await self._shown(record, inventory)
        self._announce("renewal.changed", renewal_id, actor)
        return shown

    async def set_paused(self, renewal_id: RenewalId, *, paused: bool, actor: str) -> ShownRenewal:
        """Pause a renewal, or resume it at once, which also retries orders that failed or ended early.

        Raises NotFoundError, InvalidInputError.
        """
        store, act = self._context.store, "renewal.paused" if paused else "renewal.resumed"
        async with self._context.deciding() as inventory:
            known = await require_going_on(self._context, renewal_id)
            shown = await self._shown(
                replace(known, is_paused=paused, changed_s=self._context.clock()), inventory
            )
            if not paused:
                latest = shown.orders[0] if shown.orders else None
                again = await resumed(self._context, known, shown.entry, latest)
                shown = replace(shown, renewal=again)
            await store.renewals.keep(shown.renewal)
            await self._context.audit(actor, act, f"renewal {renewal_id}")
        self._announce(act, renewal_id, actor)
        return shown

    async def remove(self, renewal_id: RenewalId, *, actor: str) -> None:
        """Stop renewing; the certificate stays. The runner first ends a running order and removes its proofs. Raises NotFoundError."""
        store = self._context.store
        async with store.transaction():
            known = await store.renewals.get(renewal_id)
            if await store.orders.unfinished_of(renewal_id) is None and not known.left:
                await delete_or_retire(self._context, known)
            else:
                over = replace(
                    known, certificate_id=None, is_new=False, nodes=(), changed_s=self._context.clock()
                )
                await store.renewals.keep(over)
            await self._context.audit(actor, "renewal.removed", f"renewal {renewal_id}")
        self._announce("renewal.removed", renewal_id, actor)

    async def test(self, renewal_id: RenewalId, *, actor: str) -> OrderRecord:
        """Begin an order at the CA's test directory; it ends as `tested` or `failed`. Raises NotFoundError, ConflictError, InvalidInputError."""
        renewal = await self._context.store.renewals.get(renewal_id)
        await self._check_account(renewal.terms)
        if renewal.terms is not None:
            account = await self._context.store.accounts.get(renewal.terms.account_id)
            if not account.staging_url:
                raise ConflictError(f"the account '{account.name}' has no directory for tests")
        order = await self._creation.begin(renewal_id, is_test=True, asked_by=actor)
        self._announce("renewal.tested", renewal_id, actor)
        return order

    async def order_now(self, renewal_id: RenewalId, *, actor: str) -> OrderRecord:
        """Begin an order early, or continue one that waits after a failure.

        Raises NotFoundError, InvalidInputError, ConflictError (running, paused, account deactivated, CA asked to wait).
        """
        known, now_s = await self._context.store.renewals.get(renewal_id), self._context.clock()
        if known.is_paused:
            raise ConflictError("this renewal is paused; resume it first")
        await self._check_account(known.terms)
        if manual_retry_at_s(known) > now_s:
            raise ConflictError("the CA asked to wait and refuses orders until then; try again later")
        order = await self._go_on(renewal_id, actor) if known.retry_at_s > now_s else None
        if order is None:
            order = await self._creation.begin(renewal_id, is_test=False, asked_by=actor)
        self._announce("renewal.ordered", renewal_id, actor)
        return order

    async def _go_on(self, renewal_id: RenewalId, actor: str) -> OrderRecord | None:
        """End an order's back-off and return the order; None if there is none."""
        store = self._context.store
        async with store.transaction():
            known, order = await store.renewals.get(renewal_id), await store.orders.unfinished_of(renewal_id)
            if order is None or order.is_test:
                return None
            await self._context.audit(actor, "renewal.ordered", f"renewal {renewal_id}")
            await store.renewals.keep(end_rest(known, now_s=self._context.clock()))
            return order

    async def collect(self) -> None:
        """Forget old finished orders, and remains of ended renewals that no CA limit counts any more. Raises StorageError."""
        store, now_s = self._context.store, self._context.clock()
        await store.renewals.collect(now_s=now_s)
        recent = await store.orders.changed_since(now_s - SIGNED_WITHIN_S)
        counted = {each.id for each in recent if counted_until_s([each]) > now_s}
        await store.orders.collect(keep_each=ORDERS_KEPT, spared=counted)

    async def _add(
        self,
        certificate_id: CertificateId | None,
        terms: Terms | None,
        *,
        nodes: Sequence[NodeName] = (),
        slot: Slot = "server",
        paused: bool,
        send_to: str = "",
        confirm: str | None = None,
        actor: str,
    ) -> ShownRenewal:
        now_s = self._context.clock()
        new = RenewalRecord(
            id=NEW,
            certificate_id=certificate_id,
            terms=terms,
            nodes=tuple(dict.fromkeys(nodes)),
            slot=slot,
            is_new=certificate_id is None,
            is_paused=paused,
            send_to=send_to,
            created_s=now_s,
            changed_s=now_s,
        )
        async with self._context.deciding() as inventory:
            if terms is not None and new.is_new:
                for name in new.nodes:
                    await self._context.store.nodes.get(name)
                check_slots(inventory, await self.records(), new.nodes, slot)
                assess_ordered(inventory, terms, new.nodes, slot).require_confirmation(confirm)
                new = with_held(new, inventory)
            await self._check_account(terms)
            record = await self._context.store.renewals.add(new)
            await self._context.audit(actor, "renewal.added", f"renewal {record.id}", noted_terms(record))
            shown = await self._shown(record, inventory)
        self._announce("renewal.added", record.id, actor)
        return shown

    async def _check_account(self, terms: Terms | None) -> None:
        """Refuse a deactivated account. An unregistered one is registered by its first order. Raises NotFoundError, ConflictError."""
        if terms is None:
            return
        account = await self._context.store.accounts.get(terms.account_id)
        if account.is_deactivated:
            raise ConflictError(f"the account '{account.name}' was deactivated; choose another one")

    async def _shown(self, record: RenewalRecord, inventory: Inventory) -> ShownRenewal:
        """Return a renewal for an answer. Within a change's transaction, so that a later deletion cannot fail the answer."""
        return ShownRenewal(
            renewal=record,
            entry=entry_of(record, inventory.entries),
            orders=await self._context.store.orders.of_renewal(record.id, limit=ATTEMPTS_SHOWN),
        )

    async def _waiting(self, record: RenewalRecord) -> ShownRenewal:
        """Return a renewal with the reason why its order waits; reads other orders only if it is due."""
        shown, now_s = (
            await self._shown(record, await self._context.inventories.current()),
            self._context.clock(),
        )
        begins = begins_at_s(record, shown.entry)
        if begins is None or begins > now_s:
            return shown
        waits_until = (await self._occupancy()).waits_until(record, shown.entry)
        return replace(shown, waits_until=waits_until)

    async def _occupancy(self) -> Occupancy:
        store = self._context.store
        return Occupancy(
            await store.renewals.list(), await store.orders.unfinished(), now_s=self._context.clock()
        )

    def _announce(self, act: str, renewal_id: RenewalId, actor: str) -> None:
        log.info(act, renewal=renewal_id, user=actor)
        self._context.content_changed.set()
        self._wake()


def _require(inventory: Inventory, certificate_id: CertificateId) -> Entry:
    entry = inventory.entries.get(certificate_id)
    if entry is None:
        raise NotFoundError(f"there is no certificate {certificate_id}", hint=Hint.LIST_CERTIFICATES)
    return entry
