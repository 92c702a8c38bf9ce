"""Fields of CA accounts: their stored form, and which of them can be changed. Pure.

Invariant: stored fields have a form that a CA accepts. Fields that identify an account to its CA are fixed
once it is registered: changing them would make it another account.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Final
from urllib.parse import urlsplit

from common.errors import InvalidInputError, Reason
from common.limits import LABEL_MAX_CHARS, URL_MAX_CHARS
from common.text import printable
from manager.domain.renewal.bindings import is_binding_key
from manager.domain.renewal.names import host_fault, kind_of
from manager.domain.renewal.records import AccountRecord

CONTACTS_MAX: Final = 10
"""Let's Encrypt accepts ten addresses per account (Boulder's `maxContactsPerRegistration`)."""

BINDING_MAX_CHARS: Final = 1024
"""Length of a binding's identifier and of its key: CAs issue 32 to 128 characters."""

_URL: Final = re.compile(
    r"https://([A-Za-z0-9_.-]*[A-Za-z0-9]|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?([/?][A-Za-z0-9._~:/?@!$&'()*+,;=%-]*)?"
)
"""RFC 3986, without user and fragment, and with a host that can be contacted."""

_HOST_GIVEN: Final = re.compile(r"https://([^/?#:\[\]\s%]+)(?:[/?#:]|$)")
"""Extracts a host that is not an IPv6 address."""

_UNBRACKETED: Final = re.compile(r"https://[0-9A-Fa-f]*:[0-9A-Fa-f]*:")
"""Matches an IPv6 address without brackets: a host with a port has one colon."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountFields:
    """An account as a user describes it; see `AccountRecord`. `binding_key` is base64url, "" for none."""

    name: str
    directory_url: str
    staging_url: str = ""
    trusted_cas: str = ""
    contact: Sequence[str] = ()
    binding_id: str = ""
    binding_key: str = field(default="", repr=False)
    terms_agreed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanges:
    """Changes to an account; None keeps a value."""

    name: str | None = None
    directory_url: str | None = None
    staging_url: str | None = None
    trusted_cas: str | None = None
    contact: Sequence[str] | None = None
    binding_id: str | None = None
    binding_key: str | None = field(default=None, repr=False)


_KEPT: Final = tuple(each.name for each in fields(AccountFields) if each.name != "binding_key")
"""Fields that a record has as well."""


def normalise(given: AccountFields) -> AccountFields:
    """Return normalised fields. Raises InvalidInputError."""
    name = given.name.strip()
    if not name or len(name) > LABEL_MAX_CHARS or not name.isprintable():
        raise InvalidInputError("name", f"an account's name has 1 to {LABEL_MAX_CHARS} printable characters")
    if bool(given.binding_id) != bool(given.binding_key):
        raise InvalidInputError("binding_id", "a binding has both, what names it and its key")
    for part, text in (("binding_id", given.binding_id), ("binding_key", given.binding_key)):
        if len(text) > BINDING_MAX_CHARS:
            raise InvalidInputError(
                part, f"it has more than {BINDING_MAX_CHARS} characters", reason=Reason.TOO_BIG
            )
    if given.binding_key and not is_binding_key(given.binding_key):
        raise InvalidInputError(
            "binding_key",
            "the binding's key is not base64url: letters, digits, '-' and '_', as the CA gave it",
        )
    _check_url("directory_url", given.directory_url)
    if given.staging_url:
        _check_url("staging_url", given.staging_url)
    return replace(given, name=name, contact=_contacts(given.contact))


def check_staging(given: AccountFields) -> None:
    """Raise InvalidInputError if test orders would be real ones."""
    if given.staging_url and is_same_directory(given.staging_url, given.directory_url):
        raise InvalidInputError(
            "staging_url",
            "this is the CA's own directory, where a test order would be a real one and count against its limits; give that of its staging environment, or none",
        )


def is_same_directory(one: str, other: str) -> bool:
    """Whether two URLs are one directory: hosts ignore case, https has port 443 (RFC 3986 6.2.2.1, 6.2.3)."""
    return _normal_url(one) == _normal_url(other)


def _normal_url(url: str) -> tuple[str | None, int, str]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or 443, url.removeprefix(f"https://{parts.netloc}")


def apply_changes(changes: AccountChanges, known: AccountRecord, known_key: str) -> AccountFields:
    """Return a changed account; `known_key` is its binding's key. Raises InvalidInputError."""
    before = AccountFields(**{name: getattr(known, name) for name in _KEPT}, binding_key=known_key)
    given = {name: value for name, value in asdict(changes).items() if value is not None}
    after = normalise(replace(before, **given))
    # an account added before this check existed can still be renamed
    if (after.directory_url, after.staging_url) != (before.directory_url, before.staging_url):
        check_staging(after)
    if known.url:
        _check_registered(after, before)
    # the agreement to one CA's terms does not apply to another CA
    return replace(after, terms_agreed=before.terms_agreed and after.directory_url == before.directory_url)


def describe_anew(record: AccountRecord, kept: AccountFields) -> AccountRecord:
    """Return an account with other fields; a record does not contain the binding's key."""
    return replace(record, **{name: getattr(kept, name) for name in _KEPT})


def _check_registered(after: AccountFields, before: AccountFields) -> None:
    """Refuse changes that a registered account does not allow. Raises InvalidInputError."""
    instead = "add another account, and let what is renewed use that one"
    if after.directory_url != before.directory_url:
        raise InvalidInputError(
            "directory_url",
            f"the directory of '{before.name}' stays, because the account is registered there; for another CA, {instead}",
        )
    for part in ("binding_id", "binding_key"):
        if getattr(after, part) != getattr(before, part):
            raise InvalidInputError(
                part,
                f"the binding of '{before.name}' stays, because its CA took it when the account was registered; for another binding, {instead}",
            )


def _check_url(part: str, text: str) -> None:
    if len(text) > URL_MAX_CHARS:
        raise InvalidInputError(
            part, f"the address has more than {URL_MAX_CHARS} characters", reason=Reason.TOO_BIG
        )
    if "@" in text.removeprefix("https://").partition("/")[0]:
        raise InvalidInputError(
            part, "the address has a user or a password in it, which everybody would see; leave them out"
        )
    given = _HOST_GIVEN.match(text)
    host = "" if given is None else given[1]
    if _UNBRACKETED.match(text):
        raise InvalidInputError(
            part, "an IPv6 address stands in brackets in an address, as in https://[2001:db8::1]/directory"
        )
    if host and kind_of(host) != "address" and (fault := host_fault(host, is_reached=True)):
        raise InvalidInputError(part, f"the host '{printable(host[:80])}' of the address {fault}")
    try:
        # an invalid port or IPv6 address
        is_usable = _URL.fullmatch(text) is not None and urlsplit(text).port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise InvalidInputError(part, "a CA's directory is an address that begins with https://")


def _contacts(contact: Sequence[str]) -> tuple[str, ...]:
    """Return contacts in the form that CAs accept (RFC 8555 7.3). Raises InvalidInputError."""
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
