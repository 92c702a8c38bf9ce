"""Page serving: authenticates a request, checks its form token, and serves the page to permitted users.

Invariants: visitors see only the pages for signing in and setting up; nothing is changed without the form's
token, which another site cannot know.
"""

import hmac
from dataclasses import replace
from functools import partial
from urllib.parse import urlencode

from aiohttp import web

from common.errors import AccessError, Reason
from common.source import source_of
from manager.domain.callers import includes
from manager.http.authentication import ServingTerms, check_origin, serve_admitted
from manager.http.bodies import STRANGER_MAX_BYTES, BodySender, sender_of
from manager.http.middleware import READING
from manager.web.forms import Form, read_form
from manager.web.pagerequest import (
    CSRF,
    Page,
    PageRequest,
    Site,
    ask_password,
    begin_page_request,
    begin_user,
    sign_in_first,
)


async def answer_page(page: Page, site: Site, request: web.Request) -> web.StreamResponse:
    """Serve one request of a page. Raises CertcastError."""
    page_request = await begin_page_request(site, request)
    if page.role is not None and page_request.user is None:
        return sign_in_first(page_request)
    _check_role(page, page_request)
    check_origin(request)
    admission = ServingTerms(
        user=None if page_request.user is None else page_request.user.name,
        rights=None
        if page.role is None
        else page_request.use_cases.rights(partial(_check_still, page, page_request)),
        recheck=partial(_recheck, page, page_request),
        takes_turn=not page.streams,
    )
    try:
        return await serve_admitted(
            request,
            admission,
            read=partial(_read_form, page, page_request),
            is_heavy=lambda _: page.heavy,
            handle=lambda _: _handled(page, page_request),
        )
    except _SignedOutError:
        return sign_in_first(page_request)


class _SignedOutError(Exception):
    """The session ended while the request waited."""


async def _read_form(page: Page, page_request: PageRequest) -> Form | None:
    if page.method != "POST":
        return None
    page_request.form = await read_form(
        page_request.request, _sender(page, page_request), page_request.use_cases.workers
    )
    if not hmac.compare_digest(page_request.form.text(CSRF).encode(), page_request.csrf.encode()):
        raise AccessError(
            "the form was made for another session; nothing was changed. Go back, load the page again, and send it again",
            reason=Reason.FORBIDDEN,
        )
    page_request.form.check(replace(page.fields, once=(CSRF, *page.fields.once)))
    return page_request.form


async def _recheck(page: Page, page_request: PageRequest) -> None:
    """Identify the user again. Raises _SignedOutError, AccessError."""
    page_request.user = await begin_user(page_request.site, page_request.token)
    if page.role is not None and page_request.user is None:
        raise _SignedOutError
    _check_role(page, page_request)


async def _handled(page: Page, page_request: PageRequest) -> web.StreamResponse:
    try:
        if page.needs_password:
            await page_request.check_confirmed()
        return await page.handler(page_request)
    except AccessError as error:
        if error.reason is not Reason.PASSWORD_REQUIRED:
            raise
        return ask_password(page_request, status=403, next_path=_form_of(page, page_request))


async def _check_still(page: Page, page_request: PageRequest) -> None:
    """Refuse a change by a user who was signed out or demoted meanwhile. Raises AccessError."""
    user = await page_request.use_cases.sessions.find(page_request.token, using=False)
    if user is None:
        raise AccessError("your session has ended, and nothing was changed; sign in again")
    if page.role is not None and not includes(user.role, page.role):
        raise AccessError(f"this needs the role {page.role}", reason=Reason.FORBIDDEN)


def _check_role(page: Page, page_request: PageRequest) -> None:
    if page.role is not None and not page_request.may(page.role):
        raise AccessError(f"this needs the role {page.role}", reason=Reason.FORBIDDEN)


def _form_of(page: Page, page_request: PageRequest) -> str:
    """Return the address of the page with the form, or of the requested page."""
    if page_request.request.method in READING:
        return page_request.request.path_qs
    path = page_request.request.rel_url.raw_path
    if page.form_above:
        return path.rpartition("/")[0]
    ids = [("id", text) for text in page_request.form.all("id")]
    return f"{path}?{urlencode(ids)}" if ids else path


def _sender(page: Page, page_request: PageRequest) -> BodySender:
    """Return the sender of a form: visitors' pages accept small forms only, from anyone."""
    if page.role is None or page_request.user is None:
        return BodySender(owner=source_of(page_request.address), most=STRANGER_MAX_BYTES, is_stranger=True)
    return sender_of(page_request.user.name, page_request.user.role)
