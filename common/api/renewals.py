"""Renewals: their settings, and the orders that renew certificates. Pure."""

from typing import Annotated

import msgspec

from common.api.codes import Challenge, KeyKind, Slot
from common.api.values import (
    Calendar,
    ChallengeCode,
    ConfirmationText,
    Id,
    KeyCode,
    Moment,
    NameText,
    Nodes,
    OrderStepCode,
    RenewalStateCode,
    RequestBody,
    SlotCode,
)

OrderedNames = Annotated[list[NameText], msgspec.Meta(max_length=1000)]


class RenewalTerms(RequestBody, frozen=True, kw_only=True):
    """Settings of a renewal: the `account` to order with or, without one, `send_to` as the receiver of signing requests.

    Without `names` the certificate's own are used. `preferred_chain` is the Common Name of the root at which the chain
    should end. Without `key` a new key is as strong as the certificate's own, or ECDSAP256 if it has none; `keeps_key`
    uses the certificate's own key again.
    """

    account: Id | None = None
    challenge: Challenge = "http-01"
    profile: NameText = ""
    preferred_chain: NameText = ""
    key: KeyKind | None = None
    keeps_key: bool = False
    names: OrderedNames = msgspec.field(default_factory=list)
    send_to: NameText = ""


class RenewalEdit(RenewalTerms, frozen=True, kw_only=True):
    """New settings of a renewal. `seen` is the `tag` of the settings on which the change is based.

    Without `seen` the present settings are replaced in any case.
    """

    seen: NameText = ""


class NewRenewal(RenewalTerms, frozen=True, kw_only=True):
    """A renewal to set up: for a `certificate`, or for `names` whose first certificate goes to `nodes` in `slot`.

    A `paused` one orders nothing until it is resumed, but can be tested before. `confirm` as for an upload: "" asks
    before a first certificate takes a slot from another one (`slot_taken`).
    """

    certificate: Id | None = None
    nodes: Nodes = msgspec.field(default_factory=list)
    slot: Slot = "server"
    paused: bool = False
    confirm: ConfirmationText | None = None


class OrderProblem(msgspec.Struct, frozen=True, kw_only=True):
    """The last failure. `detail` is the CA's text and `type` its code (RFC 8555 6.7), both "" without a CA's answer."""

    at_s: Moment
    message: str
    type: str
    detail: str


class OrderStepAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A step of an order and its time; `message` describes it, "" for nothing. After a `failure` it may go on."""

    at_s: Moment
    state: OrderStepCode
    message: str
    failure: bool = False


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, with its latest steps. `certificate` is its result, `waits_for` the reason for a wait, "" for none.

    `recheck_at_s` is when the manager checks it again, 0 for at once.
    """

    id: int
    test: bool
    state: OrderStepCode
    names: tuple[str, ...]
    certificate: int | None
    steps: list[OrderStepAnswer]
    problem: OrderProblem | None
    waits_for: str = ""
    recheck_at_s: Moment
    created_at_s: Moment
    changed_at_s: Moment


class RenewalWindow(msgspec.Struct, frozen=True, kw_only=True):
    """When the CA suggests to renew (RFC 9773), and where it explains why, "" if it does not."""

    starts_at_s: Moment
    ends_at_s: Moment
    why: str


class RenewalAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A renewal's settings and state. `account` is null for a renewal by signing request.

    `certificate` is null before the first order has succeeded; `not_after_s` is null then and if the end cannot be read.
    `subject_name` is the certificate's name in lists, even without a Common Name. `ordered_names` are the names to order
    or request. `next_at_s` is when the next order begins, a failed one continues, or the next signing request is opened;
    null while paused, and if the certificate's validity cannot be read. After `failures` in a row it rests until
    `retry_at_s`. `request` is the signing request that waits for an answer. `tag` changes with the settings.
    `account_registered` says whether the CA knows the account, null without an account; the first order registers it,
    which a CA with terms of service refuses until somebody has agreed to them. `waits_until` says in words how long a due
    order waits for others of its account, "" for none. `orders` lists the latest ones, the latest first; in a list of
    renewals at most one.
    """

    id: int
    state: RenewalStateCode
    certificate: int | None
    subject_name: str
    not_after_s: Calendar | None
    account: int | None
    challenge: ChallengeCode | None
    profile: str
    preferred_chain: str
    key: KeyCode | None
    keeps_key: bool
    names: tuple[str, ...]
    ordered_names: tuple[str, ...]
    send_to: str
    nodes: tuple[str, ...]
    slot: SlotCode
    paused: bool
    next_at_s: Moment | None
    window: RenewalWindow | None
    failures: int
    retry_at_s: Moment
    problem: OrderProblem | None
    request: int | None
    created_at_s: Moment
    changed_at_s: Moment
    orders: list[OrderAnswer]
    tag: str = ""
    account_registered: bool | None = None
    waits_until: str = ""


class RenewalsAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """All renewals."""

    renewals: list[RenewalAnswer]


class RenewalFields(msgspec.Struct, frozen=True, kw_only=True):
    """The default settings to renew a certificate: its names and its nodes' names, and a key as strong as its own."""

    names: tuple[str, ...]
    key: KeyCode
