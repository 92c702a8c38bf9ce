"""Accounts at CAs as the command shows them."""

from typing import TYPE_CHECKING, Final

from manager.cli.words import moment

if TYPE_CHECKING:
    from common.api.accounts import AccountAnswer

HEADINGS: Final = ("id", "account", "directory", "contact", "state")


def contacts(account: "AccountAnswer") -> str:
    """Return the addresses at which the CA reaches the account's owner."""
    return ", ".join(each.removeprefix("mailto:") for each in account.contact) or "no address"


def state(account: "AccountAnswer") -> str:
    """Say whether an account can be used."""
    if account.deactivated_at_s is not None:
        return "deactivated"
    return "registered" if account.url else "not registered yet"


def describe_account(account: "AccountAnswer") -> list[tuple[str, str]]:
    """Return everything about an account except its secrets."""
    own_trust = "the CAs that were given" if account.trusted_cas else "public CAs"
    return [
        ("account", f"{account.id} {account.name}"),
        ("state", state(account)),
        ("directory", account.directory_url),
        ("verified with", own_trust),
        ("test orders at", account.staging_url or "nowhere"),
        ("contact", contacts(account)),
        ("binding", account.binding_id or "none"),
        ("address at the CA", account.url or "none yet"),
        ("terms", "agreed to" if account.terms_agreed else "not agreed to"),
        ("made", moment(account.created_at_s)),
    ]


def describe_offers(answer: bytes) -> list[tuple[str, str | list[str]]]:
    """Return a CA's offers."""
    from common.api.accounts import DirectoryAnswer
    from manager.cli.decoding import read

    found = read(answer, DirectoryAnswer)
    profiles = [f"{name}: {text}" for name, text in sorted(found.profiles.items())]
    return [
        ("terms", found.terms_url or "none"),
        ("website", found.website or "none"),
        ("profiles", profiles or "none"),
        ("binding", "needed" if found.needs_binding else "not needed"),
        ("suggests when to renew", "yes" if found.has_renewal_info else "no"),
    ]
