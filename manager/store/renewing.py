"""Stored form of renewals and orders: what of them nothing is looked for by, as JSON.

Pure. Invariant: what this version wrote it reads again as it was, and a version that it does not know is refused.
"""

from typing import Any, Final

import msgspec
from msgspec import Struct, convert
from msgspec.structs import replace
from sqlalchemy import Row

from common.codes import KeyKind, Slot
from common.errors import StorageError
from common.ids import CertificateId, Fingerprint, NodeName, RequestId
from manager.domain.renewal.moments import Window
from manager.domain.renewal.records import (
    AccountId,
    ChallengeKind,
    OrderId,
    OrderRecord,
    OrderState,
    Problem,
    Proof,
    RenewalId,
    RenewalRecord,
    Step,
    Terms,
)

VERSION: Final = 1


class StoredTerms(Struct, frozen=True, kw_only=True):
    account_id: int
    challenge: ChallengeKind
    profile: str
    preferred_chain: str
    key: KeyKind
    keeps_key: bool
    names: tuple[str, ...]


class StoredWindow(Struct, frozen=True, kw_only=True):
    start_s: float
    end_s: float


class StoredProblem(Struct, frozen=True, kw_only=True):
    at_s: float
    message: str
    type: str
    detail: str


class StoredProof(Struct, frozen=True, kw_only=True):
    name: str
    authorization_url: str
    challenge_url: str
    token: str
    response: str


class StoredStep(Struct, frozen=True, kw_only=True):
    at_s: float
    state: OrderState
    message: str


class StoredRenewal(Struct, frozen=True, kw_only=True):
    version: int = 0
    terms: StoredTerms | None
    nodes: tuple[str, ...]
    slot: Slot
    send_to: str
    window: StoredWindow | None
    window_of: str | None
    window_why: str
    problem: StoredProblem | None


class StoredOrder(Struct, frozen=True, kw_only=True):
    version: int = 0
    names: tuple[str, ...]
    terms: StoredTerms
    replaces: str
    replaces_leaf: str | None
    request_pem: str
    url: str
    finalize_url: str
    certificate_url: str
    proofs: tuple[StoredProof, ...]
    placing_s: float | None
    is_answered: bool
    answer_text: str
    looked_again_s: float
    steps: tuple[StoredStep, ...]
    problem: StoredProblem | None


_RENEWALS: Final = msgspec.json.Decoder(StoredRenewal)
_ORDERS: Final = msgspec.json.Decoder(StoredOrder)


def renewal_values(record: RenewalRecord) -> dict[str, Any]:
    """Return the columns of a renewal, but its number."""
    stored = replace(convert(record, StoredRenewal, from_attributes=True), version=VERSION)
    return {
        "certificate_id": record.certificate_id,
        "account_id": None if record.terms is None else record.terms.account_id,
        "request_id": record.request_id,
        "is_new": record.is_new,
        "is_paused": record.is_paused,
        "asked_again_s": record.asked_again_s,
        "failures": record.failures,
        "tried_again_s": record.tried_again_s,
        "body": msgspec.json.encode(stored).decode(),
        "created_s": record.created_s,
        "changed_s": record.changed_s,
    }


def renewal_of(row: Row[Any]) -> RenewalRecord:
    """Return what a row tells. Raises StorageError for a version that is not known here."""
    stored = _RENEWALS.decode(row.body)
    _check(stored.version, "a renewal")
    return RenewalRecord(
        id=RenewalId(row.id),
        certificate_id=None if row.certificate_id is None else CertificateId(row.certificate_id),
        terms=None if stored.terms is None else _terms(stored.terms),
        nodes=tuple(NodeName(each) for each in stored.nodes),
        slot=stored.slot,
        is_new=row.is_new,
        is_paused=row.is_paused,
        send_to=stored.send_to,
        window=None if stored.window is None else convert(stored.window, Window, from_attributes=True),
        window_of=None if stored.window_of is None else Fingerprint(stored.window_of),
        window_why=stored.window_why,
        asked_again_s=row.asked_again_s,
        failures=row.failures,
        tried_again_s=row.tried_again_s,
        problem=None if stored.problem is None else convert(stored.problem, Problem, from_attributes=True),
        request_id=None if row.request_id is None else RequestId(row.request_id),
        created_s=row.created_s,
        changed_s=row.changed_s,
    )


def order_values(record: OrderRecord) -> dict[str, Any]:
    """Return the columns of an order, but its number and its key."""
    stored = replace(convert(record, StoredOrder, from_attributes=True), version=VERSION)
    return {
        "renewal_id": record.renewal_id,
        "unfinished_of": None if record.state.is_over else record.renewal_id,
        "is_test": record.is_test,
        "state": record.state.value,
        "answer_id": record.answer_id,
        "body": msgspec.json.encode(stored).decode(),
        "created_s": record.created_s,
        "changed_s": record.changed_s,
    }


def order_of(row: Row[Any]) -> OrderRecord:
    """Return what a row tells. Raises StorageError for a version that is not known here."""
    stored = _ORDERS.decode(row.body)
    _check(stored.version, "an order")
    return OrderRecord(
        id=OrderId(row.id),
        renewal_id=RenewalId(row.renewal_id),
        is_test=row.is_test,
        state=OrderState(row.state),
        names=stored.names,
        terms=_terms(stored.terms),
        replaces=stored.replaces,
        replaces_leaf=None if stored.replaces_leaf is None else Fingerprint(stored.replaces_leaf),
        request_pem=stored.request_pem,
        url=stored.url,
        finalize_url=stored.finalize_url,
        certificate_url=stored.certificate_url,
        proofs=tuple(convert(each, Proof, from_attributes=True) for each in stored.proofs),
        placing_s=stored.placing_s,
        is_answered=stored.is_answered,
        answer_text=stored.answer_text,
        answer_id=None if row.answer_id is None else CertificateId(row.answer_id),
        looked_again_s=stored.looked_again_s,
        steps=tuple(convert(each, Step, from_attributes=True) for each in stored.steps),
        problem=None if stored.problem is None else convert(stored.problem, Problem, from_attributes=True),
        created_s=row.created_s,
        changed_s=row.changed_s,
    )


def _terms(stored: StoredTerms) -> Terms:
    return Terms(
        account_id=AccountId(stored.account_id),
        challenge=stored.challenge,
        profile=stored.profile,
        preferred_chain=stored.preferred_chain,
        key=stored.key,
        keeps_key=stored.keeps_key,
        names=stored.names,
    )


def _check(version: int, what: str) -> None:
    if version != VERSION:
        raise StorageError(f"the store has {what} in version {version}, which this manager does not read")
