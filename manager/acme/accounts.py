"""Accounts at a CA (RFC 8555 7.3): made, found, changed and ended.

Decides what is asked again after an answer was lost. Invariant: each operation may be repeated, and then
changes nothing.
"""

from collections.abc import Sequence
from typing import Any, Final

from common.codes import KeyKind
from manager.acme.keys import AccountKey, Payload, bind, roll_over
from manager.acme.refusals import RefusedError, with_message
from manager.acme.session import CaSession, Signer
from manager.domain.renewal.records import AccountRecord
from manager.pki.read.keys import private_key_pem
from manager.pki.write.keys import make_key
from manager.usecases.renewal.ports import CaError

UNAUTHORIZED: Final = "unauthorized"

UNBOUND: Final = frozenset({"malformed", UNAUTHORIZED})
"""How CAs refuse an unknown binding (RFC 8555 7.3.4 names no code)."""

ENDED: Final = frozenset({"accountDoesNotExist", UNAUTHORIZED})
"""How CAs refuse a deactivated account."""


def register(session: CaSession, signer: Signer, account: AccountRecord, *, binding_key: str) -> str:
    """Find the account of the key, or make it; return its address.

    Finding comes first: some CAs accept a binding only once, so an account whose answer was lost could not be
    made again.
    """
    try:
        signer.account_url = session.find_account(signer.key)
    except RefusedError as error:
        # the second from a CA that requires a binding even to find an account
        if error.type not in {"accountDoesNotExist", "externalAccountRequired"}:
            raise session.to_known_account(error) from None
        signer.account_url = _make(session, signer, account, binding_key=binding_key)
    return signer.account_url


def _make(session: CaSession, signer: Signer, account: AccountRecord, *, binding_key: str) -> str:
    url = session.endpoints().new_account
    fields: dict[str, Any] = {"contact": _addresses(account.contact)}
    if account.terms_agreed:
        fields["termsOfServiceAgreed"] = True
    if binding_key:
        fields["externalAccountBinding"] = bind(
            signer.key, binding_id=account.binding_id, binding_key=binding_key, new_account_url=url
        )
    try:
        return session.post(url, Payload(fields), key=signer.key).created_url()
    except RefusedError as error:
        if not binding_key or error.type not in UNBOUND:
            raise
        step = "if that is about the binding, correct its identifier and key"
        raise with_message(error, f"{error.message.removesuffix('.')}; {step}") from None


def _addresses(contact: Sequence[str]) -> list[str]:
    """Return contacts as URLs (RFC 8555 7.3); those without a scheme are e-mail addresses."""
    return [each if ":" in each else f"mailto:{each}" for each in contact]


def update_contact(session: CaSession, account_url: str, contact: Sequence[str]) -> None:
    """Replace the account's contacts at the CA."""
    session.post(account_url, Payload({"contact": _addresses(contact)}))


def change_key(session: CaSession, signer: Signer, new: AccountKey, *, account_url: str) -> None:
    """Replace the account's key, and verify that the CA did.

    Trusting a key that it does not know would lose the account.

    Raises CaError, also if the CA does not support it.
    """
    url = session.endpoints().key_change
    if not url:
        raise CaError(f"{session.ca} does not support changing an account's key", is_final=True)
    request = roll_over(signer.key, new, account_url=account_url, key_change_url=url)
    try:
        session.post(url, request)
    except RefusedError:
        # an earlier request may have succeeded although its answer was lost
        if not _has_key(session, new, account_url=account_url):
            raise
    else:
        # pebble also says so if another account has the key
        if not _has_key(session, new, account_url=account_url):
            raise CaError(f"{session.ca} did not change the account's key, though it said so", is_final=True)
    signer.key = new


def _has_key(session: CaSession, key: AccountKey, *, account_url: str) -> bool:
    """Whether this is the account's key now."""
    try:
        return session.find_account(key) == account_url
    except RefusedError:
        return False


def deactivate(session: CaSession, signer: Signer, account_url: str) -> None:
    """End the account.

    One that has ended already is fine: a CA refuses all of its requests (RFC 8555 7.3.6).
    """
    try:
        session.post(account_url, Payload({"status": "deactivated"}))
    except RefusedError as error:
        if error.type not in ENDED or not _has_ended(session, signer.key):
            raise


def _has_ended(session: CaSession, key: AccountKey) -> bool:
    """Whether the CA refuses this key but not an unknown one: a proxy in front of it may refuse everybody."""
    refused = _refused(session, key)
    if refused == UNAUTHORIZED:
        stranger = AccountKey.load(private_key_pem(make_key(KeyKind.ECDSAP256)))
        return _refused(session, stranger) not in {UNAUTHORIZED, ""}
    return refused in ENDED


def _refused(session: CaSession, key: AccountKey) -> str:
    """Return the CA's code for refusing to find a key's account, "" if it finds it or gives no code."""
    try:
        session.find_account(key)
    except RefusedError as error:
        return error.type
    return ""
