"""Certificate forms: adding with a preview, editing, and importing files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError, ChangedMeanwhileError
from common.ids import CertificateId, node_names
from manager.domain.annotations import ANNOTATIONS, NO_ANNOTATIONS, Annotations
from manager.domain.etag import etag_of_certificate
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.usecases.assignments import slot_name
from manager.usecases.uploads import Edit, Upload
from manager.web.annotations import annotations_of, compare_annotations
from manager.web.choices import NODE_FIELDS, chosen_nodes, node_choices
from manager.web.forms import Form, pem
from manager.web.importing import IMPORT_FIELDS, show_import, show_import_form
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, changed_meanwhile, refusal_of
from manager.web.words import plural, with_notes


@dataclass(frozen=True, slots=True)
class _Given:
    """The form's values: texts by field, chosen nodes, and annotations."""

    fields: Mapping[str, str]
    nodes: Sequence[str]
    annotations: Annotations = NO_ANNOTATIONS


async def new_form(page_request: PageRequest) -> web.StreamResponse:
    """Ask for a certificate."""
    nodes = page_request.request.query.getall("node", [])
    blank = {"certificate": "", "parameters": "", "slot": "server"}
    return await _new_form(page_request, _Given(blank, nodes))


async def add(page_request: PageRequest) -> web.StreamResponse:
    """Preview or save the certificate. A refusal shows every finding and every field but the key."""
    form, nodes, annotations = (
        page_request.form,
        chosen_nodes(page_request.form),
        annotations_of(page_request.form),
    )
    shown = {
        "certificate": await page_request.shown_text(form.text("certificate")),
        "parameters": await page_request.shown_text(form.text("parameters")),
        "slot": form.text("slot", "server"),
    }
    given_back, preview = _Given(shown, nodes, annotations), None
    try:
        given = {
            name: await page_request.given_text(name) for name in ("certificate", "private_key", "parameters")
        }
        shown.update(
            certificate=await page_request.shown_text(given["certificate"]),
            parameters=await page_request.shown_text(given["parameters"]),
        )
        upload = Upload(
            **given,
            passphrase=form.text("passphrase") or None,
            nodes=node_names(nodes),
            slot=slot_name(form.text("slot", "server")),
            annotations=annotations,
        )
        if not form.flag("preview"):
            kept = await page_request.use_cases.certificates.upload(
                upload, confirm=form.text("confirm"), actor=page_request.actor
            )
            added = _added(kept.record, created=kept.created, nodes=nodes)
            message = with_notes(added, kept.consequences)
            return page_request.redirect(f"/certificates/{kept.record.id}", message)
        preview = await page_request.use_cases.previews.certificate(upload)
    except CertcastError as error:
        refusal = refusal_of(error)
        if page_request.is_fragment and refusal.problems:
            # a script shows it beside the form, which keeps its input
            return page_request.render("certificate_preview.html", preview=None, problems=refusal.problems)
        return await _new_form(page_request, given_back, refusal)
    if page_request.is_fragment:
        return page_request.render("certificate_preview.html", preview=preview, problems=[])
    return await _new_form(page_request, given_back, preview=preview)


async def edit_form(page_request: PageRequest) -> web.StreamResponse:
    """Show the editable fields of a certificate."""
    found = await page_request.use_cases.certificates.editable(CertificateId(page_request.number()))
    record, places = found.record, found.places
    texts = {"certificate": record.text, "parameters": record.parameters_text}
    given = _Given(texts, _server_nodes(places), record.annotations)
    return await _edit_form(page_request, record, given, seen=etag_of_certificate(record, places))


async def edit(page_request: PageRequest) -> web.StreamResponse:
    """Change it; after a concurrent edit, show both versions and lose nothing."""
    form, number, seen = (
        page_request.form,
        CertificateId(page_request.number()),
        page_request.form.text("seen"),
    )
    found = await page_request.use_cases.certificates.editable(number)
    record, places = found.record, found.places
    texts = {name: form.text(name) for name in ("certificate", "parameters")}
    given = _Given(texts, chosen_nodes(form), annotations_of(form))
    try:
        given = replace(given, fields={name: await page_request.given_text(name) for name in texts})
        kept = await page_request.use_cases.certificates.edit(
            number,
            _edited(record, given, form),
            seen=seen,
            confirm=form.text("confirm"),
            actor=page_request.actor,
        )
    except ChangedMeanwhileError:
        found = await page_request.use_cases.certificates.editable(number)
        record, places = found.record, found.places
        theirs = await page_request.differences(
            ("TLS certificate", record.text, given.fields["certificate"]),
            ("TLS parameters", record.parameters_text, given.fields["parameters"]),
            ("Nodes", "\n".join(_server_nodes(places)), "\n".join(sorted(given.nodes))),
            *compare_annotations(record.annotations, given.annotations),
        )
        seen = etag_of_certificate(record, places)
        return await _edit_form(page_request, record, given, changed_meanwhile(theirs), seen=seen)
    except CertcastError as error:
        return await _edit_form(page_request, record, given, refusal_of(error), seen=seen)
    message = with_notes("Saved. Its nodes get the change within seconds.", kept.consequences)
    return page_request.redirect(f"/certificates/{number}", message)


