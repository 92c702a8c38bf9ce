"""Rows of accounts at CAs: the CA, state and renewals of each.

Pure. Invariant: nothing here contains an account's key, or the key of its binding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from common.explained.cas import KNOWN_CAS
from manager.domain.renewal.records import AccountRecord
from manager.usecases.renewal.shown import ShownRenewal
from manager.web.renewing import Renewal, renewals_of
from manager.web.words import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAccount:
    """An account and the renewals that use it."""

    record: AccountRecord
    renewed: Sequence[Renewal]

    @property
    def ca(self) -> str:
        """The name of its CA."""
        return ca_name(self.record.directory_url)

    @property
    def contact(self) -> Sequence[str]:
        """The email addresses at which the CA reaches the account's owner."""
        return [each.removeprefix("mailto:") for each in self.record.contact]

    @property
    def is_living(self) -> bool:
        """Whether it can be used or registered."""
        return not self.record.is_deactivated

    @property
    def state(self) -> tuple[Kind, str]:
        """Its state, as kind and words."""
        if not self.is_living:
            return "off", "Deactivated"
        return ("ok", "Registered") if self.record.url else ("warn", "Not registered yet")


def ca_name(directory_url: str) -> str:
    """Return a CA's known name, otherwise the host of its directory."""
    for known in KNOWN_CAS.values():
        if directory_url == known.directory_url:
            return known.title
        if directory_url == known.staging_url:
            return f"{known.title} (staging)"
    return urlsplit(directory_url).hostname or directory_url


def shown_accounts(
    accounts: Sequence[AccountRecord], renewals: Sequence[ShownRenewal]
) -> Sequence[ShownAccount]:
    """Return accounts by name, usable ones first."""
    ordered = sorted(accounts, key=lambda each: (each.is_deactivated, each.name.lower(), each.id))
    return [shown_account(each, renewals) for each in ordered]


def shown_account(account: AccountRecord, renewals: Sequence[ShownRenewal]) -> ShownAccount:
    """Return an account with those of all renewals that use it."""
    own = [each for each in renewals if each.renewal.terms and each.renewal.terms.account_id == account.id]
    return ShownAccount(record=account, renewed=renewals_of(own, {account.id: account}))
