"""Records that prove names for good (DNS-PERSIST-01, draft-ietf-acme-dns-persist 4.1): parsed and compared.

Pure.

Decides as a CA does, so a record that passes here passes there. People write the record.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.text import printable
from manager.dns.names import WILDCARD
from manager.usecases.renewal.ports import CaError

SPACE: Final = " \t"
POLICY_WILDCARD: Final = "wildcard"
SHOWN_MAX_CHARS: Final = 200
"""Characters of a found record, in a message."""

UNTIL_MAX_DIGITS: Final = 18
"""Digits of a time in seconds; every number of so many digits fits into 63 bits."""

_VALUE: Final = re.compile(r"[\x21-\x3a\x3c-\x7e]*")
"""RFC 8659 4.2: visible ASCII without the semicolon."""

_NUMBER: Final = re.compile(rf"-?[0-9]{{1,{UNTIL_MAX_DIGITS}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a record grants to an account at a CA; without an end if `until_s` is None."""

    issuer: str
    account_url: str
    policy: str
    until_s: int | None


class MalformedError(ValueError):
    """A record that no CA accepts. `issuer` is the CA that it is for, as far as it can be read."""

    def __init__(self, issuer: str, message: str) -> None:
        super().__init__(message)
        self.issuer = issuer


def parse_grant(text: str) -> Grant:
    """Read a record. Raises MalformedError."""
    first, *rest = text.split(";")
    issuer = first.strip(SPACE).lower()
    found: dict[str, str] = {}
    for part in rest:
        tag, equals, value = (one.strip(SPACE) for one in part.partition("="))
        tag = tag.lower()
        if not (tag and equals):
            raise MalformedError(issuer, "has a part that is not of the form tag=value")
        if not _VALUE.fullmatch(value):
            raise MalformedError(
                issuer, f"has white space or foreign letters in the value of {printable(tag)[:40]}"
            )
        if tag in found and tag in {"accounturi", "policy", "persistuntil"}:
            raise MalformedError(issuer, f"has {tag} twice")
        found[tag] = value
    until = found.get("persistuntil")
    if until is not None and not _NUMBER.fullmatch(until):
        raise MalformedError(issuer, "has a persistUntil that is not a moment in seconds")
    if not issuer or not found.get("accounturi"):
        raise MalformedError(issuer, "does not name a CA and an account (accounturi)")
    return Grant(
        issuer=issuer,
        account_url=found["accounturi"],
        policy=found.get("policy", "").lower(),
        until_s=None if until is None else int(until),
    )


def required_grant(response: str, name: str) -> Grant:
    """Return the grant that a CA requires for a name, from the proof's text. Raises CaError."""
    try:
        required = parse_grant(response)
    except MalformedError as error:
        raise CaError(f"what the CA wants to see for '{printable(name)}' {error}", is_final=True) from error
    is_wildcard = name.startswith(WILDCARD) or required.policy == POLICY_WILDCARD
    return Grant(
        issuer=required.issuer,
        account_url=required.account_url,
        policy=POLICY_WILDCARD if is_wildcard else "",
        until_s=None,
    )


def record_text(required: Grant) -> str:
    """Return the record for people to write."""
    text = f"{required.issuer}; accounturi={required.account_url}"
    return f"{text}; policy={required.policy}" if required.policy else text


def mismatch(records: Sequence[str], required: Grant, *, now_s: float) -> str:
    """Say why none of a name's records is enough, "" if one is."""
    wrong = ""
    for text in records:
        try:
            grant = parse_grant(text)
        except MalformedError as error:
            if error.issuer == required.issuer:
                wrong = f"the record '{printable(text)[:SHOWN_MAX_CHARS]}' {error}"
            continue
        if grant.issuer != required.issuer:
            continue
        if grant.account_url != required.account_url:
            wrong = (
                wrong
                or f"the record for {grant.issuer} is for the account {printable(grant.account_url)[:SHOWN_MAX_CHARS]}"
            )
        elif required.policy and grant.policy != required.policy:
            wrong = f"the record for {grant.issuer} does not allow wildcards (policy={required.policy})"
        elif grant.until_s is not None and now_s > grant.until_s:
            wrong = f"the record for {grant.issuer} has ended (persistUntil={grant.until_s})"
        else:
            return ""
    return wrong or f"no record is for {required.issuer}"