def _edited(record: CertificateRecord, given: _Given, form: Form) -> Edit:
    """Return a form's changes to an entry; a text area may have lost white space around a text."""
    kept = {"certificate": record.text, "parameters": record.parameters_text}
    changed = {
        name: text for name, text in given.fields.items() if text.strip() != _lines(kept[name]).strip()
    }
    return Edit(
        certificate=changed.get("certificate"),
        parameters=changed.get("parameters"),
        passphrase=form.text("passphrase") or None,
        nodes=node_names(given.nodes),
        annotations=given.annotations,
    )


async def import_form(page_request: PageRequest) -> web.StreamResponse:
    return show_import_form(page_request, "import.html")


async def import_files(page_request: PageRequest) -> web.StreamResponse:
    """Import all of the files or none, and show the result for each certificate."""
    return await show_import(page_request, "import.html", list(page_request.form.files.get("files", ())))


async def _new_form(
    page_request: PageRequest,
    given: _Given,
    refusal: FormRefusal = NOT_REFUSED,
    *,
    preview: object = None,
) -> web.Response:
    inventory = await page_request.use_cases.inventory()
    chosen = given.fields["slot"]
    slot = slot_name(chosen) if chosen in {"server", "client"} else "server"
    return page_request.render_form(
        "certificate_new.html",
        refusal,
        shown=given.fields,
        annotations=given.annotations,
        choices=node_choices(inventory, given.nodes, slot=slot),
        preview=preview,
        again=page_request.request.method == "POST",
    )


async def _edit_form(
    page_request: PageRequest,
    record: CertificateRecord,
    given: _Given,
    refusal: FormRefusal = NOT_REFUSED,
    *,
    seen: str,
) -> web.Response:
    inventory = await page_request.use_cases.inventory()
    return page_request.render_form(
        "certificate_edit.html",
        refusal,
        record=record,
        fields={name: await page_request.shown_text(text) for name, text in given.fields.items()},
        annotations=given.annotations,
        choices=node_choices(inventory, given.nodes, own=record.id),
        seen=seen,
        again=page_request.request.method == "POST" and bool(page_request.form.text("passphrase")),
    )


def _server_nodes(places: Sequence[AssignmentRecord]) -> list[str]:
    return sorted(place.node for place in places if place.slot == "server")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _added(record: CertificateRecord, *, created: bool, nodes: Sequence[str]) -> str:
    name = record.display_name
    message = f"Added {name}." if created else f"Updated {name}: issuer and serial number were the same."
    return f"{message} It goes to {plural(len(nodes), 'node')} now." if nodes else message


_FIELDS: Final = NODE_FIELDS.and_once(
    *pem("certificate", "parameters"), "passphrase", *ANNOTATIONS, "confirm"
)

PAGES = (
    Page(method="GET", path="/certificates/new", role=Role.ADMINISTRATOR, handler=new_form),
    Page(
        method="POST",
        path="/certificates/new",
        role=Role.ADMINISTRATOR,
        handler=add,
        fields=_FIELDS.and_once(*pem("private_key"), "slot", "preview"),
        heavy=True,
    ),
    Page(method="GET", path="/certificates/import", role=Role.ADMINISTRATOR, handler=import_form),
    Page(
        method="POST",
        path="/certificates/import",
        role=Role.ADMINISTRATOR,
        handler=import_files,
        fields=IMPORT_FIELDS,
        heavy=True,
    ),
    Page(method="GET", path=r"/certificates/{id:\d+}/edit", role=Role.ADMINISTRATOR, handler=edit_form),
    Page(
        method="POST",
        path=r"/certificates/{id:\d+}/edit",
        role=Role.ADMINISTRATOR,
        handler=edit,
        fields=_FIELDS.and_once("seen"),
        heavy=True,
    ),
)
