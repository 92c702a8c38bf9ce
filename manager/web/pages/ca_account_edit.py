"""Account correction form; contacts and key have forms of their own on the account's page.

Invariant: the key of a binding is read from the form and never shown again; if omitted, the stored one stays.
"""

from dataclasses import replace

from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError
from manager.domain.renewal.account_fields import AccountChanges
from manager.domain.renewal.records import AccountRecord
from manager.web.pagerequest import Page, PageRequest
from manager.web.pages.ca_accounts import ACCOUNT_FIELDS, number_of
from manager.web.refusal import refusal_of


async def edit_form(page_request: PageRequest) -> web.StreamResponse:
    """Show the editable fields; a registered account's directory and binding are fixed."""
    record = await page_request.use_cases.accounts.get(number_of(page_request))
    return _form(page_request, record, record)


async def edit(page_request: PageRequest) -> web.StreamResponse:
    """Save the corrections; an unregistered account continues to registration."""
    record, form = await page_request.use_cases.accounts.get(number_of(page_request)), page_request.form
    given = replace(
        record,
        name=form.text("name"),
        directory_url=form.text("directory_url", record.directory_url).strip(),
        staging_url=form.text("staging_url").strip(),
        trusted_cas=await page_request.shown_text(form.text("trusted_cas")),
        binding_id=form.text("binding_id", record.binding_id).strip(),
    )
    try:
        changes = AccountChanges(
            name=given.name,
            directory_url=given.directory_url,
            staging_url=given.staging_url,
            trusted_cas=await page_request.given_text("trusted_cas"),
            binding_id=given.binding_id,
            binding_key=_binding_key(form.text("binding_key").strip(), given),
        )
        kept = await page_request.use_cases.accounts.edit(record.id, changes, actor=page_request.actor)
    except CertcastError as error:
        return _form(page_request, record, given, error)
    if kept.url:
        return page_request.redirect(f"/ca-accounts/{kept.id}", "Saved.")
    where = f"/ca-accounts/{kept.id}/offers{'?renewal=1' if form.flag('renewal') else ''}"
    return page_request.redirect(where, "Saved. The account is not registered yet.")


def _binding_key(text: str, given: AccountRecord) -> str | None:
    """Return a binding's key: None to keep the stored one, "" for no binding."""
    return text if text or not given.binding_id else None


def _form(
    page_request: PageRequest, record: AccountRecord, given: AccountRecord, error: CertcastError | None = None
) -> web.Response:
    """Show the `given` values for the stored `record`."""
    return page_request.render_form(
        "ca_account_edit.html",
        refusal_of(error),
        record=record,
        given=given,
        is_key_lost=bool(page_request.form.text("binding_key")),
        for_renewal=bool(page_request.query("renewal")) or page_request.form.flag("renewal"),
    )


PAGES = (
    Page(method="GET", path=r"/ca-accounts/{id:\d+}/edit", role=Role.ADMINISTRATOR, handler=edit_form),
    Page(
        method="POST",
        path=r"/ca-accounts/{id:\d+}/edit",
        role=Role.ADMINISTRATOR,
        handler=edit,
        fields=ACCOUNT_FIELDS,
        heavy=True,
    ),
)
