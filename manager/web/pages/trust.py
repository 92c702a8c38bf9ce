"""Trusted CA pages: custom and built-in; importing, viewing, editing, exporting, deleting."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from aiohttp import web

from common.api.codes import Role
from common.errors import (
    CertcastError,
    ChangedMeanwhileError,
    InvalidInputError,
    NotFoundError,
)
from common.ids import TrustedCaId
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.etag import etag_of_trusted_ca
from manager.domain.inventory import Entry, Inventory
from manager.domain.listing import mentions, page_of
from manager.domain.model import TrustedCaRecord
from manager.http.downloads import attachment
from manager.http.errors import status_of
from manager.pki.read.batch import ImportFile
from manager.web.forms import TICKED, FormFields, pem
from manager.web.importing import IMPORT_FIELDS, show_import, show_import_form
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, changed_meanwhile, refusal_for, refusal_of
from manager.web.uploads import PASTED
from manager.web.words import plural

PAGE_SIZE: Final = 100


async def list_custom(page_request: PageRequest) -> web.StreamResponse:
    """Show the custom trusted CAs."""
    return await _list(page_request)


async def _list(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    search = page_request.query("search").strip().lower()
    found = [
        each
        for each in await page_request.use_cases.trust.list()
        if mentions((each.certificate.raw_subject, each.record.fingerprint), search)
    ]
    return page_request.render_form(
        "trusted_cas.html",
        refusal,
        warnings=await page_request.use_cases.trust.warnings(),
        found=page_of(found, page_request.page(), size=PAGE_SIZE).entries,
        total=len(found),
        number=page_request.page(),
        size=PAGE_SIZE,
        search=search,
    )


async def list_builtin(page_request: PageRequest) -> web.StreamResponse:
    """Show the built-in list."""
    search = page_request.query("search").strip().lower()
    everything = await page_request.use_cases.trust.builtin()
    found = sorted(
        (each for each in everything if mentions([each.certificate.raw_subject], search)),
        key=lambda each: each.certificate.label.lower(),
    )
    return page_request.render("trusted_cas_builtin.html", found=found, total=len(everything), search=search)


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show a trusted CA, decoded, and the certificates that need it."""
    shown = await page_request.use_cases.trust.show(TrustedCaId(page_request.number()))
    needed = await _needing(page_request, {shown.record.id})
    return page_request.render(
        "trusted_ca.html", shown=shown, leaf=shown.certificate, record=shown.record, needed=needed
    )


async def import_form(page_request: PageRequest) -> web.StreamResponse:
    """Ask for files or text."""
    return show_import_form(page_request, "trusted_cas_import.html")


async def import_files(page_request: PageRequest) -> web.StreamResponse:
    """Import all files or none: CAs become trusted CAs; files with a key, TLS certificates."""
    files, pasted = list(page_request.form.files.get("files", ())), page_request.form.text("pasted")
    if pasted.strip():
        files.append(ImportFile(PASTED, pasted.encode()))
    return await show_import(page_request, "trusted_cas_import.html", files, pasted=pasted, peers=True)


async def export(page_request: PageRequest) -> web.StreamResponse:
    """Return one file of all custom trusted CAs."""
    return attachment(await page_request.use_cases.trust.export())


async def edit_form(page_request: PageRequest) -> web.StreamResponse:
    """Show the editable fields."""
    record = await page_request.use_cases.trust.get(TrustedCaId(page_request.number()))
    return await _edit_form(
        page_request,
        record,
        record.text,
        trusted=record.trusted_intermediate,
        seen=etag_of_trusted_ca(record),
    )


async def edit(page_request: PageRequest) -> web.StreamResponse:
    """Change it; after a concurrent edit, show both versions and lose nothing."""
    form, number = page_request.form, TrustedCaId(page_request.number())
    record = await page_request.use_cases.trust.get(number)
    trusted, seen, text = form.flag("trusted"), form.text("seen"), form.text("certificate")
    try:
        text = await page_request.given_text("certificate")
        same = text.strip() == record.text.replace("\r\n", "\n").strip()
        await page_request.use_cases.trust.edit(
            number,
            certificate=None if same else text,
            trusted_intermediate=trusted,
            force=False,
            seen=seen,
            confirm=form.text("confirm"),
            actor=page_request.actor,
        )
    except ChangedMeanwhileError:
        record = await page_request.use_cases.trust.get(number)
        theirs = await page_request.differences(
            ("CA certificate", record.text, text),
            ("Verifies peers", _words(trusted=record.trusted_intermediate), _words(trusted=trusted)),
        )
        return await _edit_form(
            page_request,
            record,
            text,
            trusted=trusted,
            seen=etag_of_trusted_ca(record),
            refusal=changed_meanwhile(theirs),
        )
    except CertcastError as error:
        return await _edit_form(
            page_request, record, text, trusted=trusted, seen=seen, refusal=refusal_of(error)
        )
    return page_request.redirect(f"/trusted-cas/{number}", "Saved. Every node gets it within seconds.")


