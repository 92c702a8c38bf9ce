"""Values of fields in requests and answers.

Decides the limits of requests and the promises of answers. A promise is documented but not enforced: a command must
read the answers of a later manager, which may have more states and longer texts. A request, however, may not contain
unknown fields: ignoring one that restricts an action would do the whole action. Pure.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct

from common import limits
from common.api import codes


class RequestBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The body of a request. Omits default values, so that a manager older than a field understands the others."""


class Nothing(RequestBody, frozen=True, kw_only=True):
    """The body of a request without content; an empty object is accepted too."""


Id = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""An id; larger numbers are none that a database could hold."""

Ids = Annotated[list[Id], Meta(min_length=1, max_length=10_000)]

NameText = Annotated[str, Meta(max_length=limits.NAME_MAX_CHARS)]
LabelText = Annotated[str, Meta(max_length=limits.LABEL_MAX_CHARS)]
SecretText = Annotated[str, Meta(max_length=limits.SECRET_MAX_CHARS)]
SubjectText = Annotated[str, Meta(max_length=limits.SUBJECT_MAX_CHARS)]
AlternativeText = Annotated[str, Meta(max_length=limits.ALTERNATIVE_MAX_CHARS)]
UrlText = Annotated[str, Meta(max_length=limits.URL_MAX_CHARS)]
PublicKeyText = Annotated[str, Meta(max_length=limits.PUBLIC_KEY_MAX_CHARS)]
ConfirmationText = Annotated[str, Meta(max_length=limits.CONFIRMATION_MAX_CHARS)]
UploadText = Annotated[str, Meta(max_length=limits.UPLOAD_MAX_CHARS)]
UploadBytes = Annotated[bytes, Meta(max_length=limits.UPLOAD_MAX_CHARS)]

Nodes = Annotated[list[NameText], Meta(max_length=20_000)]
Names = Annotated[list[NameText], Meta(max_length=64)]
Alternatives = Annotated[list[AlternativeText], Meta(max_length=1000)]


def one_of(choices: Iterable[str]) -> Meta:
    """Document the codes that a text is one of."""
    return Meta(extra_json_schema={"enum": sorted(choices)})


def _text(length: int, pattern: str | None = None) -> Meta:
    limits: dict[str, object] = {"maxLength": length}
    return Meta(extra_json_schema=limits if pattern is None else {**limits, "pattern": pattern})


def _between(minimum: int, maximum: int) -> Meta:
    return Meta(extra_json_schema={"minimum": minimum, "maximum": maximum})


SlotCode = Annotated[str, one_of(get_args(codes.Slot))]
NodeKindCode = Annotated[str, one_of(get_args(codes.NodeKind))]
StateCode = Annotated[str, one_of(get_args(codes.State))]
RoleCode = Annotated[str, one_of(codes.Role)]
ScopeCode = Annotated[str, one_of(codes.Scope)]
ActionCode = Annotated[str, one_of(get_args(codes.PushAction))]
ChallengeCode = Annotated[str, one_of(get_args(codes.Challenge))]
OrderStepCode = Annotated[str, one_of(get_args(codes.OrderStep))]
RenewalStateCode = Annotated[str, one_of(get_args(codes.RenewalState))]
KeyCode = Annotated[str, one_of(codes.KeyKind)]
PhaseCode = Annotated[str, one_of(get_args(codes.Phase))]

Text = Annotated[str, _text(512)]
PartText = Annotated[str, _text(120)]
Name = Annotated[str, _text(128)]
Hex = Annotated[str, _text(64, r"^[0-9a-f]*$(?!\n)")]
"""Python's $ lets a line end follow, and its \\Z is none in the OpenAPI document (ECMA-262): this means the end in both."""
ReasonText = Annotated[str, _text(64, r"^[a-z0-9_]*$(?!\n)")]
Count = Annotated[int, _between(0, 2**53)]
Moment = Annotated[float, _between(0, 2**40)]
"""Unix seconds."""
Duration = Annotated[float, _between(0, 2**31)]
Unreadable = tuple[Literal["not_before", "not_after"], ...]
"""Which moments of a certificate cannot be read. The numbers that stand for them (0) are no dates."""

Calendar = Annotated[int, _between(-62_135_596_800, 253_402_300_799)]
"""Unix seconds of the years 1 to 9999, which is what X.509 can say (RFC 5280 4.1.2.5) and a calendar can show."""
