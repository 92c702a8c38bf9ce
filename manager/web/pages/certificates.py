"""Certificate pages: the list, by node, one with its chain, downloading and deleting."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from common.api.codes import CertificateOrder, ChainState, Format, Role, StatusCode
from common.errors import CertcastError, ConflictError, InvalidInputError, NotFoundError
from common.ids import CertificateId
from common.pki.certificate import Certificate
from manager.domain.certificate_list import CertificateQuery
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.inventory import Entry
from manager.http.downloads import attachment
from manager.http.errors import status_of
from manager.pki.chain.chain import Chain
from manager.pki.judge.headline import headline
from manager.usecases.downloads import DownloadOptions
from manager.web.fleetstatus import rollout_of
from manager.web.forms import TICKED, FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.pages.renewals import renewal_of
from manager.web.refusal import NOT_REFUSED, FormRefusal, refusal_for, refusal_of
from manager.web.words import plural

PAGE_SIZE: Final = 100
NOTHING_TICKED: Final = "tick at least one certificate first"
FORMS: Final = {
    Format.PEM: "PEM",
    Format.PFX: "PKCS#12 (PFX)",
    Format.PFX_LEGACY: "PKCS#12, weak: for old devices only (3DES, SHA-1; its passphrase is guessed hundreds of times faster)",
}


async def list_all(page_request: PageRequest) -> web.StreamResponse:
    """Show a page of the list."""
    return await _list(page_request)


async def _list(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    query = _query(page_request)
    total, listed = await page_request.use_cases.certificates.list(query)
    return page_request.render_form(
        "certificates.html",
        refusal,
        listed=listed,
        total=total,
        query=query,
        order=f"{'-' if query.descending else ''}{query.order}",
        number=page_request.page(),
        size=PAGE_SIZE,
        codes=StatusCode,
    )


async def by_node(page_request: PageRequest) -> web.StreamResponse:
    """Show which certificate each node has."""
    search, number = page_request.query("search").strip().lower(), page_request.page()
    found = await page_request.use_cases.assignments.by_node(search)
    return page_request.render(
        "certificates_by_node.html",
        slots=await found.shown((number - 1) * PAGE_SIZE, number * PAGE_SIZE),
        total=len(found.places),
        number=number,
        size=PAGE_SIZE,
        search=search,
    )


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show a certificate, decoded, with its chain of trust as a drawing."""
    return await _show(page_request)


