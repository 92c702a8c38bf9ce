"""Accounts at a CA (RFC 8555 7.3): made, found, changed and ended.

Decides what is asked again where an answer was lost. Invariant: each can be done again after it was done, and then changes nothing.
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
"""How CAs refuse a binding that they do not know (RFC 8555 7.3.4 names no code)."""

ENDED: Final = frozenset({"accountDoesNotExist", UNAUTHORIZED})
"""How CAs refuse an account that was deactivated."""


def register(session: CaSession, signer: Signer, account: AccountRecord, *, binding_key: str) -> str:
    """Find the account that has the key, or make it; return its address.

    It is looked for first: a binding can be used once at some CAs, so an account whose answer was lost could not be made again.
    """
    try:
        signer.account_url = session.find_account(signer.key)
    except RefusedError as error:
        # the second from a CA that wants a binding even from who only looks
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
    """Return contacts as addresses (RFC 8555 7.3): e-mail where none says of what kind it is."""
    return [each if ":" in each else f"mailto:{each}" for each in contact]


def update_contact(session: CaSession, account_url: str, contact: Sequence[str]) -> None:
    """Tell the CA other contacts."""
    session.post(account_url, Payload({"contact": _addresses(contact)}))


def change_key(session: CaSession, signer: Signer, new: AccountKey, *, account_url: str) -> None:
    """Give the account another key, and see whether it has it: a key that is thought to count and does not would lose the account.

    Raises CaError, also from a CA that cannot.
    """
    url = session.endpoints().key_change
    if not url:
        raise CaError(f"{session.ca} does not change the keys of accounts", is_final=True)
    request = roll_over(signer.key, new, account_url=account_url, key_change_url=url)
    try:
        session.post(url, request)
    except RefusedError:
        # the answer to an earlier request may have been lost
        if not _has_key(session, new, account_url=account_url):
            raise
    else:
        # pebble says so as well where another account has the key
        if not _has_key(session, new, account_url=account_url):
            raise CaError(f"{session.ca} did not change the account's key, though it said so", is_final=True)
    signer.key = new


def _has_key(session: CaSession, key: AccountKey, *, account_url: str) -> bool:
    """Tell whether a key is the account's now."""
    try:
        return session.find_account(key) == account_url
    except RefusedError:
        return False


def deactivate(session: CaSession, signer: Signer, account_url: str) -> None:
    """End the account, or find that it has ended: a CA refuses all that such an account asks (RFC 8555 7.3.6)."""
    try:
        session.post(account_url, Payload({"status": "deactivated"}))
    except RefusedError as error:
        if error.type not in ENDED or not _has_ended(session, signer.key):
            raise


def _has_ended(session: CaSession, key: AccountKey) -> bool:
    """Tell whether a CA no longer lets anybody in by a key, and tells that from a key that it has never seen: what stands before it may refuse everybody."""
    refused = _refused(session, key)
    if refused == UNAUTHORIZED:
        stranger = AccountKey.load(private_key_pem(make_key(KeyKind.ECDSAP256)))
        return _refused(session, stranger) not in {UNAUTHORIZED, ""}
    return refused in ENDED


def _refused(session: CaSession, key: AccountKey) -> str:
    """Return by which code a CA refuses to find an account by its key, "" if it finds it, or has no code."""
    try:
        session.find_account(key)
    except RefusedError as error:
        return error.type
    return ""
