"""API application: every route of the tables, and every failure in one shape."""

from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler

from common.api.errors import FailureDetail
from common.errors import CertcastError, Reason
from manager.api import (
    accounts,
    alarms,
    audit,
    certificates,
    clients,
    csrs,
    fleet,
    generations,
    host_key,
    nodes,
    renewals,
    trust,
    users,
)
from manager.api.openapi import Json
from manager.api.reference import add_reference
from manager.api.routes import Route, call
from manager.http import errors
from manager.http.authentication import Api
from manager.http.failures import log_failure
from manager.http.middleware import add_route
from manager.http.streams import Streams

log = structlog.get_logger(__name__)

ROOT: Final = "/api/certcast/v1"
ROUTES: Final[tuple[Route, ...]] = (
    *certificates.ROUTES,
    *csrs.ROUTES,
    *renewals.ROUTES,
    *accounts.ROUTES,
    *trust.ROUTES,
    *alarms.ROUTES,
    *nodes.ROUTES,
    *generations.ROUTES,
    *fleet.ROUTES,
    *users.ROUTES,
    *clients.ROUTES,
    *audit.ROUTES,
    *host_key.ROUTES,
)


def build_api(api: Api, *, others: Callable[[], Json]) -> web.Application:
    """Return the application to mount at `ROOT` of `manager.http.middleware.new_application`.

    `others` returns another API's part of the OpenAPI document.
    """
    app = web.Application(middlewares=[_failures])
    app[fleet.STREAMS] = Streams()
    app.on_shutdown.append(app[fleet.STREAMS].end)
    for route in ROUTES:
        handler = partial(call, route, api)
        add_route(app, route.method, f"/{route.path}", handler)
    add_reference(app, ROUTES, root=ROOT, others=others)
    return app


@web.middleware
async def _failures(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except CertcastError as error:
        if errors.is_own_failure(error):
            log_failure(error, method=request.method, path=request.path)
        return errors.answer(error)
    except web.HTTPException as error:
        reason = Reason.NOT_FOUND if error.status == 404 else Reason.INVALID
        response = errors.failure_response(
            error.status, FailureDetail(reason=reason, message=f"{error.status} {error.reason}")
        )
        if isinstance(error, web.HTTPMethodNotAllowed):
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        log.exception("http.request_failed", method=request.method, path=request.path)
        failure = FailureDetail(reason=Reason.INTERNAL, message="the manager failed; its log says why")
        return errors.failure_response(500, failure)
