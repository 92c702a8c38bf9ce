"""Accounts at CAs: making one, telling the CA of it, changing and ending it.

Decides what of an account is kept before its CA is asked. Invariant: an account whose key or binding is not in the store is never known to a CA.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

import structlog

from common.codes import KeyKind
from common.errors import ConflictError, InvalidInputError, Reason
from common.limits import LABEL_MAX_CHARS, URL_MAX_CHARS
from manager.domain.renewal.bindings import is_binding_key
from manager.domain.renewal.records import AccountId, AccountRecord
from manager.pki.read.csr import make_key
from manager.pki.read.keys import private_key_pem
from manager.store.accounts import NewAccount
from manager.usecases.admission import read_trusted_cas
from manager.usecases.context import Context
from manager.usecases.renewal.asking import AccountsAtCas
from manager.usecases.renewal.ports import Cas, Directory
from manager.usecases.workers import MAKE_KEY_TIMEOUT_S, READ_TIMEOUT_S

log = structlog.get_logger(__name__)

CONTACTS_MAX: Final = 10
"""Let's Encrypt takes ten addresses of an account (Boulder's `maxContactsPerRegistration`)."""

BINDING_MAX_CHARS: Final = 1024
"""Of what names a binding and of its key: CAs give 32 to 128 characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFields:
    """An account as somebody describes it; see `AccountRecord`. `binding_key` is base64url, "" for none."""

    name: str
    directory_url: str
    staging_url: str = ""
    trust_pem: str = ""
    contact: Sequence[str] = ()
    binding_id: str = ""
    binding_key: str = field(default="", repr=False)
    terms_agreed: bool = False


class AccountUseCases:
    def __init__(self, context: Context, cas: Cas) -> None:
        self._context = context
        self._cas = cas
        self._asking = AccountsAtCas(context, cas)

    async def list(self) -> Sequence[AccountRecord]:
        """Return all by id."""
        return await self._context.store.accounts.list()

    async def get(self, account_id: AccountId) -> AccountRecord:
        """Return one. Raises NotFoundError."""
        return await self._context.store.accounts.get(account_id)

    async def directory(self, account_id: AccountId) -> Directory:
        """Ask an account's CA what it offers. Raises NotFoundError, CaError."""
        account = await self._context.store.accounts.get(account_id)
        keys = await self._context.store.accounts.keys(account_id)
        ca = await self._cas.ca(account, keys.key_pem, is_test=False)
        return await ca.directory()

    async def add(self, fields: AccountFields, *, actor: str) -> AccountRecord:
        """Make a key, and keep an account that its CA does not know yet. Raises InvalidInputError, PkiFindingsError, ConflictError."""
        checked = _checked(fields)
        if checked.trust_pem:
            await self._context.workers.run(READ_TIMEOUT_S, read_trusted_cas, checked.trust_pem)
        key_pem = await self._context.workers.run(MAKE_KEY_TIMEOUT_S, _make_key)
        new = NewAccount(
            name=checked.name,
            directory_url=checked.directory_url,
            staging_url=checked.staging_url,
            trust_pem=checked.trust_pem,
            contact=tuple(checked.contact),
            binding_id=checked.binding_id,
            terms_agreed=checked.terms_agreed,
            key_pem=key_pem,
            binding_key=checked.binding_key,
        )
        async with self._context.store.transaction():
            record = await self._context.store.accounts.add(new, now_s=self._context.clock())
            detail = {"name": record.name, "directory": record.directory_url, "contact": list(record.contact)}
            await self._context.note(actor, "account.added", f"account {record.id}", detail)
        log.info("account.added", account=record.id, user=actor)
        return record

    async def register(self, account_id: AccountId, *, agrees: bool = False, actor: str) -> AccountRecord:
        """Make an account at its CA, or find it there by its key; whoever `agrees` does so to the CA's terms. Raises NotFoundError, ConflictError, CaError."""
        known = await self._living(account_id)
        known = replace(known, terms_agreed=known.terms_agreed or agrees)
        record = await self._asking.register(known, actor=actor)
        log.info("account.registered", account=account_id, user=actor)
        return record

    async def set_contact(
        self, account_id: AccountId, contact: Sequence[str], *, actor: str
    ) -> AccountRecord:
        """Keep other contacts, and tell the CA, if it knows the account. Raises NotFoundError, InvalidInputError, ConflictError, CaError."""
        contacts = _contacts(contact)
        known = await self._living(account_id)
        if known.url:
            await (await self._asking.ca(account_id, is_test=False)).update_contact(contacts)
        async with self._context.store.transaction():
            record = replace(await self._context.store.accounts.get(account_id), contact=contacts)
            await self._context.store.accounts.keep(record)
            detail = {"contact": list(contacts)}
            await self._context.note(actor, "account.changed", f"account {account_id}", detail)
        return record

    async def change_key(self, account_id: AccountId, *, actor: str) -> AccountRecord:
        """Give an account another key. One that was begun and interrupted is brought to its end. Raises NotFoundError, ConflictError, CaError."""
        account = await self._living(account_id)
        if not (await self._context.store.accounts.keys(account_id)).next_key_pem:
            key_pem = await self._context.workers.run(MAKE_KEY_TIMEOUT_S, _make_key)
            async with self._context.store.transaction():
                await self._context.store.accounts.keep_next_key(account_id, key_pem)
                await self._context.note(actor, "account.key_changed", f"account {account_id}")
        await self._asking.finish_key_change(account)
        log.info("account.key_changed", account=account_id, user=actor)
        return account

    async def deactivate(self, account_id: AccountId, *, actor: str) -> AccountRecord:
        """End an account at its CA for good. Raises NotFoundError, ConflictError, CaError."""
        account = await self._living(account_id)
        await self._context.note(actor, "account.deactivated", f"account {account_id}")
        if account.url:
            await (await self._asking.ca(account_id, is_test=False)).deactivate()
        async with self._context.store.transaction():
            known = await self._context.store.accounts.get(account_id)
            record = replace(known, deactivated_s=self._context.clock())
            await self._context.store.accounts.keep(record)
        log.info("account.deactivated", account=account_id, user=actor)
        return record

    async def delete(self, account_id: AccountId, *, actor: str) -> None:
        """Forget an account with its key; its CA is not told. Raises NotFoundError, ConflictError while something is renewed with it."""
        async with self._context.store.transaction():
            await self._context.store.accounts.delete(account_id)
            await self._context.note(actor, "account.deleted", f"account {account_id}")
        log.info("account.deleted", account=account_id, user=actor)

    async def _living(self, account_id: AccountId) -> AccountRecord:
        account = await self._context.store.accounts.get(account_id)
        if account.deactivated_s is not None:
            raise ConflictError(f"the account '{account.name}' was deactivated")
        return account