async def delete_form(page_request: PageRequest) -> web.StreamResponse:
    """Show what deleting would break, and ask."""
    if not page_request.ids():
        return await _list(page_request, refusal_for(["tick at least one trusted CA first"]))
    return await _delete_form(page_request, [*map(TrustedCaId, page_request.ids())])


async def _delete_form(
    page_request: PageRequest, ids: Sequence[TrustedCaId], *, status: int = 200
) -> web.Response:
    records = await _chosen(page_request, ids)
    total = len((await page_request.use_cases.inventory()).trusted_cas)
    return page_request.render(
        "trusted_cas_delete.html",
        status=status,
        records=records,
        total=total,
        needed=await _needing(page_request, set(ids)),
        impact=await page_request.use_cases.previews.trust_removal(ids),
    )


async def delete(page_request: PageRequest) -> web.StreamResponse:
    """Delete all chosen CAs, or none. The page before has shown the consequences."""
    ids = [*map(TrustedCaId, page_request.form.ids())]
    await _chosen(page_request, ids)
    try:
        await page_request.use_cases.trust.delete(
            ids, force=False, confirm=page_request.form.text("confirm"), actor=page_request.actor
        )
    except ConfirmationNeededError as error:
        return await _delete_form(page_request, ids, status=status_of(error))
    return page_request.redirect(
        "/trusted-cas", f"Deleted {plural(len(ids), 'trusted CA')}; every node drops them."
    )


async def _chosen(page_request: PageRequest, ids: Sequence[TrustedCaId]) -> list[TrustedCaRecord]:
    if not ids:
        raise InvalidInputError("id", "no trusted CA was chosen; go back and tick at least one")
    known = (await page_request.use_cases.inventory()).trusted_cas
    if missing := [number for number in ids if number not in known]:
        raise NotFoundError(f"there is no trusted CA {missing[0]} any more")
    return [known[number] for number in ids]


async def _needing(page_request: PageRequest, ids: Collection[TrustedCaId]) -> list[Entry]:
    """Return the TLS certificates whose chain of trust uses one of these."""
    inventory = await page_request.use_cases.inventory()
    # chains not built yet are built now, which takes a while for thousands
    return await asyncio.to_thread(_going_through, inventory, ids, int(page_request.now_s))


def _going_through(inventory: Inventory, ids: Collection[TrustedCaId], now_s: int) -> list[Entry]:
    gone = {inventory.trust.custom[number].fingerprint for number in ids if number in inventory.trust.custom}
    return [
        entry
        for entry in inventory.entries.values()
        if any(
            link.certificate.fingerprint in gone for link in inventory.chain(entry.id, now_s=now_s).links[1:]
        )
    ]


async def _edit_form(
    page_request: PageRequest,
    record: TrustedCaRecord,
    text: str,
    *,
    trusted: bool,
    seen: str,
    refusal: FormRefusal = NOT_REFUSED,
) -> web.Response:
    return page_request.render_form(
        "trusted_ca_edit.html",
        refusal,
        record=record,
        text=await page_request.shown_text(text),
        trusted=trusted,
        seen=seen,
    )


def _words(*, trusted: bool) -> str:
    return "yes" if trusted else "no"


PAGES = (
    Page(method="GET", path="/trusted-cas", role=Role.READ_ONLY, handler=list_custom),
    Page(method="GET", path="/trusted-cas/builtin", role=Role.READ_ONLY, handler=list_builtin),
    Page(method="GET", path="/trusted-cas/import", role=Role.ADMINISTRATOR, handler=import_form),
    Page(
        method="POST",
        path="/trusted-cas/import",
        role=Role.ADMINISTRATOR,
        handler=import_files,
        fields=IMPORT_FIELDS.and_once("pasted"),
        heavy=True,
    ),
    Page(method="GET", path="/trusted-cas/export", role=Role.READ_ONLY, handler=export),
    Page(method="GET", path="/trusted-cas/delete", role=Role.ADMINISTRATOR, handler=delete_form),
    Page(
        method="POST",
        path="/trusted-cas/delete",
        role=Role.ADMINISTRATOR,
        handler=delete,
        fields=TICKED,
    ),
    Page(method="GET", path=r"/trusted-cas/{id:\d+}", role=Role.READ_ONLY, handler=show),
    Page(method="GET", path=r"/trusted-cas/{id:\d+}/edit", role=Role.ADMINISTRATOR, handler=edit_form),
    Page(
        method="POST",
        path=r"/trusted-cas/{id:\d+}/edit",
        role=Role.ADMINISTRATOR,
        handler=edit,
        fields=FormFields(once=("seen", *pem("certificate"), "trusted", "confirm")),
        heavy=True,
    ),
)
