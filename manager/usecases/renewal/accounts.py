"""CA accounts: creating, registering, changing and ending them.

Decides what is stored before the CA is asked. Invariant: no CA knows an account whose key or binding is not
stored.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import structlog

from common.codes import KeyKind
from common.errors import ConflictError
from common.pki.expiry import DAY_S
from common.words import date, listed
from manager.domain.renewal.account_fields import (
    AccountChanges,
    AccountFields,
    apply_changes,
    check_staging,
    describe_anew,
    is_same_directory,
    normalise,
)
from manager.domain.renewal.records import AccountId, AccountRecord, OrderState
from manager.domain.renewal.schedule import needs_account
from manager.pki.read.keys import private_key_pem
from manager.pki.write.keys import make_key
from manager.usecases.context import Context
from manager.usecases.material_checks import read_trusted_cas
from manager.usecases.renewal.ca_accounts import CaAccounts
from manager.usecases.renewal.ports import Cas, Directory
from manager.usecases.renewal.retry_resets import reset_backoff
from manager.usecases.workers import MAKE_KEY_TIMEOUT_S, READ_TIMEOUT_S

log = structlog.get_logger(__name__)

NAMED: Final = 3
"""Orders named in one message."""

_MENDED_BY: Final = ("directory_url", "trusted_cas", "binding_id", "terms_agreed", "url")
"""Changes after which failed orders may succeed, besides the binding key.

