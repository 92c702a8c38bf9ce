"""The management API as an application: from a request to what is asked, and from an answer to a response.

Decides who may ask (the roles and checks of `manager.api.routes`), and how a body is read. Leaves what is done to the handlers.
"""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
import structlog
from aiohttp import web

from common.errors import AccessError, CertcastError, Reason
from manager.api.management.handlers import Ask, Handlers
from manager.api.routes import (
    Api,
    allows,
    authenticate,
    check_origin,
    read_bytes,
)
from manager.domain.model import Role
from manager.management.description import ROOT
from manager.management.errors import (
    INTERNAL,
    JSON,
    NOT_FOUND,
    Answer,
    RefusedError,
    unsuited,
    unsupported_media_type,
)
from manager.management.index import Part, Target, find
from manager.management.refusals import answer_to

log = structlog.get_logger(__name__)

PREFIXES: Final = (ROOT, f"/{ROOT}")
"""Where it is mounted: one client begins its paths with two slashes."""

_READS: Final = frozenset({"GET", "HEAD"})
_BODIES: Final = frozenset({"POST", "PATCH", "PUT"})


def add_management_api(app: web.Application, api: Api) -> None:
    """Serve the management API below each of `PREFIXES` of an application whose `client_max_size` is BODY_MAX_BYTES."""
    shell = _Shell(api)
    for prefix in PREFIXES:
        below = web.Application()
        below.router.add_route("*", "/{path:.*}", shell.serve)
        app.add_subapp(prefix, below)


class _Shell:
    """Serves every request."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._handlers = Handlers(api)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        target = find(request.path)
        resource = target.resource if target is not None else None
        try:
            answer = await self._answer(request, target)
        except CertcastError as error:
            answer = answer_to(error, resource)
            if answer.status >= 500:
                log.error(
                    "request.failed",
                    method=request.method,
                    path=request.path,
                    reason=error.reason,
                    message=error.message,
                )
        except web.HTTPException:
            raise
        except Exception:
            log.exception("request.failed", method=request.method, path=request.path)
            answer = INTERNAL
        if answer.chunks is not None:
            return await _stream(request, answer, answer.chunks)
        return _response(answer)

    async def _answer(self, request: web.Request, target: Target | None) -> Answer:
        check_origin(request)
        user = await authenticate(request, self._api.operations)
        if target is None:
            return NOT_FOUND
        reads = request.method in _READS
        role = Role.READ_ONLY if reads else Role.ADMINISTRATOR
        if not allows(user, role):
            raise AccessError(
                f"this needs the role {role}; user '{user.name}' is {user.role}", reason=Reason.FORBIDDEN
            )
        body = None
        if request.method in _BODIES and _takes_body(target, request.method):
            kind = request.headers.get("Content-Type")
            if kind is not None and request.content_type not in {JSON, "text/json"}:
                return unsupported_media_type(kind)
            body = _decoded(await read_bytes(request))
        parameters = [(_clean(name), _clean(text)) for name, text in request.query.items()]
        return await self._handlers.answer(
            Ask(
                method=request.method,
                target=target,
                parameters=parameters,
                body=body,
                actor=user.name,
            )
        )


def _takes_body(target: Target, method: str) -> bool:
    """Return whether the body of such a request is looked at: one that is refused anyway is not waited for."""
    if target.resource is None or target.part in {Part.SCHEMA, Part.SET}:
        return False
    return unsuited(target.resource, method, to_one=target.part is Part.OBJECT) is None


def _decoded(data: bytes) -> object:
    """Decode JSON. Raises RefusedError, which quotes nothing: what was sent may be a key."""
    if not data.strip():
        raise RefusedError("The body is empty; send a JSON object.")
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("The body is not valid JSON.") from error


def _clean(text: str) -> str:
    """Replace what is no text: bytes of a query that are not UTF-8."""
    return text.encode(errors="replace").decode()


def _response(answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body or None, headers=answer.headers)
    if answer.body:
        response.content_type = JSON
    response.headers.setdefault("Cache-Control", "no-store")
    return response


async def _stream(request: web.Request, answer: Answer, chunks: AsyncIterator[bytes]) -> web.StreamResponse:
    """Send an answer piece by piece. One that cannot be finished is cut off, which every client notices."""
    response = web.StreamResponse(
        status=answer.status, headers={**answer.headers, "Cache-Control": "no-store"}
    )
    response.content_type = JSON
    if request.method == "HEAD":
        return response
    try:
        # before the headers, so that what fails at once has a status of its own
        first = await anext(chunks)
        await response.prepare(request)
        await response.write(first)
        async for chunk in chunks:
            await response.write(chunk)
    except CertcastError as error:
        if not response.prepared:
            return _response(answer_to(error, None))
        log.error(
            "request.failed",
            method=request.method,
            path=request.path,
            reason=error.reason,
            message=error.message,
        )
        if request.transport is not None:
            request.transport.abort()
        return response
    await response.write_eof()
    return response
