"""Renewal by request: for CAs that sign what is sent to them by email or through a form.

Decides when a signing request is opened, and when it was answered. Leaves answering to `manager.usecases.csrs`. Invariant: while a request for a
certificate waits for its answer, whoever opened it, no other is opened.
"""

from dataclasses import replace

import structlog

from common.ids import CertificateId
from manager.domain.audit import RENEWAL
from manager.domain.inventory import Entry
from manager.domain.model import CsrRecord
from manager.domain.renewal.records import RenewalRecord
from manager.domain.renewal.schedule import moment_of
from manager.usecases.context import Context
from manager.usecases.csrs import CsrChanges, CsrUseCases, KeyChoice

log = structlog.get_logger(__name__)


class CsrRenewals:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._requests = CsrUseCases(context)

    async def look(self, renewal: RenewalRecord, entry: Entry | None) -> None:
        """Follow an answered request, forget an obsolete one, or open one if none is open. Raises CertcastError."""
        if renewal.request_id is not None:
            request = await self._requests.get(renewal.request_id)
            if request.answer_id is not None:
                await self._follow(renewal, entry, request.answer_id)
            elif (due_s := moment_of(renewal, entry)) is not None and due_s > self._context.clock():
                await self._forget(renewal)
        elif entry is not None:
            request = await self._waiting(entry.id) or await self._requests.create(
                replaces=entry.id, changes=CsrChanges(), key=KeyChoice(is_alike=True), actor=RENEWAL
            )
            await self._keep(renewal, request)

    async def _waiting(self, certificate_id: CertificateId) -> CsrRecord | None:
        """Return the latest unanswered request to replace a certificate."""
        waiting = [
            each
            for each in await self._requests.list()
            if each.replaces_id == certificate_id and each.answer_id is None
        ]
        return waiting[-1] if waiting else None

    async def _keep(self, renewal: RenewalRecord, request: CsrRecord) -> None:
        """Store the open request, unless the terms or the certificate have changed."""
        store = self._context.store
        async with store.transaction():
            known = await store.renewals.get(renewal.id)
            if (known.terms, known.certificate_id) != (renewal.terms, renewal.certificate_id):
                return
            now_s = self._context.clock()
            opened = replace(known, request_id=request.id, failures=0, problem=None, changed_s=now_s)
            await store.renewals.keep(opened)
            store.after_commit(self._context.content_changed.set)
        log.info("renewal.requested", renewal=renewal.id, csr=request.id)

    async def _forget(self, renewal: RenewalRecord) -> None:
        """Stop waiting for an answer, since a certificate that is not due is in place. The request itself stays."""
        store = self._context.store
        async with store.transaction():
            known = await store.renewals.get(renewal.id)
            if known.request_id != renewal.request_id:
                return
            await store.renewals.keep(replace(known, request_id=None, changed_s=self._context.clock()))
            store.after_commit(self._context.content_changed.set)

    async def _follow(self, renewal: RenewalRecord, entry: Entry | None, answer_id: CertificateId) -> None:
        """Renew the answer from now on, unless the renewal no longer waits for this request.

        If nodes still use the former certificate, `entry`, the answer counts as displaced until it is assigned.
        """
        store = self._context.store
        async with store.transaction():
            known, other = (
                await store.renewals.get(renewal.id),
                await store.renewals.of_certificate(answer_id),
            )
            if known.request_id != renewal.request_id:
                return
            now_s = self._context.clock()
            # an answer with a renewal of its own keeps that one
            number = answer_id if other is None or other.id == renewal.id else None
            is_placed = known.is_placed or (entry is not None and bool(entry.places))
            after = replace(
                known, certificate_id=number, request_id=None, is_placed=is_placed, changed_s=now_s
            )
            await store.renewals.keep(after)
            detail: dict[str, object] = {"renewal": renewal.id, "replaces": known.certificate_id, "nodes": []}
            await self._context.audit(RENEWAL, "renewal.taken_over", f"certificate {answer_id}", detail)
            store.after_commit(self._context.content_changed.set)
