"""Pages as a part of the HTTPS endpoint: every row of the tables, and every failure as a page."""

import asyncio
from functools import partial
from typing import Final

import jinja2
import structlog
from aiohttp import hdrs, web
from markupsafe import Markup

from common.errors import CertcastError, Hint, OverloadedError
from common.text import readable
from manager.http.errors import is_own_failure, status_of
from manager.http.failures import log_failure
from manager.http.middleware import add_route
from manager.http.streams import Streams
from manager.usecases.ports import FleetView
from manager.usecases.usecases import UseCases
from manager.web import words
from manager.web.current_status import CurrentFleetStatus
from manager.web.pagerequest import Page, Site, begin_page_request
from manager.web.pages import (
    access,
    account,
    alarms,
    audit,
    ca_account_edit,
    ca_accounts,
    certificate_forms,
    certificates,
    csrs,
    findings,
    fleet,
    generations,
    helping,
    live,
    node,
    nodes,
    renewal_by_request,
    renewal_setup,
    renewals,
    trust,
    users,
)
from manager.web.serving import answer_page
from manager.web.static import StaticFiles

log = structlog.get_logger(__name__)

PAGES: Final[tuple[Page, ...]] = (
    *access.PAGES,
    *fleet.PAGES,
    *certificate_forms.PAGES,
    *certificates.PAGES,
    *trust.PAGES,
    *csrs.PAGES,
    *renewal_setup.PAGES,
    *renewals.PAGES,
    *renewal_by_request.PAGES,
    *ca_accounts.PAGES,
    *ca_account_edit.PAGES,
    *nodes.PAGES,
    *node.PAGES,
    *generations.PAGES,
    *alarms.PAGES,
    *audit.PAGES,
    *findings.PAGES,
    *account.PAGES,
    *users.PAGES,
    *live.PAGES,
    *helping.PAGES,
)

_LISTS: Final = {
    Hint.LIST_NODES: ("/nodes", "See all nodes"),
    Hint.LIST_CERTIFICATES: ("/certificates", "See all TLS certificates"),
    Hint.LIST_TRUSTED_CAS: ("/trusted-cas", "See all trusted CAs"),
    Hint.LIST_CSRS: ("/requests", "See all CSRs"),
    Hint.LIST_ALARMS: ("/alarms", "See all alarms"),
    Hint.LIST_USERS: ("/users", "See all users"),
    Hint.LIST_CLIENTS: ("/users", "See all users and programs"),
}
"""The page that answers each hint."""

_TITLES: Final = {
    400: "That cannot be read",
    403: "Not allowed",
    404: "Not found",
    409: "That conflicts with what is stored",
    413: "Too large",
    415: "Not in this form",
    429: "Too many attempts",
    503: "Too much to do",
    507: "The disk is full",
}


def add_pages(app: web.Application, use_cases: UseCases, fleet_view: FleetView) -> None:
    """Mount all pages. Mount everything else before: the last page matches every other address."""
    static, streams = StaticFiles(), Streams()
    site = Site(
        use_cases=use_cases,
        fleet=fleet_view,
        templates=_templates(static),
        static=static,
        streams=streams,
        fleet_status=CurrentFleetStatus(),
    )
    app.on_startup.append(partial(_compile, site.templates))
    app.on_shutdown.append(streams.end)
    add_route(app, "GET", "/static/{name:.+}", static.show)
    for page in PAGES:
        add_route(app, page.method, page.path, partial(_serve, page, site))
    add_route(app, "GET", "/{rest:.*}", partial(_nothing, site))


async def _compile(templates: jinja2.Environment, _app: web.Application) -> None:
    """Compile every template before first use: on the loop, some would block it for 40 ms."""
    await asyncio.to_thread(_compile_all, templates)


def _compile_all(templates: jinja2.Environment) -> None:
    for name in templates.list_templates(extensions=["html"]):
        templates.get_template(name)


async def _serve(page: Page, site: Site, request: web.Request) -> web.StreamResponse:
    try:
        return await answer_page(page, site, request)
    except CertcastError as error:
        if is_own_failure(error):
            log_failure(error, method=request.method, path=page.path)
        response = await _failed(site, request, status_of(error), error.message, hint=error.hint)
        if isinstance(error, OverloadedError):
            response.headers[hdrs.RETRY_AFTER] = f"{error.retry_after_s:.0f}"
        return response
    except web.HTTPException:
        raise
    except Exception:
        log.exception("http.request_failed", method=request.method, path=page.path)
        return await _failed(site, request, 500, "The manager failed; see its log.")


async def _nothing(site: Site, request: web.Request) -> web.StreamResponse:
    return await _failed(site, request, 404, "This page does not exist.")


async def _failed(
    site: Site, request: web.Request, status: int, message: str, *, hint: Hint | None = None
) -> web.StreamResponse:
    try:
        page_request = await begin_page_request(site, request)
    except CertcastError as error:
        # the store does not answer, so the user is unknown
        return web.Response(status=status_of(error), text=error.message)
    title = _TITLES.get(status, "That did not work")
    where = _LISTS[hint] if hint is not None else ("/", "Go to the fleet")
    return page_request.render(
        "failure.html", status=status, title=title, message=words.sentence(message), where=where
    )


def _readable(value: object) -> object:
    """Make a template's value safe to read; markup is our own."""
    return readable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _templates(static: StaticFiles) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("manager.web"),
        autoescape=True,
        # untrusted text (of nodes, certificates, other users) must not reverse our text or imitate other text
        finalize=_readable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # templates ship with the program; otherwise each page would check each template on disk
        auto_reload=False,
    )
    environment.globals.update(static=static.url, **words.GLOBALS)
    environment.filters.update(words.FILTERS)
    return environment
