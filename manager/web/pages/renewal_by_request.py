"""Renewal by request: switching it on, for a CA that takes requests by email or through a form."""

from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError, Hint, NotFoundError
from common.ids import CertificateId, parse_id
from manager.domain.inventory import Entry
from manager.domain.renewal.moments import renewed_s
from manager.domain.renewal.schedule import validity_of
from manager.web.forms import FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import refusal_of


async def form(page_request: PageRequest) -> web.StreamResponse:
    """Ask for the request's recipient; a certificate that is already renewed has its own page."""
    entry = await _entry(page_request, page_request.query("certificate"))
    known = await page_request.use_cases.renewals.of_certificate(entry.id)
    if known is not None:
        return page_request.redirect(f"/renewals/{known.renewal.id}")
    return _form(page_request, entry)


async def switch_on(page_request: PageRequest) -> web.StreamResponse:
    """Switch on; a request is opened when it is due."""
    entry = await _entry(page_request, page_request.form.text("certificate"))
    try:
        made = await page_request.use_cases.renewals.switch_on(
            entry.id, None, send_to=page_request.form.text("send_to"), actor=page_request.actor
        )
    except CertcastError as error:
        return _form(page_request, entry, error)
    return page_request.redirect(
        f"/renewals/{made.id}", "Switched on: a signing request is opened when it is due."
    )


async def _entry(page_request: PageRequest, text: str) -> Entry:
    number = CertificateId(parse_id(text, field="certificate", what="a certificate's id"))
    entry = (await page_request.use_cases.inventory()).entries.get(number)
    if entry is None:
        raise NotFoundError(f"there is no certificate {number}", hint=Hint.LIST_CERTIFICATES)
    return entry


def _form(page_request: PageRequest, entry: Entry, error: CertcastError | None = None) -> web.Response:
    return page_request.render_form(
        "renewal_by_request.html",
        refusal_of(error),
        entry=entry,
        due_s=renewed_s(validity_of(entry.leaf), window=None),
        send_to=page_request.form.text("send_to"),
    )


PAGES = (
    Page(method="GET", path="/renewals/by-request", role=Role.ADMINISTRATOR, handler=form),
    Page(
        method="POST",
        path="/renewals/by-request",
        role=Role.ADMINISTRATOR,
        handler=switch_on,
        fields=FormFields(once=("certificate", "send_to")),
    ),
)
