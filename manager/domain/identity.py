"""What stands in the way of keeping a certificate: another one of its issuer and serial number.

Pure. Invariant: both sides are named by all that tells them apart, so that whoever reads it can decide without a second question.
"""

from dataclasses import dataclass
from typing import Final

from common.errors import ConflictError, Reason

FINGERPRINT_SHOWN: Final = 16
"""Hex digits of a fingerprint that tell two certificates apart in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """One side: `number` is its id in the store, None for one that came just now."""

    kind: str
    name: str
    number: int | None
    serial_no: str
    fingerprint: str

    def __str__(self) -> str:
        shown = f"'{self.name}', fingerprint {self.fingerprint[:FINGERPRINT_SHOWN]}"
        return f"{self.kind} {self.number} ({shown})" if self.number is not None else f"the new one ({shown})"


class IdentityConflictError(ConflictError):
    """`known` is in the store with the issuer and serial number of `given`; `has_other_key` says whether the keys differ."""

    reason = Reason.IDENTITY_CONFLICT

    def __init__(self, *, known: Identified, given: Identified, has_other_key: bool) -> None:
        self.known, self.given, self.has_other_key = known, given, has_other_key
        but = (
            "but another private key, which would be lost"
            if has_other_key and known.kind == "certificate"
            else "but another key"
            if has_other_key
            else "and the same key"
        )
        super().__init__(
            f"{known} has the issuer and serial number ({known.serial_no}) of {given}, {but}; nothing was changed"
        )
