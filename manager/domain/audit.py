"""Audit log as it is read: its acts, and what a walk along its chain of HMACs found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from common.codes import Fault, Kept

CONSOLE: Final = "console"
"""Who acts on the machine itself, without being a user of it; no user is called so."""

RENEWAL: Final = "renewal"
"""Who acts where a certificate is renewed without anybody; no new user is called so."""


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
    """What a walk along the chain found.

    `broken_at` is the id of the first entry that does not fit, or that of the first missing at the end, None if all fit;
    `count` entries before it do, and `head` is the HMAC of the last of these. `noted` says whether the hash that was asked for is
    among them, `kept` what became of the signed head that was asked for.
    """

    broken_at: int | None
    fault: Fault
    count: int
    head: str
    noted: bool
    kept: Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSearch:
    """Texts that stand in an act's actor, action and subject, without regard to case."""

    actor: str = ""
    action: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Entries, the newest first; `next_before` asks for the page that follows, None at the end."""

    entries: Sequence[AuditRecord]
    next_before: int | None
