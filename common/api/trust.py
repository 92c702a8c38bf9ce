"""Custom trusted CAs and the built-in list. Pure."""

import msgspec

from common.api.deletions import ToDelete
from common.api.errors import ConsequenceAnswer
from common.api.findings import LeftOut, Status
from common.api.values import Calendar, ConfirmationText, RequestBody, Unreadable, UploadText


class TrustedCaAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A trusted CA. `held_out` says why nodes do not get it, where they do not. What follows `trusted_intermediate` stands only where it was asked for, `created` only after an upload."""

    id: int
    subject_name: str
    issuer_name: str
    raw_subject: str
    raw_issuer: str
    serial_no: str
    fingerprint: str
    # false for a peer's self-signed certificate, which is trusted as itself alone
    is_ca: bool | None = None
    not_before_s: Calendar
    not_after_s: Calendar
    unreadable: Unreadable = ()
    self_signed: bool
    trusted_intermediate: bool
    status: str | None = None
    statuses: list[Status] | None = None
    held_out: str | None = None
    # why clients accept nothing below it
    faults: list[str] | None = None
    certificate: str | None = None
    text: str | None = None
    created: bool | None = None


class TrustedCasAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Custom trusted CAs; `warnings` are about all of them together; `left_out` is what an upload did not take, `consequences` what it means."""

    trusted_cas: list[TrustedCaAnswer]
    warnings: list[str]
    left_out: list[LeftOut] | None = None
    consequences: list[ConsequenceAnswer] | None = None


class BuiltinCa(msgspec.Struct, frozen=True, kw_only=True):
    """A CA of the built-in list."""

    subject_name: str
    raw_subject: str
    fingerprint: str
    not_after_s: Calendar
    status: str
    unreadable: Unreadable = ()


class BuiltinCas(msgspec.Struct, frozen=True, kw_only=True):
    """The built-in list."""

    builtin: list[BuiltinCa]


class NewTrustedCas(RequestBody, frozen=True, kw_only=True):
    """One or more CA certificates in PEM. One that cannot be used stops them all, unless `skip_unusable` leaves it out.

    `confirm` as for an upload of a certificate: "" asks before the list of client CAs grows too long for TLS.
    """

    certificates: UploadText
    skip_unusable: bool = False
    confirm: ConfirmationText | None = None


class TrustedCaEdit(RequestBody, frozen=True, kw_only=True):
    """What to change; what is left out stays. `trusted_intermediate` says whether nodes verify peers with it.

    `confirm` as for an upload, in place of `force`.
    """

    certificate: UploadText | None = None
    trusted_intermediate: bool | None = None
    force: bool = False
    confirm: ConfirmationText | None = None


class TrustedCasToDelete(ToDelete, frozen=True, kw_only=True):
    """Which to delete, all or none; `force` even if that is all or more than a fifth of them. `confirm` as for an upload, in place of `force`."""
