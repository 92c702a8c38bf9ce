"""Adding TLS certificates, with a preview; editing one; importing files."""

from collections.abc import Sequence

from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError, ChangedMeanwhileError
from common.ids import node_names
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.etag import etag_of_certificate
from manager.domain.model import AssignmentRecord, CertificateRecord
from manager.http.errors import status_of
from manager.usecases.assignments import slot_name
from manager.usecases.uploads import Edit, Upload
from manager.web.choices import chosen_nodes, node_choices
from manager.web.difference import Difference
from manager.web.importing import show_import
from manager.web.pagerequest import Page, PageRequest
from manager.web.uploads import findings_of
from manager.web.words import plural, with_notes


async def new_form(visit: PageRequest) -> web.StreamResponse:
    """Ask for a certificate."""
    nodes = visit.request.query.getall("node", [])
    return await _new_form(visit, {"certificate": "", "parameters": "", "slot": "server"}, nodes)


async def add(visit: PageRequest) -> web.StreamResponse:
    """Preview what was given, or keep it. A refusal comes with every finding and every field but the key."""
    form, nodes = visit.form, chosen_nodes(visit.form)
    shown = {
        "certificate": await visit.shown_text(form.text("certificate")),
        "parameters": await visit.shown_text(form.text("parameters")),
        "slot": form.text("slot", "server"),
    }
    preview = None
    try:
        given = {name: await visit.given_text(name) for name in ("certificate", "private_key", "parameters")}
        shown.update(
            certificate=await visit.shown_text(given["certificate"]),
            parameters=await visit.shown_text(given["parameters"]),
        )
        upload = Upload(
            **given,
            passphrase=form.text("passphrase") or None,
            nodes=node_names(nodes),
            slot=slot_name(form.text("slot", "server")),
        )
        if not form.flag("preview"):
            kept = await visit.operations.certificates.upload(
                upload, confirm=form.text("confirm"), actor=visit.actor
            )
            added = _added(kept.record, created=kept.created, nodes=nodes)
            said = with_notes(added, kept.consequences)
            return visit.redirect(f"/certificates/{kept.record.id}", said)
        preview = await visit.operations.previews.certificate(upload)
    except ConfirmationNeededError as error:
        return await _new_form(visit, shown, nodes, status=status_of(error), asked=error)
    except CertcastError as error:
        problems, status = findings_of(error), status_of(error)
        if visit.is_fragment:
            # a script shows it beside the form, which keeps everything that was typed
            return visit.render("certificate_preview.html", preview=None, problems=problems)
        return await _new_form(visit, shown, nodes, status=status, problems=problems)
    if visit.is_fragment:
        return visit.render("certificate_preview.html", preview=preview, problems=[])
    return await _new_form(visit, shown, nodes, preview=preview)


async def edit_form(visit: PageRequest) -> web.StreamResponse:
    """Show what can be changed of a certificate."""
    found = await visit.operations.certificates.editable(visit.number())
    record, places = found.record, found.places
    fields = {"certificate": record.text, "parameters": record.parameters_text}
    return await _edit_form(
        visit, record, fields, _server_nodes(places), seen=etag_of_certificate(record, places)
    )


