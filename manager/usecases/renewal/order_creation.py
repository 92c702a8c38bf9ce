"""Creation of an order: its key and CSR are stored before any CA is asked.

Decides the names and the key. Invariant: one transaction checks that the renewal has no running order, ends a
running test order, and stores the new one.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from common.errors import ConflictError, InvalidInputError
from manager.domain.inventory import Entry
from manager.domain.renewal.capacity import find_same
from manager.domain.renewal.moments import ari_id
from manager.domain.renewal.records import (
    OrderId,
    OrderRecord,
    OrderState,
    RenewalId,
    RenewalRecord,
    Step,
    Terms,
)
from manager.domain.renewal.schedule import end_rest, entry_of, names_of
from manager.pki.read.keys import private_key_pem
from manager.pki.read.upload import read_private_key
from manager.pki.write.csr import CsrFields, make_request
from manager.pki.write.keys import make_key
from manager.usecases.context import Context
from manager.usecases.renewal.progress import end
from manager.usecases.workers import MAKE_KEY_TIMEOUT_S

log = structlog.get_logger(__name__)

NOT_KEPT: Final = OrderId(0)
"""Placeholder until the store assigns a number."""


class OrderCreation:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def begin(self, renewal_id: RenewalId, *, is_test: bool, asked_by: str | None) -> OrderRecord:
        """Make a key (or take the certificate's own) and a CSR, and store an order with both.

        `asked_by` is None for a scheduled order. A running test order ends. Raises NotFoundError, ConflictError (one is under way, or another renewal's for the same names), InvalidInputError (no names), CertcastError (the worker).
        """
        store = self._context.store
        renewal = await store.renewals.get(renewal_id)
        entry = entry_of(renewal, (await self._context.inventories.current()).entries)
        terms, names = _to_order(renewal, entry)
        _require_nothing_else(await store.orders.unfinished_of(renewal_id), terms, is_test=is_test)
        given = ""
        if terms.keeps_key and entry is not None:
            given = await store.certificates.private_key(entry.id)
        pem, key_pem = await self._context.workers.run(MAKE_KEY_TIMEOUT_S, _make, names, terms, given)
        now_s = self._context.clock()
        new = OrderRecord(
            id=NOT_KEPT,
            renewal_id=renewal_id,
            is_test=is_test,
            state=OrderState.CREATED,
            names=names,
            terms=terms,
            replaces="" if entry is None or is_test else _known_by(entry),
            replaces_leaf=None if entry is None else entry.leaf.fingerprint,
            request_pem=pem,
            steps=(Step(at_s=now_s, state=OrderState.CREATED),),
            created_s=now_s,
            changed_s=now_s,
        )
        async with store.transaction():
            renewal = await store.renewals.get(renewal_id)
            if _to_order(renewal, entry) != (terms, names):
                raise ConflictError("the settings of this renewal were changed in the meantime; try again")
            under_way = await store.orders.unfinished_of(renewal_id)
            _require_nothing_else(under_way, terms, is_test=is_test)
            if under_way is not None:
                await end(self._context, under_way, "The test was ended because the real order begins.")
                # the real order removes these
                new = replace(new, proofs=under_way.proofs)
            _require_own_order(new, await store.orders.unfinished())
            order = await store.orders.add(new, private_key_pem=key_pem)
            if renewal.follows_at_once and not is_test:
                renewal = replace(renewal, follows_at_once=False)
                await store.renewals.keep(renewal)
            if asked_by is not None:
                await self._note_asked(renewal, asked_by, is_test=is_test)
        log.info("order.begun", order=order.id, renewal=renewal_id)
        return order

    async def _note_asked(self, renewal: RenewalRecord, asked_by: str, *, is_test: bool) -> None:
        """Record who asked for an order, and end the renewal's back-off."""
        act = "renewal.tested" if is_test else "renewal.ordered"
        await self._context.audit(asked_by, act, f"renewal {renewal.id}")
        if not is_test:
            await self._context.store.renewals.keep(end_rest(renewal, now_s=self._context.clock()))


def _to_order(renewal: RenewalRecord, entry: Entry | None) -> tuple[Terms, tuple[str, ...]]:
    """Return the terms and names to order. Raises ConflictError, InvalidInputError."""
    if renewal.is_over:
        raise ConflictError("this renewal has been removed")
    if renewal.terms is None:
        raise ConflictError(
            "this certificate is renewed by a signing request sent to its CA, so nothing can be ordered"
        )
    if renewal.is_stopped:
        raise ConflictError("the account of this renewal has been deactivated; choose another account")
    names = names_of(renewal.terms, entry)
    if not names:
        raise InvalidInputError("names", "the certificate has no name that a CA can validate")
    return renewal.terms, names


def _require_nothing_else(under_way: OrderRecord | None, terms: Terms, *, is_test: bool) -> None:
    """Refuse a second order of one renewal. Raises ConflictError.

    A real order replaces a test order, unless the test's proofs are of another kind, which it could not remove.
    """
    if under_way is None:
        return
    makes_way = under_way.is_test and not is_test and under_way.terms.challenge is terms.challenge
    if not makes_way:
        kind = "a test order" if under_way.is_test else "an order"
        raise ConflictError(f"{kind} of this renewal is running; wait until it has ended")


def _require_own_order(new: OrderRecord, orders: Sequence[OrderRecord]) -> None:
    """Refuse an order that its CA would answer with another renewal's. Raises ConflictError."""
    same = find_same(new, orders)
    if same is not None:
        kind = "test order" if same.is_test else "order"
        raise ConflictError(
            f"{kind} {same.id} of renewal {same.renewal_id} for the same names is under way, and a CA answers both with one order; "
            "try again once it has ended"
        )


def _known_by(entry: Entry) -> str:
    return ari_id(entry.leaf.issuer_key_id, entry.leaf.serial_no) or ""


def _make(names: tuple[str, ...], terms: Terms, given: str) -> tuple[str, str]:
    """Make the CSR, in a worker: an RSA key takes seconds."""
    key = read_private_key(given) if given else make_key(terms.key)
    # CAs read names from the extension alone; a common name is discouraged (CA/Browser Forum BR 7.1.4.3)
    made = make_request(CsrFields(subject="", alternatives=names), key)
    return made.pem, private_key_pem(key)
