"""Refusals: errors from inside, as a client of the management API is told them.

Decides status and shape for every error of ours (the contract's section 2.3). Invariant: 5xx and 429 mean that nothing was done.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from common.errors import (
    AccessError,
    CertcastError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    OverloadedError,
    PkiError,
    Reason,
    StorageError,
    ThrottledError,
)
from manager.infinity_api.contract.description import Resource
from manager.infinity_api.contract.errors import (
    INTERNAL,
    NOT_FOUND,
    UNAUTHENTICATED,
    WHOLE,
    InvalidRequestError,
    NoObjectError,
    Reply,
    ValuesError,
    forbidden,
    overloaded,
    throttled,
)
from manager.pki.read.findings import PkiFindingsError
from manager.pki.read.upload import CERTIFICATE_FIELD, KEY_FIELD, PARAMETERS_FIELD

_PLACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        CERTIFICATE_FIELD: "certificate",
        KEY_FIELD: "private_key",
        PARAMETERS_FIELD: "parameters",
        # what the operations call it, and what the contract does
        "names": "hostname",
        "addresses": "address",
        "subject": "dn",
        "subject_alt_names": "additional_subject_alt_names",
    }
)
_STATUS: Final[Mapping[Reason, int]] = MappingProxyType(
    {Reason.BUSY: 503, Reason.TIMEOUT: 503, Reason.TOO_BIG: 413, Reason.UNSUPPORTED: 415}
)


def answer_to(error: CertcastError, resource: Resource | None) -> Reply:
    """Return the answer to an error that a request for this resource met; None: for none in particular."""
    match error:
        case InvalidRequestError():
            return error.answer
        case NoObjectError() | NotFoundError():
            return NOT_FOUND
        case ThrottledError():
            return throttled(error.retry_after_s)
        case AccessError():
            return _access(error)
        case OverloadedError():
            return overloaded(error.message, round(error.retry_after_s), own=error.own)
        case StorageError():
            return _say(507 if error.reason is Reason.NO_SPACE else 503, error.message)
        case InvalidInputError() if error.reason is Reason.TOO_BIG and not error.field:
            return _say(413, error.message)
        case PkiFindingsError() | PkiError() | InvalidInputError() | ConflictError():
            if resource is None or resource.is_command:
                return InvalidRequestError(error.message).answer
            return ValuesError(resource.name, _findings(error, resource)).answer
        case _:
            status = _STATUS.get(error.reason)
            return INTERNAL if status is None else _say(status, error.message)


def _access(error: AccessError) -> Reply:
    match error.reason:
        case Reason.FORBIDDEN | Reason.PASSWORD_REQUIRED:
            return forbidden(error.message)
        case _:
            return UNAUTHENTICATED


def _findings(
    error: PkiFindingsError | PkiError | InvalidInputError | ConflictError, resource: Resource
) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    match error:
        case PkiFindingsError():
            for each in error.findings:
                found.setdefault(_place(each.file or "", resource), []).append(_located(each))
        case PkiError():
            found[_place(error.file or "", resource)] = [_located(error)]
        case InvalidInputError():
            found[_place(error.field, resource)] = [error.message]
        case ConflictError():
            found[WHOLE] = [error.message]
    return found


def _place(named: str, resource: Resource) -> str:
    field = _PLACES.get(named, named)
    return field if field in resource.by_name else WHOLE


def _located(finding: PkiError) -> str:
    parts = [
        f"{word} {number}" for word, number in (("block", finding.block), ("line", finding.line)) if number
    ]
    return f"{', '.join(parts)}: {finding.message}" if parts else finding.message


def _say(status: int, text: str) -> Reply:
    return Reply(status, msgspec.json.encode({"error": text}))
