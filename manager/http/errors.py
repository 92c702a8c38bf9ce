"""Error answers: one shape, a status per kind, every finding with its place.

{"error": {"reason": "...", "message": "...", "field": "...", "findings": [{"message", "file", "block",
"line"}]}}

If a change needs a confirmation, also "confirmation": {"token", "consequences": [...]}.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from aiohttp import hdrs, web

from common.api.errors import Confirmation, ConsequenceAnswer, FailureAnswer, FailureDetail, FailureFinding
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
from manager.domain.consequences import ConfirmationNeededError, Consequence
from manager.pki.read.findings import PkiFindingsError
from manager.usecases.renewal.ports import CaError

_ACCESS: Final = {Reason.FORBIDDEN: 403, Reason.PASSWORD_REQUIRED: 403, Reason.BUSY: 429}
_BY_REASON: Final = {Reason.BUSY: 503, Reason.TIMEOUT: 503, Reason.TOO_BIG: 413, Reason.UNSUPPORTED: 415}


_HEADERS: Final = {
    401: {"WWW-Authenticate": 'Basic realm="Certcast", charset="UTF-8"'},
}


def status_of(error: CertcastError) -> int:
    """Return the HTTP status of a failure."""
    match error:
        case PkiFindingsError() | PkiError() | InvalidInputError():
            return 413 if error.reason is Reason.TOO_BIG else 400
        case OverloadedError():
            return 429 if error.own else 503
        case AccessError():
            return _ACCESS.get(error.reason, 401)
        case NotFoundError():
            return 404
        case ConflictError():
            return 409
        case CaError():
            return 502
        case StorageError():
            return 507 if error.reason is Reason.NO_SPACE else 503
        case _:
            return _BY_REASON.get(error.reason, 500)


def is_own_failure(error: CertcastError) -> bool:
    """Whether the manager itself failed, so that it must be logged.

    An overload or a CA's refusal is not the manager's failure.
    """
    return status_of(error) >= 500 and not isinstance(error, OverloadedError | CaError)


def answer(error: CertcastError) -> web.Response:
    """Return the answer to a failure."""
    failure = FailureDetail(
        reason=error.reason,
        message=error.message,
        field=error.field if isinstance(error, InvalidInputError) else "",
        hint=error.hint or msgspec.UNSET,
        findings=_findings(error),
        confirmation=_confirmation(error),
    )
    response = failure_response(status_of(error), failure)
    if isinstance(error, OverloadedError | ThrottledError | CaError) and error.retry_after_s is not None:
        response.headers[hdrs.RETRY_AFTER] = f"{error.retry_after_s:.0f}"
    return response


def failure_response(status: int, failure: FailureDetail) -> web.Response:
    """Return an answer with this status and failure."""
    headers = _HEADERS.get(status)
    return web.Response(
        status=status,
        body=msgspec.json.encode(FailureAnswer(error=failure)),
        content_type="application/json",
        headers=headers,
    )


def consequence_answers(found: Iterable[Consequence]) -> list[ConsequenceAnswer]:
    """Return the consequences of a change as answers."""
    return [
        ConsequenceAnswer(
            code=each.code, message=each.message, severity=each.severity, asks=each.asks, nodes=each.nodes
        )
        for each in found
    ]


def _confirmation(error: CertcastError) -> Confirmation | msgspec.UnsetType:
    if not isinstance(error, ConfirmationNeededError):
        return msgspec.UNSET
    return Confirmation(token=error.token, consequences=consequence_answers(error.consequences))


def _findings(error: CertcastError) -> list[FailureFinding]:
    found = error.findings if isinstance(error, PkiFindingsError) else ()
    return [
        FailureFinding(message=each.message, file=each.file, block=each.block, line=each.line)
        for each in found
    ]
