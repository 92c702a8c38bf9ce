"""Records of renewal as the store returns them: CA accounts, renewal terms and orders.

Times are unix seconds. Invariant: no record here contains a private key or the secret of a binding.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile
from typing import Final, NewType

from common.bundle.manifest import Slot
from common.codes import KeyKind
from common.ids import CertificateId, CsrId, Fingerprint, NodeName
from manager.domain.renewal.moments import Window

AccountId = NewType("AccountId", int)
"""Number of a CA account in the store, never reused."""

RenewalId = NewType("RenewalId", int)
"""Number of a renewal in the store, never reused."""

OrderId = NewType("OrderId", int)
"""Number of an order in the store, never reused."""


class ChallengeKind(StrEnum):
    """Kinds of challenges; the values are the field's own (RFC 8555 8, draft-ietf-acme-dns-persist)."""

    HTTP = "http-01"
    DNS = "dns-01"
    DNS_PERSIST = "dns-persist-01"


class OrderState(StrEnum):
    """Last completed step of an order. The last three states are final."""

    CREATED = "created"
    ORDERED = "ordered"
    PLACED = "placed"
    VALIDATED = "validated"
    FINALISED = "finalised"
    DOWNLOADED = "downloaded"
    TAKEN_OVER = "taken_over"
    SERVED = "served"
    TESTED = "tested"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether the order has ended."""
        return self in OVER


OVER: Final = frozenset({OrderState.SERVED, OrderState.TESTED, OrderState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """Account at a CA.

    `url` is "" until it is registered. `trusted_cas` verify the directory's certificate, "" for the built-in
    list. `binding_id` identifies the owner's external account (RFC 8555 7.3.4), "" for none. `staging_url` is
    the directory for test orders, "" for none.
    """

    id: AccountId
    name: str
    directory_url: str
    staging_url: str
    trusted_cas: str
    contact: tuple[str, ...]
    binding_id: str
    url: str
    terms_agreed: bool
    created_s: float
    deactivated_s: float | None = None

    @property
    def is_deactivated(self) -> bool:
        """Whether it was deactivated at its CA, so that it can order nothing."""
        return self.deactivated_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Terms of an order: account, challenge, names and key.

    Empty values mean the certificate's own names and the CA's defaults. `preferred_chain` is the Common Name
    of the root that the chain should end at. `keeps_key` reuses the certificate's key instead of making a new
    one of kind `key`.
    """

    account_id: AccountId
    challenge: ChallengeKind
    profile: str = ""
    preferred_chain: str = ""
    key: KeyKind = KeyKind.ECDSAP256
    keeps_key: bool = False
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Latest failure, in words.

    `detail` is the CA's own text and `type` its error type ("" if it is not the CA's).

    `is_signed`: the CA had signed, and counts, the certificate that was refused here. `leaf` is the
    certificate to renew, None if there was none.
    """

    at_s: float
    message: str
    type: str = ""
    detail: str = ""
    is_signed: bool = False
    leaf: Fingerprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Proof that a CA requires for one name (without "*.").

    `authorization_url` and `challenge_url` are the CA's; `response` is shown for `token`. For HTTP-01 it is
    the file's content, for DNS the text of the TXT record. DNS-PERSIST-01 has no token.
    """

    name: str
    authorization_url: str
    challenge_url: str
    token: str
    response: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftProof:
    """A proof whose removal has failed since `since_s`, with the last reason.

    After `tries` it is retried at `retry_at_s`.
    """

    challenge: ChallengeKind
    proof: Proof
    since_s: float
    tries: int
    retry_at_s: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRecord:
    """A certificate's renewal: by an order with `terms`, or else by a request that a user sends to the CA.

    `certificate_id` is None while it `is_new`: the first order's certificate goes to `nodes` in `slot`, and
    replaces only the certificates `takes_from` and temporary ones. `takes_leaves` are their fingerprints at
    that time, empty if only their numbers were stored. `window` is the CA's last suggestion for the
    certificate `window_of`, `window_why` its explanation; it applies from `window_from_s` on, and `poll_at_s`
    is when to ask again. After `failures` in a row the next try is at `retry_at_s`. `request_id` is the open
    request, `send_to` its recipient in words. `is_stopped`: its account was deactivated, so nothing can be
    ordered; set only when read. `is_placed`: a node had a certificate of this renewal, or all nodes that were
    to get it are removed. `left` are proofs whose removal failed. `follows_at_once`: the next order does not
    wait for its time, since the terms changed during an order, or the cause of an early failure was fixed.
    `kept_until_s` is set for removed renewals, whose orders are kept until then; the store returns none of
    these.
    """

    id: RenewalId
    certificate_id: CertificateId | None
    terms: Terms | None
    nodes: tuple[NodeName, ...] = ()
    slot: Slot = "server"
    takes_from: tuple[CertificateId, ...] = ()
    takes_leaves: tuple[Fingerprint, ...] = ()
    is_new: bool = False
    is_placed: bool = False
    is_paused: bool = False
    is_stopped: bool = False
    follows_at_once: bool = False
    send_to: str = ""
    window: Window | None = None
    window_of: Fingerprint | None = None
    window_why: str = ""
    window_from_s: float = 0.0
    poll_at_s: float = 0.0
    failures: int = 0
    retry_at_s: float = 0.0
    problem: Problem | None = None
    request_id: CsrId | None = None
    left: tuple[LeftProof, ...] = ()
    kept_until_s: float | None = None
    created_s: float
    changed_s: float

    @property
    def is_over(self) -> bool:
        """Whether the renewal has ended: its certificate is gone, or it was removed.

        It is kept until its order has ended.
        """
        return self.certificate_id is None and not self.is_new


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step or event of an order, in words; after a failure (`is_failure`) the order may continue."""

    at_s: float
    state: OrderState
    message: str = ""
    is_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One attempt to get a certificate.

    `url`, `finalize_url` and `certificate_url` are the CA's, "" until known; `proofs` are those it requires.
    `request_pem` is signed by the stored key. `answer_text` is the download, `answer_id` the certificate made
    from it. `recheck_at_s` is when to ask again about a pending decision. `replaces` is the predecessor's
    identifier for the CA (RFC 9773 5), `replaces_leaf` its fingerprint, None without one. `placing_s` is
    since when proofs are being placed, else None. `is_answered`: the CA was told to validate.
    """

    id: OrderId
    renewal_id: RenewalId
    is_test: bool
    state: OrderState
    names: tuple[str, ...]
    terms: Terms
    replaces: str
    replaces_leaf: Fingerprint | None
    request_pem: str
    url: str = ""
    finalize_url: str = ""
    certificate_url: str = ""
    proofs: tuple[Proof, ...] = ()
    placing_s: float | None = None
    is_answered: bool = False
    answer_text: str = field(default="", repr=False)
    answer_id: CertificateId | None = None
    recheck_at_s: float = 0.0
    steps: tuple[Step, ...] = ()
    problem: Problem | None = None
    created_s: float
    changed_s: float

    @property
    def waits_for(self) -> str:
        """Reason why a running order waits, in words, "" for none. Failures are separate steps."""
        if self.problem is None or self.state.is_over:
            return ""
        last = self.steps[-1] if self.steps else None
        is_told = last is not None and last.is_failure and last.message == self.problem.message
        return "" if is_told else self.problem.message

    @property
    def failed_in_a_row(self) -> int:
        """Number of failures since the last successful step."""
        return len(list(takewhile(lambda each: each.is_failure, reversed(self.steps))))

    @property
    def rests(self) -> bool:
        """Whether nothing was done since the last failure."""
        return self.failed_in_a_row > 0 and self.steps[-1].at_s == self.changed_s

    def reached_s(self, state: OrderState) -> float:
        """Return when the order last reached a state; when it was made, if it never did."""
        return next((each.at_s for each in reversed(self.steps) if each.state is state), self.created_s)
