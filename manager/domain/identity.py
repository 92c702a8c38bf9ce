"""Identity conflicts: another stored certificate with the same issuer and serial number.

Pure. Invariant: both sides are named with everything that distinguishes them, so that a reader can decide at
once.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from common.errors import ConflictError, Reason
from common.pki.name import name_or_placeholder

FINGERPRINT_SHOWN: Final = 16
"""Hex digits of a fingerprint that tell two certificates apart in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """One side: `number` is its id in the store, None for a new one."""

    kind: str
    name: str
    number: int | None
    serial_no: str
    fingerprint: str

    def __str__(self) -> str:
        shown = f"'{self.name}', fingerprint {self.fingerprint[:FINGERPRINT_SHOWN]}"
        return f"{self.kind} {self.number} ({shown})" if self.number is not None else f"the new one ({shown})"


class Identifiable(Protocol):
    """The identifying fields of a certificate or a trusted CA, stored or new."""

    @property
    def subject_name(self) -> str:
        """The subject's common name, "" if it has none."""

    @property
    def raw_subject(self) -> str:
        """The whole subject."""

    @property
    def serial_no(self) -> str:
        """The serial number."""

    @property
    def fingerprint(self) -> str:
        """The certificate's SHA-256."""


def identify(entry: Identifiable, kind: str, number: int | None = None) -> Identified:
    """Return the fields by which people distinguish an entry; `number` is its id if it is stored."""
    return Identified(
        kind=kind,
        name=name_or_placeholder(entry.subject_name, entry.raw_subject),
        number=number,
        serial_no=entry.serial_no,
        fingerprint=entry.fingerprint,
    )


class IdentityConflictError(ConflictError):
    """`known` is stored with the issuer and serial number of `given`; `has_other_key`: the keys differ."""

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
