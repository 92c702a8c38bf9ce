"""Accounts at CAs: who orders certificates there. Pure.

Invariant: no answer has a field for an account's key, or for the key of its binding.
"""

from typing import Annotated

import msgspec

from common.api.values import LabelText, Moment, NameText, RequestBody, SecretText, UploadText, UrlText

Contacts = Annotated[list[NameText], msgspec.Meta(max_length=100)]


class NewAccount(RequestBody, frozen=True, kw_only=True):
    """An account to make. `directory_url` is the CA's directory (RFC 8555 7.1.1), `staging_url` that of the CA at which orders are tried.

    `trusted_cas` are in PEM, for a directory that is not vouched for by the built-in CAs. `binding_id` and `binding_key` (base64url) are what a CA
    gives for external account binding (RFC 8555 7.3.4). The CA hears of the account when it is registered, or when it is first needed.
    """

    name: LabelText
    directory_url: UrlText
    staging_url: UrlText = ""
    trusted_cas: UploadText = ""
    contact: Contacts = msgspec.field(default_factory=list)
    binding_id: SecretText = ""
    binding_key: SecretText = ""
    terms_agreed: bool = False

    def __repr__(self) -> str:
        return f"<new account {self.name}>"


class AccountEdit(RequestBody, frozen=True, kw_only=True):
    """What to change of an account; what is left out, or null, stays, and "" is for none. The CA is told other contacts.

    The directory and the binding of an account that is registered stay.
    """

    name: LabelText | None = None
    directory_url: UrlText | None = None
    staging_url: UrlText | None = None
    trusted_cas: UploadText | None = None
    contact: Contacts | None = None
    binding_id: SecretText | None = None
    binding_key: SecretText | None = None

    def __repr__(self) -> str:
        return "<account edit>"


class Registration(RequestBody, frozen=True, kw_only=True):
    """Makes the account known to its CA. `terms_agreed`: whoever asks agrees to the CA's terms."""

    terms_agreed: bool = False


class AccountAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An account; never its key. `url` is its address at the CA, "" until it is registered."""

    id: int
    name: str
    directory_url: str
    staging_url: str
    trusted_cas: str
    contact: tuple[str, ...]
    binding_id: str
    url: str
    terms_agreed: bool
    created_at_s: Moment
    deactivated_at_s: Moment | None


class AccountsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts."""

    accounts: list[AccountAnswer]


class DirectoryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a CA offers: `profiles` with their descriptions; `has_renewal_info` says that it suggests when to renew (RFC 9773)."""

    terms_url: str
    website: str
    profiles: dict[str, str]
    needs_binding: bool
    has_renewal_info: bool
