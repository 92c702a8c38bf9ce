"""OAuth token endpoint `/oauth/token/`: access tokens for signed client assertions (RFC 6749 4.4, RFC 7523).

Decides how such a request is read and refused (RFC 6749 5.2). Leaves the proof to the use cases.
"""

from typing import Final
from urllib.parse import parse_qsl

import msgspec
import structlog
from aiohttp import web

from common.errors import (
    AccessError,
    CertcastError,
    InvalidInputError,
    OverloadedError,
    Reason,
    ThrottledError,
)
from common.source import source_of
from manager.domain.assertion import TOKEN_PATH
from manager.http.authentication import Api, check_origin
from manager.http.bodies import BodySender
from manager.http.errors import is_own_failure, status_of
from manager.http.middleware import add_route, read_bytes
from manager.usecases.clients import ACCESS_S

log = structlog.get_logger(__name__)

FORM: Final = "application/x-www-form-urlencoded"
FORM_MAX_BYTES: Final = 32 * 1024
FIELDS_MAX: Final = 20
GRANT: Final = "client_credentials"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    """An access token, to be sent as `Authorization: Bearer ...` until it expires."""

    access_token: str
    expires_in: int
    token_type: str


class OAuthFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal: a code of RFC 6749 5.2, and a sentence for people."""

    error: str
    error_description: str


class _FormError(Exception):
    """A form that is not a valid token request."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def add_oauth(app: web.Application, api: Api) -> None:
    """Serve the token endpoint."""

    async def serve(request: web.Request) -> web.Response:
        try:
            check_origin(request)
            assertion = _assertion(await _form(request))
            token = await api.use_cases.clients.new_token(assertion, address=request.remote or "")
        except _FormError as error:
            return _refuse(400, error.code, error.text)
        except CertcastError as error:
            status = status_of(error)
            if is_own_failure(error):
                log.error(
                    "http.request_failed", path=request.path, reason=error.reason, message=error.message
                )
            answer = _refuse(status, _code(error, status), error.message)
            if isinstance(error, OverloadedError | ThrottledError):
                answer.headers["Retry-After"] = f"{error.retry_after_s:.0f}"
            return answer
        granted = AccessToken(access_token=token, expires_in=int(ACCESS_S), token_type="Bearer")  # noqa: S106 - a kind
        return _json(200, granted)

    add_route(app, "POST", TOKEN_PATH, serve)


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != FORM:
        raise _FormError("invalid_request", f"the body must be a form ({FORM})")
    sender = BodySender(owner=source_of(request.remote or ""), most=FORM_MAX_BYTES, is_stranger=True)
    data = await read_bytes(request, sender)
    try:
        pairs = parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError as error:
        raise _FormError("invalid_request", "the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _FormError("invalid_request", "parameter given twice")
    return fields


def _assertion(fields: dict[str, str]) -> str:
    if fields.get("grant_type") != GRANT:
        raise _FormError("unsupported_grant_type", f"grant_type must be {GRANT}")
    if fields.get("client_assertion_type") != ASSERTION_TYPE or not fields.get("client_assertion"):
        raise _FormError(
            "invalid_request",
            f"client_assertion must be a signed JSON Web Token, and client_assertion_type {ASSERTION_TYPE}",
        )
    return fields["client_assertion"]


def _code(error: CertcastError, status: int) -> str:
    match error:
        case AccessError(reason=Reason.UNAUTHENTICATED):
            return "invalid_client"
        case AccessError(reason=Reason.BUSY) | OverloadedError():
            return "slow_down"
        case InvalidInputError():
            return "invalid_request"
        case _:
            return "server_error" if status >= 500 else "invalid_request"


def _refuse(status: int, code: str, text: str) -> web.Response:
    return _json(status, OAuthFailure(error=code, error_description=text))


def _json(status: int, value: object) -> web.Response:
    # RFC 6749 5.1: no intermediary may cache a token
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return web.Response(
        status=status, body=msgspec.json.encode(value), content_type="application/json", headers=headers
    )