No CA refuses an order for the name or contacts.
"""

_SHOWN: Final = ("name", "directory_url", "staging_url", "contact", "binding_id")
"""Account fields that the audit log contains verbatim."""


class AccountUseCases:
    """Use cases of CA accounts. `wake` makes the renewal runner check at once."""

    def __init__(self, context: Context, cas: Cas, *, wake: Callable[[], None]) -> None:
        self._context = context
        self._cas = cas
        self._wake = wake
        self._ca_accounts = CaAccounts(context, cas)

    async def list(self) -> Sequence[AccountRecord]:
        """Return all accounts by id."""
        return await self._context.store.accounts.list()

    async def get(self, account_id: AccountId) -> AccountRecord:
        """Return one account. Raises NotFoundError."""
        return await self._context.store.accounts.get(account_id)

    async def directory(self, account_id: AccountId) -> Directory:
        """Return what an account's CA offers. Raises NotFoundError, CaError."""
        account = await self._context.store.accounts.get(account_id)
        keys = await self._context.store.accounts.keys(account_id)
        ca = await self._cas.ca(account, keys.key_pem, is_test=False)
        return await ca.directory()

    async def add(self, fields: AccountFields, *, actor: str) -> AccountRecord:
        """Make a key and store an account that its CA does not know yet.

        Raises InvalidInputError, PkiFindingsError, ConflictError.
        """
        kept = normalise(fields)
        check_staging(kept)
        await self._check_trust(kept.trusted_cas)
        key_pem = await self._context.workers.run(MAKE_KEY_TIMEOUT_S, _make_key)
        async with self._context.store.transaction():
            record = await self._context.store.accounts.add(
                kept, key_pem=key_pem, now_s=self._context.clock()
            )
            detail = {"name": record.name, "directory": record.directory_url, "contact": list(record.contact)}
            await self._context.audit(actor, "account.added", f"account {record.id}", detail)
        log.info("account.added", account=record.id, user=actor)
        return record

    async def register(self, account_id: AccountId, *, agrees: bool = False, actor: str) -> AccountRecord:
        """Register an account at its CA, or find it there by its key.

        `agrees` accepts the CA's terms of service.

        A registered account cannot agree this way (RFC 8555 7.1.2). Raises NotFoundError, ConflictError,
        CaError.
        """
        before = await self._living(account_id)
        known = replace(before, terms_agreed=before.terms_agreed or (agrees and not before.url))
        record = await self._ca_accounts.register(known, actor=actor)
        if _is_mended(before, record):
            async with self._context.deciding() as inventory:
                await reset_backoff(self._context, account_id, inventory)
        log.info("account.registered", account=account_id, user=actor)
        self._wake()
        return record

    async def edit(self, account_id: AccountId, changes: AccountChanges, *, actor: str) -> AccountRecord:
        """Change the given fields; tell the CA about new contacts if it knows the account.

        Failed orders are retried if the change may have fixed their cause. Raises NotFoundError,
        InvalidInputError, PkiFindingsError, ConflictError, CaError.
        """
        store, known = self._context.store, await self._living(account_id)
        fields = apply_changes(changes, known, (await store.accounts.keys(account_id)).binding_key)
        if fields.trusted_cas != known.trusted_cas:
            await self._check_trust(fields.trusted_cas)
        if known.url and changes.contact is not None:
            # uses the new trusted CAs, which may be what was fixed
            ca = await self._ca_accounts.ca(account_id, is_test=False, trusted_cas=fields.trusted_cas)
            await ca.update_contact(fields.contact)
        async with self._context.deciding() as inventory:
            before, keys = await store.accounts.with_keys(account_id)
            fields = apply_changes(changes, before, keys.binding_key)
            record = describe_anew(before, fields)
            await store.accounts.keep(record)
            has_other_key = fields.binding_key != keys.binding_key
            if has_other_key:
                await store.accounts.keep_binding_key(account_id, fields.binding_key)
            detail = _changes(before, record, has_other_key=has_other_key)
            await self._context.audit(actor, "account.changed", f"account {account_id}", detail)
            if has_other_key or _is_mended(before, record):
                is_at_another_ca = not is_same_directory(record.directory_url, before.directory_url)
                await reset_backoff(self._context, account_id, inventory, is_at_another_ca=is_at_another_ca)
        self._wake()
        return record

    async def change_key(self, account_id: AccountId, *, actor: str) -> AccountRecord:
        """Replace an account's key, or finish an interrupted key change.

        Raises NotFoundError, ConflictError, CaError.
        """
        account = await self._living(account_id)
        if not (await self._context.store.accounts.keys(account_id)).next_key_pem:
            key_pem = await self._context.workers.run(MAKE_KEY_TIMEOUT_S, _make_key)
            async with self._context.store.transaction():
                await self._context.store.accounts.keep_next_key(account_id, key_pem)
                await self._context.audit(actor, "account.key_change_begun", f"account {account_id}")
        await self._ca_accounts.finish_key_change(account, actor=actor)
        return account

    async def deactivate(self, account_id: AccountId, *, actor: str) -> AccountRecord:
        """Deactivate an account at its CA for good.

        Raises NotFoundError, CaError, and ConflictError, also while the CA validates proofs or signs.
        """
        account = await self._living(account_id)
        if account.url:
            ca = await self._ca_accounts.ca(account_id, is_test=False)
            async with self._context.store.transaction():
                await self._require_unneeded(account_id)
                # audited first, since it cannot be undone
                await self._context.audit(actor, "account.deactivation_begun", f"account {account_id}")
            await ca.deactivate()
        async with self._context.store.transaction():
            known = await self._living(account_id)
            record = replace(known, deactivated_s=self._context.clock())
            await self._context.store.accounts.keep(record)
            await self._context.audit(actor, "account.deactivated", f"account {account_id}")
            # renewals with this account get an alarm
            self._context.store.after_commit(self._context.content_changed.set)
        log.info("account.deactivated", account=account_id, user=actor)
        return record

    async def delete(self, account_id: AccountId, *, actor: str) -> None:
        """Delete an account with its key; the CA is not told.

        Raises NotFoundError, and ConflictError while a renewal uses it, or while the CA validates or signs
        one of its orders.
        """
        async with self._context.store.transaction():
            await self._require_unneeded(account_id)
            await self._require_none_ending(account_id)
            await self._context.store.accounts.delete(account_id)
            await self._context.audit(actor, "account.deleted", f"account {account_id}")
        log.info("account.deleted", account=account_id, user=actor)

    async def _require_none_ending(self, account_id: AccountId) -> None:
        """Refuse to delete an account that only removed renewals, which no list shows, still use.

        Raises ConflictError.
        """
        found = await self._context.store.renewals.list()
        using = [each for each in found if each.terms is not None and each.terms.account_id == account_id]
        if not using or not all(each.is_over for each in using):
            return
        named = listed([f"renewal {each.id}" for each in using[:NAMED]])
        more = f" and {len(using) - NAMED} more" if len(using) > NAMED else ""
        until_s = DAY_S + max(max([each.changed_s, *(left.since_s for left in each.left)]) for each in using)
        until = f", on {date(until_s)} at the latest" if until_s > self._context.clock() else ""
        raise ConflictError(
            f"renewals that were removed still use this account: {named}{more}. It can be removed once what they have shown is taken away{until}"
        )

    async def _require_unneeded(self, account_id: AccountId) -> None:
        """Refuse to end an account that is needed to download a certificate, signed or about to be.

        Raises ConflictError.
        """
        orders = [
            each
            for each in await self._context.store.orders.unfinished()
            if each.terms.account_id == account_id and needs_account(each)
        ]
        if not orders:
            return
        named = listed(
            [
                f"order {each.id} of renewal {each.renewal_id} for {listed(each.names)}"
                for each in orders[:NAMED]
            ]
        )
        more = f" and {len(orders) - NAMED} more" if len(orders) > NAMED else ""
        paused = {each.id for each in await self._context.store.renewals.list() if each.is_paused}
        # a paused renewal asks its CA for nothing except certificates that are being signed
        resting = {
            each.renewal_id
            for each in orders
            if each.renewal_id in paused and each.state is not OrderState.FINALISED
        }
        numbers = listed(f"renewal {number}" for number in sorted(resting))
        resumed = f"; resume what is paused, so that its order goes on: {numbers}" if resting else ""
        raise ConflictError(
            f"the CA signs what was ordered with this account, or is about to, and nobody could collect it any more: {named}{more}. Wait for the end, or give these renewals another account first{resumed}"
        )

    async def _check_trust(self, trusted_cas: str) -> None:
        """Parse trusted CAs before they are stored. Raises PkiFindingsError."""
        if trusted_cas:
            await self._context.workers.run(READ_TIMEOUT_S, read_trusted_cas, trusted_cas)

    async def _living(self, account_id: AccountId) -> AccountRecord:
        account = await self._context.store.accounts.get(account_id)
        if account.is_deactivated:
            raise ConflictError(f"the account '{account.name}' was deactivated")
        return account


def _is_mended(before: AccountRecord, after: AccountRecord) -> bool:
    return any(getattr(after, part) != getattr(before, part) for part in _MENDED_BY)


def _changes(before: AccountRecord, after: AccountRecord, *, has_other_key: bool) -> dict[str, object]:
    """Describe a change for the audit log, without keys."""
    detail = {part: getattr(after, part) for part in _SHOWN if getattr(after, part) != getattr(before, part)}
    if after.trusted_cas != before.trusted_cas:
        detail["trusted_cas"] = "replaced" if after.trusted_cas else "none"
    if has_other_key:
        detail["binding_key"] = "replaced"
    return detail


def _make_key() -> str:
    """Make an account's key, in a worker. Every CA accepts ES256 (RFC 8555 6.2)."""
    return private_key_pem(make_key(KeyKind.ECDSAP256))
