"""The nouns of renewal, as the store hands them out: accounts at CAs, what a certificate is renewed with, and orders.

Times are unix seconds. Invariant: no record here carries a private key or the secret of a binding.
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
"""The number of an account at a CA in the store, never given twice."""

RenewalId = NewType("RenewalId", int)
"""The number of a renewal in the store, never given twice."""

OrderId = NewType("OrderId", int)
"""The number of an order in the store, never given twice."""


class ChallengeKind(StrEnum):
    """How a CA is shown that a name is ours; the values are the field's own (RFC 8555 8, draft-ietf-acme-dns-persist)."""

    HTTP = "http-01"
    DNS = "dns-01"
    DNS_PERSIST = "dns-persist-01"


class OrderState(StrEnum):
    """How far an order has come: the last step that is kept. The last three are the end of it."""

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
        """Whether nothing follows."""
        return self in OVER


OVER: Final = frozenset({OrderState.SERVED, OrderState.TESTED, OrderState.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecord:
    """An account at a CA. `url` is "" until the CA has it; `trusted_cas` are the CAs that vouch for its directory, "" for the built-in ones.

    `binding_id` names the binding to an account that its owner has there otherwise (RFC 8555 7.3.4), "" for none.
    `staging_url` is the directory of the CA that orders are tried at, "" where there is none.
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
        """Whether it was ended at its CA, so that nothing can be ordered with it any more."""
        return self.deactivated_s is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is ordered: at which account, proven how, for which names ("" and empty: as the certificate has them, as the CA has it by default).

    `preferred_chain` is the Common Name of the root that the chain is to end at. `keeps_key`: the certificate's own key again in place of a new one
    of `key`.
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
    """What was wrong last, in words; `detail` is the CA's own, `type` its code ("" where it is not the CA's).

    `is_signed`: the CA had signed what was refused here, and counts it. `leaf` is the certificate that was to be renewed, None of one that was not there.
    """

    at_s: float
    message: str
    type: str = ""
    detail: str = ""
    is_signed: bool = False
    leaf: Fingerprint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a CA wants to see for one name (without "*."). `authorization_url` and `challenge_url` are the CA's; `response` is what is to be shown for `token`.

    For HTTP-01 the response is what stands in the file, for DNS the text of the TXT record; DNS-PERSIST-01 has no token.
    """

    name: str
    authorization_url: str
    challenge_url: str
    token: str
    response: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftProof:
    """A proof that could not be taken away since `since_s`, and why not the last time. After so many `tries` that is tried again at `retry_at_s`."""

    challenge: ChallengeKind
    proof: Proof
    since_s: float
    tries: int
    retry_at_s: float
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalRecord:
    """How a certificate is renewed: by an order with `terms`, or, without them, by a request that somebody sends to its CA.

    `certificate_id` is None while it `is_new`: until the first order has brought one, which `nodes` then get in `slot`, from `takes_from` and from no
    other certificate that is not a temporary one. `takes_leaves` are the fingerprints that these had then, empty where only their numbers were kept. `window` is what the CA
    suggested last for the certificate `window_of`, `window_why` where it explains that; it counts from `window_from_s` on. `poll_at_s` is when to ask again. After `failures` in a row
    it is tried again at `retry_at_s`. `request_id` is the request that was opened and not answered yet, `send_to` who is to get it, in words.
    `is_stopped`: its account was deactivated, so that nothing can be ordered, which only reading it tells.
    `is_placed`: a certificate that it has brought came to a node, or was to come to some that are all removed. `left` is what was shown for orders and could not be taken away.
    `follows_at_once`: the terms were changed while an order was under way, or what an order before its time has failed with was mended, so that the next one does not wait for its time. `kept_until_s` is None but of one that is gone, of
    which orders are kept until then; the store hands none of these out.
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
        """Whether nothing is renewed any more: its certificate is gone, or it was removed. It stays until its order has ended."""
        return self.certificate_id is None and not self.is_new


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An order came so far, or what happened there, in words; `is_failure` where that was a failure, after which it may go on."""

    at_s: float
    state: OrderState
    message: str = ""
    is_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """One attempt. `url`, `finalize_url` and `certificate_url` are the CA's, "" until it told them; `proofs` what it wants to see.

    `request_pem` is signed by the key that the store has; `answer_text` is what was downloaded, `answer_id` the certificate that it became.
    `recheck_at_s` is when to look again at what the CA has not decided yet. `replaces` is the predecessor's identifier for the CA (RFC 9773 5),
    `replaces_leaf` its fingerprint, None of an order without one. `placing_s` is since when proofs are put where they are asked for, None while they are
    not; `is_answered` says that the CA was let look at them.
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
        """What an order that goes on waits for, in words, "" for nothing: a failure is a step of its own."""
        if self.problem is None or self.state.is_over:
            return ""
        last = self.steps[-1] if self.steps else None
        is_told = last is not None and last.is_failure and last.message == self.problem.message
        return "" if is_told else self.problem.message

    @property
    def failed_in_a_row(self) -> int:
        """How often it has failed since its last step that was none."""
        return len(list(takewhile(lambda each: each.is_failure, reversed(self.steps))))

    @property
    def rests(self) -> bool:
        """Whether nothing was done for it since it failed last."""
        return self.failed_in_a_row > 0 and self.steps[-1].at_s == self.changed_s

    def reached_s(self, state: OrderState) -> float:
        """Return when it came so far last; when it was made, if it did not."""
        return next((each.at_s for each in reversed(self.steps) if each.state is state), self.created_s)
