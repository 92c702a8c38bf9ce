"""Audit log as read: its acts, and the result of verifying its chain of HMACs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.codes import Fault, Kept

CONSOLE: Final = "console"
"""Actor of commands on the machine itself, without a user; no user may have this name."""

RENEWAL: Final = "renewal"
"""Actor of automatic renewals; no new user may have this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One act: when, who, what, on what, and details as JSON text without secrets."""

    id: int
    at_s: float
    actor: str
    action: str
    subject: str
    detail: str
    chain: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of verifying the chain.

    `broken_at` is the id of the first wrong entry, or of the first missing one at the end, None if all are
    intact. The `count` entries before it are intact, and `head` is the HMAC of the last of these. `noted`
    tells whether the requested hash is among them, `kept` the result for the requested signed head.
    """

    broken_at: int | None
    fault: Fault
    count: int
    head: str
    noted: bool
    kept: Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSearch:
    """Texts to find in an act's actor, action and subject, ignoring case."""

    actor: str = ""
    action: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Entries, the newest first; `next_before` asks for the page that follows, None at the end."""

    entries: Sequence[AuditRecord]
    next_before: int | None