async def edit(visit: PageRequest) -> web.StreamResponse:
    """Change it; who comes second is told what the first one changed, and loses nothing."""
    form, number, nodes = visit.form, visit.number(), chosen_nodes(visit.form)
    found = await visit.operations.certificates.editable(number)
    record, places = found.record, found.places
    fields = {name: form.text(name) for name in ("certificate", "parameters")}
    try:
        fields = {name: await visit.given_text(name) for name in fields}
        changed = {
            name: text
            for name, text, kept in (
                ("certificate", fields["certificate"], record.text),
                ("parameters", fields["parameters"], record.parameters_text),
            )
            # a text area may have lost what stood at the ends
            if text.strip() != _lines(kept).strip()
        }
        edited = Edit(
            certificate=changed.get("certificate"),
            parameters=changed.get("parameters"),
            passphrase=form.text("passphrase") or None,
            nodes=node_names(nodes),
        )
        told = await visit.operations.certificates.edit(
            number, edited, seen=form.text("seen"), confirm=form.text("confirm"), actor=visit.actor
        )
    except ConfirmationNeededError as error:
        seen = form.text("seen")
        return await _edit_form(visit, record, fields, nodes, seen=seen, status=status_of(error), asked=error)
    except ChangedMeanwhileError:
        found = await visit.operations.certificates.editable(number)
        record, places = found.record, found.places
        theirs = await visit.differences(
            ("TLS certificate", record.text, fields["certificate"]),
            ("TLS parameters", record.parameters_text, fields["parameters"]),
            ("Nodes", "\n".join(_server_nodes(places)), "\n".join(sorted(nodes))),
        )
        seen = etag_of_certificate(record, places)
        return await _edit_form(visit, record, fields, nodes, seen=seen, status=409, theirs=theirs)
    except CertcastError as error:
        return await _edit_form(
            visit,
            record,
            fields,
            nodes,
            seen=form.text("seen"),
            status=status_of(error),
            problems=findings_of(error),
        )
    said = with_notes("Saved. Nodes that it concerns get it within seconds.", told)
    return visit.redirect(f"/certificates/{number}", said)


async def import_form(visit: PageRequest) -> web.StreamResponse:
    return visit.render("import.html", problems=[], kept=None, asked=None)


async def import_files(visit: PageRequest) -> web.StreamResponse:
    """Take all of the files or nothing, and show what became of each certificate."""
    return await show_import(visit, "import.html", list(visit.form.files.get("files", ())))


async def _new_form(
    visit: PageRequest,
    shown: dict[str, str],
    nodes: Sequence[str],
    *,
    status: int = 200,
    problems: Sequence[str] = (),
    preview: object = None,
    asked: ConfirmationNeededError | None = None,
) -> web.Response:
    inventory = await visit.operations.inventory()
    slot = slot_name(shown["slot"]) if shown["slot"] in {"server", "client"} else "server"
    return visit.render(
        "certificate_new.html",
        status=status,
        shown=shown,
        choices=node_choices(inventory, nodes, slot=slot),
        problems=problems,
        preview=preview,
        asked=asked,
        again=visit.request.method == "POST",
    )


async def _edit_form(
    visit: PageRequest,
    record: CertificateRecord,
    fields: dict[str, str],
    nodes: Sequence[str],
    *,
    seen: str,
    status: int = 200,
    problems: Sequence[str] = (),
    theirs: Sequence[Difference] = (),
    asked: ConfirmationNeededError | None = None,
) -> web.Response:
    inventory = await visit.operations.inventory()
    return visit.render(
        "certificate_edit.html",
        status=status,
        record=record,
        fields={name: await visit.shown_text(text) for name, text in fields.items()},
        choices=node_choices(inventory, nodes, own=record.id),
        seen=seen,
        problems=problems,
        theirs=theirs,
        asked=asked,
        again=visit.request.method == "POST" and bool(visit.form.text("passphrase")),
    )


def _server_nodes(places: Sequence[AssignmentRecord]) -> list[str]:
    return sorted(place.node for place in places if place.slot == "server")


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n")


def _added(record: CertificateRecord, *, created: bool, nodes: Sequence[str]) -> str:
    name = record.subject_name or f"certificate {record.id}"
    said = f"Added {name}." if created else f"Updated {name}: issuer and serial number were the same."
    return f"{said} It goes to {plural(len(nodes), 'node')} now." if nodes else said


PAGES = (
    Page(method="GET", path="/certificates/new", role=Role.ADMINISTRATOR, handler=new_form),
    Page(method="POST", path="/certificates/new", role=Role.ADMINISTRATOR, handler=add, heavy=True),
    Page(method="GET", path="/certificates/import", role=Role.ADMINISTRATOR, handler=import_form),
    Page(
        method="POST", path="/certificates/import", role=Role.ADMINISTRATOR, handler=import_files, heavy=True
    ),
    Page(method="GET", path=r"/certificates/{id:\d+}/edit", role=Role.ADMINISTRATOR, handler=edit_form),
    Page(
        method="POST", path=r"/certificates/{id:\d+}/edit", role=Role.ADMINISTRATOR, handler=edit, heavy=True
    ),
)
