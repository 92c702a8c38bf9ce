"""Accounts as used with their CAs: the current key, and registration.

Decides when an account is registered, and finishes interrupted key changes. Invariant: a new key is stored
before the CA sees it, and the former one is kept until the CA has accepted the new one.
"""

import contextlib
from dataclasses import replace

import structlog

from common.errors import ConflictError
from manager.domain.audit import RENEWAL
from manager.domain.renewal.records import AccountId, AccountRecord
from manager.usecases.context import Context
from manager.usecases.renewal.ports import Ca, CaError, Cas

log = structlog.get_logger(__name__)


class CaAccounts:
    def __init__(self, context: Context, cas: Cas) -> None:
        self._context = context
        self._cas = cas
        self._store = context.store

    async def ca(self, account_id: AccountId, *, is_test: bool, trusted_cas: str | None = None) -> Ca:
        """Return a client of an account's CA, registering the account if needed.

        `trusted_cas` overrides the stored ones. Raises NotFoundError, ConflictError, CaError.
        """
        account, keys = await self._store.accounts.with_keys(account_id)
        if trusted_cas is not None:
            account = replace(account, trusted_cas=trusted_cas)
        if account.is_deactivated:
            raise CaError(f"the account '{account.name}' was deactivated", is_final=True)
        if keys.next_key_pem:
            # orders do not wait for a key change: the former key is valid until the CA has accepted the next
            # one
            with contextlib.suppress(CaError):
                await self.finish_key_change(account, actor=RENEWAL)
            keys = await self._store.accounts.keys(account_id)
        if is_test and not account.staging_url:
            raise CaError(f"the account '{account.name}' has no directory for tests", is_final=True)
        if is_test:
            return await self._for_test(account, keys.key_pem, keys.binding_key)
        if not account.url:
            account = await self.register(account, actor=RENEWAL)
        return await self._cas.ca(account, keys.key_pem, is_test=False)

    async def check_demands(self, account_id: AccountId, *, profile: str) -> None:
        """Check what a CA requires for real orders but its staging environment may not.

        Raises NotFoundError, CaError.
        """
        account, keys = await self._store.accounts.with_keys(account_id)
        try:
            offered = await (await self._cas.ca(account, keys.key_pem, is_test=False)).directory()
        except CaError as error:
            raise CaError(f"the CA itself could not be asked for what it demands: {error.message}") from error
        if profile and profile not in offered.profiles:
            known = (
                f"it has {', '.join(offered.profiles)}; choose one of these, or none"
                if offered.profiles
                else "it has none, so leave it out"
            )
            raise CaError(f"the CA itself has no profile '{profile}'; {known}", is_final=True)
        if not account.url and offered.needs_binding and not keys.binding_key:
            raise CaError(
                f"the CA itself demands an external account binding, which the account '{account.name}' has not; give it the identifier and the key that you have from the CA",
                is_final=True,
            )

    async def register(self, account: AccountRecord, *, actor: str) -> AccountRecord:
        """Register an account at its CA, or find it by its key; store its URL and the agreement to the terms.

        Raises CaError, ConflictError.
        """
        keys = await self._store.accounts.keys(account.id)
        ca = await self._cas.ca(account, keys.key_pem, is_test=False)
        url = await ca.register(binding_key=keys.binding_key)
        async with self._store.transaction():
            before = await self._store.accounts.get(account.id)
            if before.directory_url != account.directory_url:
                raise ConflictError(
                    f"the directory of '{before.name}' was changed while its CA was asked; register the account again"
                )
            known = replace(before, url=url, terms_agreed=before.terms_agreed or account.terms_agreed)
            await self._store.accounts.keep(known)
            if known != before:
                detail = {"url": url, "terms_agreed": known.terms_agreed}
                await self._context.audit(actor, "account.registered", f"account {account.id}", detail)
        return known

    async def finish_key_change(self, account: AccountRecord, *, actor: str) -> None:
        """Submit the next key to the CA, or find that it knows it, and make it the account's key.

        Keeps a key that was stored meanwhile. Raises CaError. If the CA refuses for good, the account keeps its
        key and the next one is discarded.
        """
        keys = await self._store.accounts.keys(account.id)
        if not keys.next_key_pem:
            return
        if account.url:
            try:
                ca = await self._cas.ca(account, keys.key_pem, is_test=False)
                await ca.change_key(keys.next_key_pem)
            except CaError as error:
                if not await self._knows(account, keys.next_key_pem):
                    if error.is_final:
                        await self._give_up_key_change(account, keys.next_key_pem, actor)
                    raise
        async with self._store.transaction():
            if not await self._store.accounts.promote_next_key(account.id, keys.next_key_pem):
                return
            await self._context.audit(actor, "account.key_changed", f"account {account.id}")
        log.info("account.key_changed", account=account.id, user=actor)

    async def _give_up_key_change(self, account: AccountRecord, key_pem: str, actor: str) -> None:
        async with self._store.transaction():
            if await self._store.accounts.drop_next_key(account.id, key_pem):
                await self._context.audit(actor, "account.key_change_refused", f"account {account.id}")

    async def _knows(self, account: AccountRecord, key_pem: str) -> bool:
        """Whether the CA has already accepted a key, its answer being lost.

        Raises CaError if it cannot be reached.
        """
        ca = await self._cas.ca(account, key_pem, is_test=False)
        try:
            return await ca.find_account() == account.url
        except CaError as error:
            if not error.is_final:
                raise
            return False

    async def _for_test(self, account: AccountRecord, key_pem: str, binding_key: str) -> Ca:
        # its URL there is not stored: the account is found by its key each time
        ca = await self._cas.ca(account, key_pem, is_test=True)
        needs_binding = (await ca.directory()).needs_binding
        await ca.register(binding_key=binding_key if needs_binding else "")
        return ca