def _checked(fields: AccountFields) -> AccountFields:
    """Return fields as they are kept. Raises InvalidInputError."""
    name = fields.name.strip()
    if not name or len(name) > LABEL_MAX_CHARS or not name.isprintable():
        raise InvalidInputError("name", f"an account's name has 1 to {LABEL_MAX_CHARS} printable characters")
    if bool(fields.binding_id) != bool(fields.binding_key):
        raise InvalidInputError("binding_id", "a binding has both, what names it and its key")
    for part, text in (("binding_id", fields.binding_id), ("binding_key", fields.binding_key)):
        if len(text) > BINDING_MAX_CHARS:
            raise InvalidInputError(
                part, f"it has more than {BINDING_MAX_CHARS} characters", reason=Reason.TOO_BIG
            )
    if fields.binding_key and not is_binding_key(fields.binding_key):
        raise InvalidInputError(
            "binding_key", "the binding's key is not base64url: letters, digits, '-' and '_', as the CA gave it"
        )
    _check_url("directory_url", fields.directory_url)
    if fields.staging_url:
        _check_url("staging_url", fields.staging_url)
    return replace(fields, name=name, contact=_contacts(fields.contact))


def _check_url(part: str, text: str) -> None:
    if len(text) > URL_MAX_CHARS:
        raise InvalidInputError(
            part, f"the address has more than {URL_MAX_CHARS} characters", reason=Reason.TOO_BIG
        )
    try:
        address = urlsplit(text)
        is_usable = address.scheme == "https" and bool(address.hostname) and address.port != 0
    except ValueError:
        is_usable = False
    if not is_usable or not text.isascii() or not text.isprintable():
        raise InvalidInputError(part, "a CA's directory is an address that begins with https://")


def _contacts(contact: Sequence[str]) -> tuple[str, ...]:
    """Return contacts as CAs take them (RFC 8555 7.3). Raises InvalidInputError."""
    kept = tuple(dict.fromkeys(each.strip().removeprefix("mailto:") for each in contact if each.strip()))
    if len(kept) > CONTACTS_MAX:
        raise InvalidInputError("contact", f"there are more than {CONTACTS_MAX} contacts")
    for each in kept:
        before, at, after = each.partition("@")
        if (
            not (before and at and after)
            or not each.isascii()
            or not each.isprintable()
            or set(" ,?<>") & set(each)
        ):
            raise InvalidInputError("contact", f"'{each[:80]}' is not a single email address")
    return tuple(f"mailto:{each}" for each in kept)


def _make_key() -> str:
    """Make an account's key, in a worker: ES256 is what every CA takes (RFC 8555 6.2)."""
    return private_key_pem(make_key(KeyKind.ECDSAP256))
