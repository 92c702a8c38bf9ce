"""Signing request pages: creating, downloading, uploading the CA's answer, deleting."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from common.api.codes import KeyKind, Role
from common.errors import CertcastError, InvalidInputError
from common.ids import NO_CERTIFICATE, CertificateId, CsrId, node_names, parse_id
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.model import CsrRecord
from manager.http.errors import status_of
from manager.pki.write.csr import DEFAULT_TEMPLATE
from manager.pki.write.export import Download
from manager.usecases.csrs import CsrChanges, KeyChoice
from manager.web.choices import NODE_FIELDS, chosen_nodes, node_choices
from manager.web.forms import TICKED, FormFields, pem
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, refusal_for, refusal_of
from manager.web.words import NEW_KEYS, plural, with_notes

UPLOAD: Final = "UPLOAD"
KEYS: Final[Mapping[str, str]] = {**NEW_KEYS, UPLOAD: "a key that you give below"}
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


async def list_all(page_request: PageRequest) -> web.StreamResponse:
    """Show all, the latest first."""
    return await _list(page_request)


async def _list(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    found = sorted(await page_request.use_cases.csrs.list(), key=lambda each: -each.id)
    entries = (await page_request.use_cases.inventory()).entries
    return page_request.render_form("csrs.html", refusal, found=found, entries=entries)


async def new_form(page_request: PageRequest) -> web.StreamResponse:
    """Ask for the contents of a request; from a certificate, with its subject and names."""
    replaces = _replaces(page_request.query("replaces"))
    shown: dict[str, Any] = {
        "subject": "",
        "alt_names": "",
        "server_auth": True,
        "client_auth": False,
        "template": "",
        "kind": KeyKind.ECDSAP256,
    }
    if replaces is not None:
        fields = await page_request.use_cases.csrs.fields_for(replaces)
        shown.update(
            subject=fields.subject,
            alt_names="\n".join(fields.alternatives),
            server_auth=fields.server_auth,
            client_auth=fields.client_auth,
            kind=await page_request.use_cases.csrs.kind_for(replaces),
        )
    return await _new_form(page_request, shown, replaces)


async def create(page_request: PageRequest) -> web.StreamResponse:
    """Create the key and the request."""
    form, replaces = page_request.form, _replaces(page_request.form.text("replaces"))
    shown: dict[str, Any] = {
        "subject": form.text("subject").strip(),
        "alt_names": form.text("alt_names"),
        "server_auth": form.flag("server_auth"),
        "client_auth": form.flag("client_auth"),
        "template": DEFAULT_TEMPLATE if form.flag("template") else "",
        "kind": form.text("kind"),
    }
    changes = CsrChanges(
        subject=shown["subject"],
        alt_names=form.lines("alt_names"),
        server_auth=shown["server_auth"],
        client_auth=shown["client_auth"],
        template=shown["template"],
    )
    try:
        record = await page_request.use_cases.csrs.create(
            replaces=replaces, changes=changes, key=await _key(page_request), actor=page_request.actor
        )
    except CertcastError as error:
        return await _new_form(page_request, shown, replaces, refusal_of(error))
    return page_request.redirect(
        f"/requests/{record.id}", "The request was created. Give it to your CA, and upload the answer here."
    )


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show a request, and ask for its answer."""
    record = await page_request.use_cases.csrs.get(CsrId(page_request.number()))
    fields = {"certificate": "", "parameters": ""}
    return await _request(page_request, record, fields, [], take_over=True)


async def download(page_request: PageRequest) -> web.StreamResponse:
    """Answer with the request as a file."""
    record = await page_request.use_cases.csrs.get(CsrId(page_request.number()))
    stem = _UNSAFE.sub("_", record.subject_name).strip(".") or f"request_{record.id}"
    file = Download(f"{stem}_request.csr", record.pem.encode())
    headers = {"Content-Disposition": f'attachment; filename="{file.name}"', "Cache-Control": "no-store"}
    return web.Response(body=file.content, content_type="application/pkcs10", headers=headers)


async def answer(page_request: PageRequest) -> web.StreamResponse:
    """Store the CA's certificate, and give it its predecessor's nodes."""
    form, number, nodes = page_request.form, CsrId(page_request.number()), chosen_nodes(page_request.form)
    record = await page_request.use_cases.csrs.get(number)
    take_over = form.flag("take_over") and record.replaces_id is not None
    fields = {name: form.text(name) for name in ("certificate", "parameters")}
    try:
        fields |= {name: await page_request.given_text(name) for name in ("certificate", "parameters")}
        answered = await page_request.use_cases.csrs.answer(
            number,
            certificate=fields["certificate"],
            parameters=fields["parameters"],
            passphrase=form.text("passphrase") or None,
            take_over=take_over,
            nodes=node_names(nodes),
            slot="server",
            confirm=form.text("confirm"),
            actor=page_request.actor,
        )
    except CertcastError as error:
        return await _request(page_request, record, fields, nodes, refusal_of(error), take_over=take_over)
    kept = answered.kept
    where = f" It goes to {plural(len(kept.nodes), 'node')} now." if kept.nodes else ""
    return page_request.redirect(
        f"/certificates/{kept.certificate.id}",
        with_notes(
            f"The answer is a TLS certificate now, with the request's private key.{where}",
            answered.consequences,
        ),
    )


