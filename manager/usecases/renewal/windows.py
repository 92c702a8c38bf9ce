"""Renewal windows of CAs (RFC 9773): fetching them, and storing them with the next time to ask.

Decides what counts as no answer. `manager.domain.renewal.moments` decides which of two windows applies.
Invariant: a window is stored only for the certificate that it was suggested for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import structlog

from common.errors import ConflictError, StorageError
from common.ids import CertificateId
from manager.domain.inventory import Entry
from manager.domain.renewal.moments import ASKED_AGAIN_S, ari_id, counting, poll_at_s
from manager.domain.renewal.records import AccountId, RenewalRecord
from manager.domain.renewal.schedule import entry_of, validity_of, window_for
from manager.usecases.ports import Lead
from manager.usecases.renewal.ca_accounts import CaAccounts
from manager.usecases.renewal.dependencies import Dependencies
from manager.usecases.renewal.fault_isolation import FAULT
from manager.usecases.renewal.ports import Ca, CaError, Suggested

log = structlog.get_logger(__name__)

GIVEN_UP_S: Final = 180.0
"""Time after which a silent CA is not asked about further certificates of the account.

Each request may take half of it.
"""

KEPT_AT_ONCE: Final = 50
"""Answers stored in one transaction."""


class Windows:
    def __init__(self, dependencies: Dependencies) -> None:
        self._context = dependencies.context
        self._ca_accounts = CaAccounts(dependencies.context, dependencies.cas)

    async def ask_all(
        self, renewals: Sequence[RenewalRecord], entries: Mapping[CertificateId, Entry], lead: Lead
    ) -> None:
        """Ask an account's CA about certificates one by one, and store the answers.

        Raises ConflictError, DutyLostError, StorageError.
        """
        silent: CaError | None = None
        given_up_s = self._context.monotonic() + GIVEN_UP_S
        cas: dict[AccountId, Ca] = {}
        for start in range(0, len(renewals), KEPT_AT_ONCE):
            answers: list[tuple[RenewalRecord, Suggested | CaError | None]] = []
            with lead.enforced():
                await self._require_writable(renewals[start])
            for renewal in renewals[start : start + KEPT_AT_ONCE]:
                with lead.enforced():
                    answer = silent or await self._ask(renewal, entry_of(renewal, entries), cas)
                if isinstance(answer, CaError) and self._context.monotonic() > given_up_s:
                    silent = answer
                answers.append((renewal, answer))
            with lead.enforced():
                async with self._context.store.transaction():
                    known = await self._context.store.renewals.some([each.id for each, _ in answers])
                    for renewal, answer in answers:
                        if renewal.id in known:
                            await self._keep(known[renewal.id], entry_of(renewal, entries), answer)

    async def _require_writable(self, renewal: RenewalRecord) -> None:
        """Keep a renewal as it is, so that no CA is asked for what the store could not keep afterwards. Raises StorageError."""
        store = self._context.store
        async with store.transaction():
            for known in (await store.renewals.some([renewal.id])).values():
                await store.renewals.keep(known)

    async def _ask(
        self, renewal: RenewalRecord, entry: Entry | None, cas: dict[AccountId, Ca]
    ) -> Suggested | CaError | None:
        """Ask about one certificate.

        `cas` caches clients, so that an account's key is not decrypted for each.
        """
        if entry is None or renewal.terms is None:
            return None
        try:
            identifier = ari_id(entry.leaf.issuer_key_id, entry.leaf.serial_no)
            if identifier is None:
                return None
            number = renewal.terms.account_id
            if number not in cas:
                cas[number] = await self._ca_accounts.ca(number, is_test=False)
            return await cas[number].suggested(identifier)
        except CaError as error:
            return error
        except (ConflictError, StorageError):
            # the account was changed meanwhile: the next check asks again
            raise
        except Exception:
            log.exception("renewals.failed", renewal=renewal.id)
            return CaError(FAULT)

    async def _keep(
        self, renewal: RenewalRecord, entry: Entry | None, answer: Suggested | CaError | None
    ) -> None:
        """Store a CA's answer about a certificate, in the current transaction, which has read the renewal."""
        if entry is None or renewal.certificate_id != entry.id:
            return
        now_s = self._context.clock()
        try:
            after = _with_answer(renewal, entry, answer, now_s)
        except Exception:
            log.exception("renewals.failed", renewal=renewal.id)
            leaf = entry.leaf.fingerprint
            known = renewal if renewal.window_of == leaf else replace(renewal, window=None, window_why="")
            after = replace(known, window_of=leaf, poll_at_s=now_s + ASKED_AGAIN_S)
        await self._context.store.renewals.keep(after)


def _with_answer(
    renewal: RenewalRecord, entry: Entry, answer: Suggested | CaError | None, now_s: float
) -> RenewalRecord:
    """Return a renewal with the CA's answer about its certificate and the next time to ask."""
    validity, window = validity_of(entry.leaf), window_for(renewal, entry)
    why = renewal.window_why if window is not None else ""
    retry_after_s = None
    if isinstance(answer, Suggested):
        window = counting(window, answer.window, validity, now_s=now_s)
        why = answer.why
    elif answer is None:
        # without a suggestion, the former window no longer applies
        window, why = None, ""
    if answer is not None:
        retry_after_s = answer.retry_after_s
    return replace(
        renewal,
        window=window,
        window_of=validity.fingerprint,
        window_why=why,
        poll_at_s=poll_at_s(validity, now_s=now_s, retry_after_s=retry_after_s),
    )
