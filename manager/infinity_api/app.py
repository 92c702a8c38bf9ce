"""Management API application: parses requests, calls the handlers, and writes responses.

Decides who may ask (the roles; `manager.http.authentication` has the order of checks), and how a body is
read. Leaves the work to the handlers.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Final

import structlog
from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError, OverloadedError
from common.schema import UNDECODABLE
from manager.domain.callers import Caller, check_allowed, check_password_given
from manager.http.authentication import Api, ServingTerms, identify, serve_admitted
from manager.http.bodies import decode_json, sender_of
from manager.http.failures import log_failure
from manager.http.middleware import add_route, heavy_turn, read_bytes
from manager.http.pieces import guard_stream, send
from manager.infinity_api.contract.description import ROOT
from manager.infinity_api.contract.errors import (
    INTERNAL,
    JSON,
    NOT_FOUND,
    InvalidRequestError,
    Reply,
    check_method,
    unsupported_media_type,
)
from manager.infinity_api.contract.index import Part, Target, find
from manager.infinity_api.contract.refusals import answer_to
from manager.infinity_api.handlers import ApiRequest, Handlers, is_heavy

log = structlog.get_logger(__name__)

PREFIXES: Final = (ROOT, f"/{ROOT}")
"""The prefixes it is mounted at: one client begins its paths with two slashes."""

_UNCACHED: Final[Mapping[str, str]] = MappingProxyType({"Cache-Control": "no-store"})
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BODIES: Final = frozenset({"POST", "PATCH", "PUT"})
_OVERRIDE: Final = "X-HTTP-Method-Override"
_INSTEAD_OF_POST: Final = frozenset({"PATCH", "PUT", "DELETE"})
"""The methods a POST may stand for: clients behind proxies that allow no others name one in a header, as the
framework permits.
"""


def add_management_api(app: web.Application, api: Api) -> None:
    """Serve the management API below each of `PREFIXES` of `manager.http.middleware.new_application`."""
    shell = _Shell(api)
    for prefix in PREFIXES:
        below = web.Application()
        add_route(below, "*", "/{path:.*}", shell.serve)
        app.add_subapp(prefix, below)


class _Shell:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._handlers = Handlers(api)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        target = find(request.path)
        resource = target.resource if target is not None else None
        try:
            caller = await identify(request, self._api.use_cases)
            answer = await self._answer(request, target, caller)
            if answer.chunks is not None:
                turn = partial(heavy_turn, request, caller.user.name)
                return await send(request, answer.chunks, status=answer.status, headers=_UNCACHED, turn=turn)
        except CertcastError as error:
            answer = answer_to(error, resource)
            if answer.status >= 500 and not isinstance(error, OverloadedError):
                log_failure(error, method=request.method, path=request.path)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("http.request_failed", method=request.method, path=request.path)
            answer = INTERNAL
        return _response(answer)

    async def _answer(self, request: web.Request, target: Target | None, caller: Caller) -> Reply:
        if target is None:
            return NOT_FOUND
        method = _effective_method(request)
        reads = method in _READS
        role = Role.READ_ONLY if reads else Role.ADMINISTRATOR
        check_allowed(caller, role)
        if target.resource is not None and target.resource.gives_access and method in _BODIES:
            check_password_given(caller)
        rights = self._api.use_cases.callers.rights(
            caller, role, provisions=not reads and caller.may_provision
        )
        takes_body = method in _BODIES and _takes_body(target, method)
        kind = request.headers.get("Content-Type")
        if takes_body and kind is not None and request.content_type not in {JSON, "text/json"}:
            return unsupported_media_type(kind)

        async def read() -> object:
            if not takes_body:
                return None
            return await _decoded(await read_bytes(request, sender_of(caller.user.name, caller.user.role)))

        parameters = [(_clean(name), _clean(text)) for name, text in request.query.items()]

        def request_with(body: object) -> ApiRequest:
            return ApiRequest(method=method, target=target, parameters=parameters, body=body, caller=caller)

        answer = await serve_admitted(
            request,
            ServingTerms(user=caller.user.name, rights=rights, recheck=rights.check, takes_turn=True),
            read=read,
            is_heavy=lambda body: is_heavy(request_with(body)),
            handle=lambda body: self._handlers.answer(request_with(body)),
        )
        if answer.chunks is None:
            return answer
        return replace(answer, chunks=guard_stream(answer.chunks, rights.check))


def _effective_method(request: web.Request) -> str:
    """Return the method that a request stands for.

    Only what changes something can stand for another change.
    """
    override = request.headers.get(_OVERRIDE, "").strip().upper()
    return override if request.method == "POST" and override in _INSTEAD_OF_POST else request.method


def _takes_body(target: Target, method: str) -> bool:
    """Return whether to read this request's body: a refused request does not wait for one."""
    if target.resource is None or target.part in {Part.SCHEMA, Part.SET}:
        return False
    return check_method(target.resource, method, to_one=target.part is Part.OBJECT) is None


async def _decoded(data: bytearray) -> object:
    """Decode JSON. Raises InvalidRequestError, which quotes nothing: the body may contain a key."""
    if not data.strip():
        raise InvalidRequestError("The body is empty; send a JSON object.")
    try:
        return await decode_json(data, object)
    except UNDECODABLE as error:
        raise InvalidRequestError("The body is not valid JSON.") from error


def _clean(text: str) -> str:
    """Replace invalid text: query bytes that are not UTF-8."""
    return text.encode(errors="replace").decode()


def _response(answer: Reply) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)
    if answer.body:
        response.content_type = JSON
    for name, text in _UNCACHED.items():
        response.headers.setdefault(name, text)
    return response
