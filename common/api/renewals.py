"""Renewals: with what certificates are renewed, and the orders that do it. Pure."""

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
    """With what a certificate is renewed: at which `account`, or, without one, by a signing request that `send_to` is to get.

    Without `names` those that the certificate has. `preferred_chain` is the Common Name of the root at which the chain is to end. Without `key` a new key
    is as strong as the certificate's own, ECDSAP256 where there is none; `keeps_key` takes the certificate's own key again.
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
    """With what a certificate is renewed from now on. `seen` is the `tag` of what the change was begun with; without it, whatever stands there is replaced."""

    seen: NameText = ""


class NewRenewal(RenewalTerms, frozen=True, kw_only=True):
    """A renewal to set up: for a `certificate`, or, without one, for `names` whose first certificate goes to `nodes` in `slot`.

    One that is `paused` orders nothing until it is resumed, and can be tried before. `confirm` as for an upload: "" asks before a first certificate takes
    a slot from another one (`slot_taken`).
    """

    certificate: Id | None = None
    nodes: Nodes = msgspec.field(default_factory=list)
    slot: Slot = "server"
    paused: bool = False
    confirm: ConfirmationText | None = None


class OrderProblem(msgspec.Struct, frozen=True, kw_only=True):
    """What was wrong last; `detail` has the CA's own words, and `type` its code (RFC 8555 6.7), both "" where no CA said anything."""

    at_s: Moment
    message: str
    type: str
    detail: str


class OrderStepAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """How far an order came, and when; `message` says what happened there, "" if nothing is to be said. After a `failure` it may go on."""

    at_s: Moment
    state: OrderStepCode
    message: str
    failure: bool = False


class OrderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, with its latest steps. `certificate` is what came of it, `waits_for` what it waits for, "" for nothing.

    `recheck_at_s` is when the manager looks at it again, 0 for at once.
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
    """With what a certificate is renewed, and its state. `account` is null for one that is renewed by request.

    `certificate` is null until the first order has brought one, `not_after_s` where its end cannot be read too; `subject_name` is what the certificate is called in lists, also where it has no Common Name, and
    `ordered_names` is for which names is ordered, or a request opened. `next_at_s` is when the next order begins, one goes on that has failed, or the
    next signing request is opened: null while it is paused, and where the certificate's validity cannot be read. After `failures` in a row it rests until
    `retry_at_s`. `request` is the signing request that waits for an answer, and `tag` changes with what it is renewed with. `account_registered` says whether the
    account is known to its CA: one that is not is registered with the first order, which a CA with terms of service refuses until somebody has agreed to
    them; null where there is no account. `waits_until` says in words until when no order begins that is due, since others of its account go first, "" for nothing. `orders` are the latest, the latest first; in a list one at most.
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
    """What a certificate would be renewed with: its names and those of the nodes that have it, and a key as strong as its own."""

    names: tuple[str, ...]
    key: KeyCode