async def _show(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    number = CertificateId(page_request.number())
    shown = await page_request.use_cases.certificates.show(number)
    judgement = shown.judgement
    # off the loop, because it may have thousands of nodes
    rollout = await asyncio.to_thread(rollout_of, shown.entry, page_request.site.fleet.briefs())
    return page_request.render_form(
        "certificate.html",
        refusal,
        shown=shown,
        leaf=shown.entry.leaf,
        record=shown.record,
        headline=headline(judgement.statuses, judgement.chain.state, judgement.findings),
        rollout=rollout,
        untrusted=_untrusted_root(judgement.chain),
        renewal=await renewal_of(page_request, number),
    )


async def trust_root(page_request: PageRequest) -> web.StreamResponse:
    """Trust the root that came with a certificate, as shown."""
    number = CertificateId(page_request.number())
    inventory = await page_request.use_cases.inventory()
    if number not in inventory.entries:
        raise NotFoundError(f"there is no certificate {number} any more")
    root = _untrusted_root(inventory.chain(number, now_s=int(page_request.now_s)))
    if root is None or root.fingerprint != page_request.form.text("fingerprint"):
        raise ConflictError("the chain of trust has changed; load the certificate's page again")
    try:
        await page_request.use_cases.trust.take(
            root.pem, confirm=page_request.form.text("confirm"), actor=page_request.actor
        )
    except ConfirmationNeededError as error:
        return await _show(page_request, refusal_of(error))
    return page_request.redirect(
        f"/certificates/{number}", f"{root.label} is a trusted CA now; nodes get it within seconds."
    )


def _untrusted_root(chain: Chain) -> Certificate | None:
    """Return an untrusted root that came with a certificate, None if that is not what the chain lacks."""
    root = chain.links[-1].certificate
    return root if chain.state is ChainState.UNTRUSTED and root.is_self_signed else None


async def download_form(page_request: PageRequest) -> web.StreamResponse:
    """Ask for the contents of the file."""
    if not page_request.ids():
        return await _list(page_request, refusal_for([NOTHING_TICKED]))
    entries = await _chosen(page_request, [*map(CertificateId, page_request.ids())])
    kept = [entry for entry in entries if not entry.leaf.is_self_signed]
    if not kept:
        none = "a temporary (self-signed) certificate cannot be downloaded, and no other was chosen"
        return await _list(page_request, refusal_for([none]))
    left_out = [entry for entry in entries if entry.leaf.is_self_signed]
    return _download_form(page_request, kept, wanted=DownloadOptions(), left_out=left_out)


async def download(page_request: PageRequest) -> web.StreamResponse:
    """Answer with the file."""
    form = page_request.form
    wanted = DownloadOptions(
        leaf=form.flag("leaf"),
        chain=form.flag("chain"),
        key=form.flag("key"),
        form=_format(form.text("format")),
        passphrase=form.text("passphrase") or None,
    )
    ids = [*map(CertificateId, form.ids())]
    entries = await _chosen(page_request, ids)
    if wanted.key and not page_request.may(Role.ADMINISTRATOR):
        refusal = refusal_for(["private keys need the role administrator"], 403)
        return _download_form(page_request, entries, refusal, wanted=wanted)
    if wanted.key:
        await page_request.check_confirmed()
    if wanted.passphrase != (form.text("again") or None):
        return _download_form(
            page_request, entries, refusal_for(["the two passphrases differ"]), wanted=wanted
        )
    try:
        return attachment(
            await page_request.use_cases.downloads.download(ids, wanted, actor=page_request.actor)
        )
    except CertcastError as error:
        return _download_form(page_request, entries, refusal_of(error), wanted=wanted)


async def delete_form(page_request: PageRequest) -> web.StreamResponse:
    """Show what deleting would break, and ask."""
    if not page_request.ids():
        return await _list(page_request, refusal_for([NOTHING_TICKED]))
    return await _delete_form(page_request, [*map(CertificateId, page_request.ids())])


async def delete(page_request: PageRequest) -> web.StreamResponse:
    """Delete all chosen certificates, or none."""
    ids = [*map(CertificateId, page_request.form.ids())]
    try:
        lost = await page_request.use_cases.certificates.delete(
            ids, force=False, confirm=page_request.form.text("confirm"), actor=page_request.actor
        )
    except ConfirmationNeededError as error:
        # the consequences have changed since they were shown
        return await _delete_form(page_request, ids, status=status_of(error))
    message = f"Deleted {plural(len(ids), 'certificate')}."
    if lost:
        message += (
            f" {plural(len({each.node for each in lost}), 'node')} now without a certificate: assign another."
        )
    return page_request.redirect("/certificates", message)


async def _delete_form(
    page_request: PageRequest, ids: Sequence[CertificateId], *, status: int = 200
) -> web.Response:
    return page_request.render(
        "certificates_delete.html",
        status=status,
        entries=await _chosen(page_request, ids),
        impact=await page_request.use_cases.previews.certificate_deletion(ids),
    )


async def _chosen(page_request: PageRequest, ids: Sequence[CertificateId]) -> list[Entry]:
    """Return the entries of ids. Raises NotFoundError, InvalidInputError if there are none."""
    if not ids:
        raise InvalidInputError("id", "no certificate was chosen; go back and tick at least one")
    entries = (await page_request.use_cases.inventory()).entries
    if missing := [number for number in ids if number not in entries]:
        raise NotFoundError(f"there is no certificate {missing[0]} any more")
    return [entries[number] for number in ids]


def _download_form(
    page_request: PageRequest,
    entries: Sequence[Entry],
    refusal: FormRefusal = NOT_REFUSED,
    *,
    wanted: DownloadOptions,
    left_out: Sequence[Entry] = (),
) -> web.Response:
    return page_request.render_form(
        "certificates_download.html",
        refusal,
        entries=entries,
        left_out=left_out,
        wanted=wanted,
        forms=FORMS,
    )


def _format(text: str) -> Format:
    try:
        return Format(text)
    except ValueError as error:
        raise InvalidInputError("format", f"a format is one of {', '.join(Format)}") from error


def _query(page_request: PageRequest) -> CertificateQuery:
    order = page_request.query("order", CertificateOrder.ID)
    try:
        by = CertificateOrder(order.removeprefix("-"))
        status = StatusCode(page_request.query("status")) if page_request.query("status") else None
    except ValueError as error:
        raise InvalidInputError("order", "this list has no such order or status") from error
    return CertificateQuery(
        search=page_request.query("search").strip(),
        status=status,
        node=page_request.request.query.get("node"),
        order=by,
        descending=order.startswith("-"),
        offset=(page_request.page() - 1) * PAGE_SIZE,
        limit=PAGE_SIZE,
    )


PAGES = (
    Page(method="GET", path="/certificates", role=Role.READ_ONLY, handler=list_all),
    Page(method="GET", path="/certificates/by-node", role=Role.READ_ONLY, handler=by_node, heavy=True),
    Page(method="GET", path="/certificates/download", role=Role.READ_ONLY, handler=download_form),
    Page(
        method="POST",
        path="/certificates/download",
        role=Role.READ_ONLY,
        handler=download,
        fields=FormFields(once=("leaf", "chain", "key", "passphrase", "again", "format"), several=("id",)),
        heavy=True,
    ),
    Page(method="GET", path="/certificates/delete", role=Role.ADMINISTRATOR, handler=delete_form),
    Page(
        method="POST",
        path="/certificates/delete",
        role=Role.ADMINISTRATOR,
        handler=delete,
        fields=TICKED,
    ),
    Page(method="GET", path=r"/certificates/{id:\d+}", role=Role.READ_ONLY, handler=show),
    Page(
        method="POST",
        path=r"/certificates/{id:\d+}/trust-root",
        role=Role.ADMINISTRATOR,
        handler=trust_root,
        fields=FormFields(once=("fingerprint", "confirm")),
    ),
)
