"""Stored form of renewals and orders: the fields that no query filters on, as JSON.

Does no I/O: it converts rows that were read and values to be written. Invariant: this version reads what it
wrote unchanged, and refuses a version that it does not know.
"""

from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct, convert
from msgspec.structs import asdict, replace
from sqlalchemy import Row

from common.codes import KeyKind, Slot
from common.errors import StorageError
from manager.domain.renewal.records import ChallengeKind, OrderRecord, OrderState, RenewalRecord

VERSION: Final = 1

RENEWALS_KEPT: Final = 4_000
"""How many decoded renewals are remembered, outdated ones among them."""

_FIELDS: Final = {"asked_again_s": "poll_at_s", "tried_again_s": "retry_at_s"}
"""Columns whose names differ from their fields'."""

_Record = TypeVar("_Record", RenewalRecord, OrderRecord)


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
    is_signed: bool = False
    leaf: str | None = None


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
    is_failure: bool = False


class StoredLeftProof(Struct, frozen=True, kw_only=True):
    challenge: ChallengeKind
    proof: StoredProof
    since_s: float
    tries: int
    retry_at_s: float
    message: str


class StoredRenewal(Struct, frozen=True, kw_only=True):
    version: int = 0
    terms: StoredTerms | None
    nodes: tuple[str, ...]
    slot: Slot
    takes_from: tuple[int, ...] = ()
    takes_leaves: tuple[str, ...] = ()
    is_placed: bool = False
    send_to: str
    window: StoredWindow | None
    window_of: str | None
    window_why: str
    window_from_s: float = 0.0
    problem: StoredProblem | None
    follows_at_once: bool = False
    left: tuple[StoredLeftProof, ...] = ()
    kept_until_s: float | None = None


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
    recheck_at_s: float = msgspec.field(name="looked_again_s")
    steps: tuple[StoredStep, ...]
    problem: StoredProblem | None


_RENEWALS: Final = msgspec.json.Decoder(StoredRenewal)
_ORDERS: Final = msgspec.json.Decoder(StoredOrder)


def renewal_values(record: RenewalRecord) -> dict[str, Any]:
    """Return the columns of a renewal, except its number."""
    stored = replace(convert(record, StoredRenewal, from_attributes=True), version=VERSION)
    return {
        "certificate_id": record.certificate_id,
        "account_id": None if record.terms is None else record.terms.account_id,
        "request_id": record.request_id,
        "is_new": record.is_new,
        "is_paused": record.is_paused,
        "asked_again_s": record.poll_at_s,
        "failures": record.failures,
        "tried_again_s": record.retry_at_s,
        "body": msgspec.json.encode(stored).decode(),
        "created_s": record.created_s,
        "changed_s": record.changed_s,
    }


@lru_cache(maxsize=RENEWALS_KEPT)
def renewal_of(row: Row[Any]) -> RenewalRecord:
    """Return a row's record, remembered: all are read again every few seconds, and hardly any changed.

    Raises StorageError for an unknown version.
    """
    stored = _RENEWALS.decode(row.body)
    _check(stored.version, "a renewal")
    return _told(row, stored, RenewalRecord)


def order_values(record: OrderRecord) -> dict[str, Any]:
    """Return the columns of an order, except its number and its key."""
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
    """Return a row's record. Raises StorageError for an unknown version."""
    stored = _ORDERS.decode(row.body)
    _check(stored.version, "an order")
    return _told(row, stored, OrderRecord)


def _told(row: Row[Any], stored: StoredRenewal | StoredOrder, kind: type[_Record]) -> _Record:
    """Return the record that the columns and the stored form add up to."""
    # SQLAlchemy's names of columns are a kind of text that msgspec does not take for one
    columns = {_FIELDS.get(name, str(name)): value for name, value in row._mapping.items()}  # noqa: SLF001 - its documented name
    return convert({**columns, **asdict(stored)}, kind, from_attributes=True)


def _check(version: int, what: str) -> None:
    if version != VERSION:
        raise StorageError(f"the store has {what} in version {version}, which this manager does not read")
