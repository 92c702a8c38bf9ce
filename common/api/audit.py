"""The audit log: its entries, its verification and its signed head. Pure."""

from typing import Annotated

import msgspec

from common.api.codes import Fault, Kept
from common.api.values import Moment, one_of


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One act: when, who, what, on what, and details as JSON text without secrets."""

    id: int
    at_s: Moment
    actor: str
    action: str
    subject: str
    detail: str
    chain: str


class AuditAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, the newest first; `next_before` asks for the page that follows, null at the end."""

    entries: list[AuditRecord]
    next_before: int | None


class VerificationAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a walk along the chain found; `signed_head` is the end of the log, signed, null where that is missing or was altered."""

    broken_at: int | None
    fault: Annotated[str, one_of(Fault)]
    count: int
    head: str
    noted: bool
    kept: Annotated[str, one_of(Kept)]
    signed_head: str | None


class HeadAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the log, signed, to be kept elsewhere; `head` is what `audit/verify` takes."""

    head: str
    count: int
    at_s: Moment
