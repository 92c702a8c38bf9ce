"""Failures, and what a change means: how each is answered, whichever route was called.

{"error": {"reason": "...", "message": "...", "field": "...", "findings": [{"message", "file", "block", "line"}]}}

and, where a change wants a confirmation, "confirmation": {"token", "consequences": [...]}. Pure.
"""

import msgspec


class ConsequenceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a change means for nodes, clients or private keys; `asks` says that a person wants to be asked before."""

    code: str
    message: str
    severity: str
    asks: bool
    nodes: tuple[str, ...]


class FailureFinding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong, and where."""

    message: str
    file: str | None = None
    block: int | None = None
    line: int | None = None


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """What a change would mean; the same request with `token` as its `confirm` makes it, as long as it means just this."""

    token: str
    consequences: list[ConsequenceAnswer]


class FailureDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong."""

    reason: str
    message: str
    field: str = ""
    hint: str | msgspec.UnsetType = msgspec.UNSET
    findings: list[FailureFinding] = []
    confirmation: Confirmation | msgspec.UnsetType = msgspec.UNSET


class FailureAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    error: FailureDetail
