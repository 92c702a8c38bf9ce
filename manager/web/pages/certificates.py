"""TLS certificates: the list, by node, one with its chain, downloading and deleting."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from common.api.codes import ChainState, Format, Order, Role, StatusCode
from common.errors import CertcastError, ConflictError, InvalidInputError, NotFoundError
from common.pki.certificate import Certificate
from manager.domain.certificate_list import Query
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.inventory import Entry
from manager.domain.listing import page_of
from manager.http.downloads import attachment
from manager.http.errors import status_of
from manager.pki.chain.chain import Chain
from manager.pki.judge.headline import headline
from manager.usecases.downloads import Wanted
from manager.usecases.views import views_of
from manager.web.pagerequest import Page, PageRequest
from manager.web.standing import rollout_of
from manager.web.uploads import findings_of
from manager.web.words import plural

PAGE_SIZE: Final = 100
NOTHING_TICKED: Final = "tick at least one certificate first"
FORMS: Final = {
    Format.PEM: "PEM",
    Format.PFX: "PKCS#12 (PFX)",
    Format.PFX_LEGACY: "PKCS#12, weak: for old devices only (3DES, SHA-1; its passphrase is guessed hundreds of times faster)",
}


async def list_all(visit: PageRequest) -> web.StreamResponse:
    """Show a page of the list."""
    return await _list(visit)


async def _list(visit: PageRequest, *, problems: Sequence[str] = ()) -> web.Response:
    query = _query(visit)
    total, listed = await visit.use_cases.certificates.list(query)
    return visit.render(
        "certificates.html",
        status=400 if problems else 200,
        problems=problems,
        listed=listed,
        total=total,
        query=query,
        order=f"{'-' if query.descending else ''}{query.order}",
        number=visit.page(),
        size=PAGE_SIZE,
        codes=StatusCode,
    )


async def by_node(visit: PageRequest) -> web.StreamResponse:
    """Show which certificate each node has."""
    search = visit.query("search").strip().lower()
    found = [
        (node, slot, listed)
        for node, slot, listed in await visit.use_cases.assignments.by_node()
        if search in node or (listed is not None and search in listed.entry.leaf.subject_name.lower())
    ]
    return visit.render(
        "certificates_by_node.html",
        slots=page_of(found, visit.page(), size=PAGE_SIZE).entries,
        total=len(found),
        number=visit.page(),
        size=PAGE_SIZE,
        search=search,
    )


async def show(visit: PageRequest) -> web.StreamResponse:
    """Show one, decoded, with its chain of trust drawn as a chain."""
    return await _show(visit)


async def _show(
    visit: PageRequest, *, status: int = 200, asked: ConfirmationNeededError | None = None
) -> web.Response:
    shown = await visit.use_cases.certificates.show(visit.number())
    judgement = shown.judgement
    nodes = list(dict.fromkeys(place.node for place in shown.entry.places))
    views = {view.name: view for view in await views_of(visit.site.fleet, nodes)}
    return visit.render(
        "certificate.html",
        status=status,
        asked=asked,
        shown=shown,
        leaf=shown.entry.leaf,
        record=shown.record,
        headline=headline(judgement.statuses, judgement.chain.state, judgement.findings),
        rollout=rollout_of(shown.entry, views),
        untrusted=_untrusted_root(judgement.chain),
    )


async def trust_root(visit: PageRequest) -> web.StreamResponse:
    """Trust the root that came with a certificate, as it was shown."""
    number = visit.number()
    inventory = await visit.use_cases.inventory()
    if number not in inventory.entries:
        raise NotFoundError(f"there is no certificate {number} any more")
    root = _untrusted_root(inventory.chain(number, now_s=int(visit.now_s)))
    if root is None or root.fingerprint != visit.form.text("fingerprint"):
        raise ConflictError("the chain of trust has changed; load the certificate's page again")
    try:
        await visit.use_cases.trust.take(root.pem, confirm=visit.form.text("confirm"), actor=visit.actor)
    except ConfirmationNeededError as error:
        return await _show(visit, status=status_of(error), asked=error)
    return visit.redirect(
        f"/certificates/{number}", f"{root.label} is a trusted CA now; nodes get it within seconds."
    )


def _untrusted_root(chain: Chain) -> Certificate | None:
    """Return the root that came with a certificate and that nobody trusts here, None if that is not what is missing."""
    root = chain.links[-1].certificate
    return root if chain.state is ChainState.UNTRUSTED and root.is_self_signed else None


async def download_form(visit: PageRequest) -> web.StreamResponse:
    """Ask what one file shall hold."""
    if not visit.ids():
        return await _list(visit, problems=[NOTHING_TICKED])
    entries = await _chosen(visit, visit.ids())
    kept = [entry for entry in entries if not entry.leaf.is_self_signed]
    if not kept:
        return await _list(
            visit,
            problems=["a temporary (self-signed) certificate cannot be downloaded, and no other was chosen"],
        )
    left_out = [entry for entry in entries if entry.leaf.is_self_signed]
    return _download_form(visit, kept, wanted=Wanted(), left_out=left_out)


async def download(visit: PageRequest) -> web.StreamResponse:
    """Answer with the file."""
    form = visit.form
    wanted = Wanted(
        leaf=form.flag("leaf"),
        chain=form.flag("chain"),
        key=form.flag("key"),
        form=_format(form.text("format")),
        passphrase=form.text("passphrase") or None,
    )
    ids = form.ids()
    entries = await _chosen(visit, ids)
    if wanted.key and not visit.may(Role.ADMINISTRATOR):
        return _download_form(
            visit, entries, wanted=wanted, status=403, problems=["private keys need the role administrator"]
        )
    if wanted.key:
        visit.check_confirmed()
    if wanted.passphrase != (form.text("again") or None):
        return _download_form(
            visit, entries, wanted=wanted, status=400, problems=["the two passphrases differ"]
        )
    try:
        return attachment(await visit.use_cases.downloads.download(ids, wanted, actor=visit.actor))
    except CertcastError as error:
        return _download_form(
            visit, entries, wanted=wanted, status=status_of(error), problems=findings_of(error)
        )


async def delete_form(visit: PageRequest) -> web.StreamResponse:
    """Say what deleting would break, and ask."""
    if not visit.ids():
        return await _list(visit, problems=[NOTHING_TICKED])
    return await _delete_form(visit, visit.ids())


async def delete(visit: PageRequest) -> web.StreamResponse:
    """Delete all that were chosen, or none."""
    ids = visit.form.ids()
    try:
        lost = await visit.use_cases.certificates.delete(
            ids, force=False, confirm=visit.form.text("confirm"), actor=visit.actor
        )
    except ConfirmationNeededError as error:
        # what is shown now is not what was shown before
        return await _delete_form(visit, ids, status=status_of(error))
    said = f"Deleted {plural(len(ids), 'certificate')}."
    if lost:
        said += (
            f" {plural(len({each.node for each in lost}), 'node')} now without a certificate: assign another."
        )
    return visit.redirect("/certificates", said)


async def _delete_form(visit: PageRequest, ids: Sequence[int], *, status: int = 200) -> web.Response:
    return visit.render(
        "certificates_delete.html",
        status=status,
        entries=await _chosen(visit, ids),
        impact=await visit.use_cases.previews.deleting(ids),
    )


async def _chosen(visit: PageRequest, ids: Sequence[int]) -> list[Entry]:
    """Return the entries of ids. Raises NotFoundError, InvalidInputError if there are none."""
    if not ids:
        raise InvalidInputError("id", "no certificate was chosen; go back and tick at least one")
    entries = (await visit.use_cases.inventory()).entries
    if missing := [number for number in ids if number not in entries]:
        raise NotFoundError(f"there is no certificate {missing[0]} any more")
    return [entries[number] for number in ids]


def _download_form(
    visit: PageRequest,
    entries: Sequence[Entry],
    *,
    wanted: Wanted,
    status: int = 200,
    problems: Sequence[str] = (),
    left_out: Sequence[Entry] = (),
) -> web.Response:
    return visit.render(
        "certificates_download.html",
        status=status,
        entries=entries,
        left_out=left_out,
        wanted=wanted,
        problems=problems,
        forms=FORMS,
    )


def _format(text: str) -> Format:
    try:
        return Format(text)
    except ValueError as error:
        raise InvalidInputError("format", f"a format is one of {', '.join(Format)}") from error


def _query(visit: PageRequest) -> Query:
    order = visit.query("order", Order.ID)
    try:
        by = Order(order.removeprefix("-"))
        status = StatusCode(visit.query("status")) if visit.query("status") else None
    except ValueError as error:
        raise InvalidInputError("order", "this list has no such order or status") from error
    return Query(
        search=visit.query("search").strip(),
        status=status,
        node=visit.request.query.get("node"),
        order=by,
        descending=order.startswith("-"),
        offset=(visit.page() - 1) * PAGE_SIZE,
        limit=PAGE_SIZE,
    )


PAGES = (
    Page(method="GET", path="/certificates", role=Role.READ_ONLY, handler=list_all),
    Page(method="GET", path="/certificates/by-node", role=Role.READ_ONLY, handler=by_node, heavy=True),
    Page(method="GET", path="/certificates/download", role=Role.READ_ONLY, handler=download_form),
    Page(method="POST", path="/certificates/download", role=Role.READ_ONLY, handler=download, heavy=True),
    Page(method="GET", path="/certificates/delete", role=Role.ADMINISTRATOR, handler=delete_form),
    Page(method="POST", path="/certificates/delete", role=Role.ADMINISTRATOR, handler=delete),
    Page(method="GET", path=r"/certificates/{id:\d+}", role=Role.READ_ONLY, handler=show),
    Page(
        method="POST",
        path=r"/certificates/{id:\d+}/trust-root",
        role=Role.ADMINISTRATOR,
        handler=trust_root,
    ),
)