async def delete_form(page_request: PageRequest) -> web.StreamResponse:
    """Show what is lost, and ask."""
    if not page_request.ids():
        return await _list(page_request, refusal_for(["tick at least one request first"]))
    return await _delete_form(page_request, [*map(CsrId, page_request.ids())])


async def _delete_form(page_request: PageRequest, ids: Sequence[CsrId], *, status: int = 200) -> web.Response:
    if not ids:
        raise InvalidInputError("id", "no request was chosen; go back and tick at least one")
    records = [await page_request.use_cases.csrs.get(number) for number in ids]
    impact = await page_request.use_cases.previews.csr_deletion(records)
    return page_request.render("csrs_delete.html", status=status, records=records, impact=impact)


async def delete(page_request: PageRequest) -> web.StreamResponse:
    """Delete all chosen requests, or none."""
    ids = [*map(CsrId, page_request.form.ids())]
    try:
        await page_request.use_cases.csrs.delete(
            ids, confirm=page_request.form.text("confirm"), actor=page_request.actor
        )
    except ConfirmationNeededError as error:
        return await _delete_form(page_request, ids, status=status_of(error))
    return page_request.redirect("/requests", f"Deleted {plural(len(ids), 'request')}.")


async def _key(page_request: PageRequest) -> KeyChoice:
    """Return the chosen key. Raises InvalidInputError, PkiError."""
    kind = page_request.form.text("kind")
    if kind == UPLOAD:
        text = await page_request.given_text("private_key")
        if not text.strip():
            raise InvalidInputError("private_key", "paste the private key, or choose its file")
        return KeyChoice(private_key=text, passphrase=page_request.form.text("passphrase") or None)
    try:
        return KeyChoice(kind=KeyKind(kind))
    except ValueError as error:
        raise InvalidInputError("kind", f"a key is one of {', '.join(KEYS)}") from error


def _replaces(text: str) -> CertificateId | None:
    return CertificateId(parse_id(text, field="replaces", what="a certificate's id")) if text else None


async def _new_form(
    page_request: PageRequest,
    shown: Mapping[str, Any],
    replaces: CertificateId | None,
    refusal: FormRefusal = NOT_REFUSED,
) -> web.Response:
    entries = (await page_request.use_cases.inventory()).entries
    return page_request.render_form(
        "csr_new.html",
        refusal,
        shown=shown,
        replaces=entries.get(replaces) if replaces is not None else None,
        keys=KEYS,
        template_name=DEFAULT_TEMPLATE,
        again=page_request.request.method == "POST",
    )


async def _request(
    page_request: PageRequest,
    record: CsrRecord,
    fields: Mapping[str, str],
    nodes: Sequence[str],
    refusal: FormRefusal = NOT_REFUSED,
    *,
    take_over: bool,
) -> web.Response:
    inventory = await page_request.use_cases.inventory()
    return page_request.render_form(
        "csr.html",
        refusal,
        record=record,
        fields={name: await page_request.shown_text(text) for name, text in fields.items()},
        choices=node_choices(inventory, nodes),
        take_over=take_over,
        replaces=inventory.entries.get(record.replaces_id or NO_CERTIFICATE),
        answered=inventory.entries.get(record.answer_id or NO_CERTIFICATE),
    )


PAGES = (
    Page(method="GET", path="/requests", role=Role.READ_ONLY, handler=list_all),
    Page(method="GET", path="/requests/new", role=Role.ADMINISTRATOR, handler=new_form),
    Page(
        method="POST",
        path="/requests/new",
        role=Role.ADMINISTRATOR,
        handler=create,
        fields=FormFields(
            once=(
                "replaces",
                "subject",
                "alt_names",
                "kind",
                *pem("private_key"),
                "passphrase",
                "server_auth",
                "client_auth",
                "template",
            )
        ),
        heavy=True,
    ),
    Page(method="GET", path="/requests/delete", role=Role.ADMINISTRATOR, handler=delete_form),
    Page(
        method="POST",
        path="/requests/delete",
        role=Role.ADMINISTRATOR,
        handler=delete,
        fields=TICKED,
    ),
    Page(method="GET", path=r"/requests/{id:\d+}", role=Role.READ_ONLY, handler=show),
    Page(method="GET", path=r"/requests/{id:\d+}/download", role=Role.READ_ONLY, handler=download),
    Page(
        method="POST",
        path=r"/requests/{id:\d+}/answer",
        role=Role.ADMINISTRATOR,
        handler=answer,
        fields=NODE_FIELDS.and_once(*pem("certificate", "parameters"), "passphrase", "take_over", "confirm"),
        heavy=True,
    ),
)
