"""Node page: its four facts side by side, endpoints, last failure, and certificates."""

from typing import Final

from aiohttp import web

from common.api.codes import CertificateOrder, Role
from common.bundle.manifest import Slot
from common.errors import ChangedMeanwhileError, NotFoundError
from common.ids import NO_CERTIFICATE, CertificateId
from manager.domain.certificate_list import CertificateQuery, fits
from manager.domain.consequences import ConfirmationNeededError
from manager.domain.model import NodeRecord
from manager.http.errors import status_of
from manager.usecases.assignments import slot_name
from manager.web.forms import FormFields
from manager.web.node_rows import assigned_to, endpoint_rows, location_of, slot_rows, what_it_has
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, changed_meanwhile, refusal_for, refusal_of

CHOICES: Final = 50
"""How many certificates one page offers."""


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show everything known of a node."""
    name = page_request.node()
    record = await page_request.use_cases.nodes.get(name)
    view = await page_request.site.fleet.find_node(name)
    inventory = await page_request.use_cases.inventory()
    alarms = await page_request.use_cases.alarms.active_of(name)
    return page_request.render(
        "node.html",
        record=record,
        view=view,
        own_node=page_request.use_cases.own_node,
        location=location_of(record, await page_request.use_cases.nodes.locations()),
        slots=slot_rows(view, inventory),
        endpoints=endpoint_rows(view, inventory),
        what_it_has=what_it_has(view),
        diagnostics=page_request.site.fleet.diagnostics(name),
        alarms=alarms,
        announced=page_request.site.fleet.contact,
    )


async def choose(page_request: PageRequest) -> web.StreamResponse:
    """Offer certificates for a slot."""
    record, slot = await _place(page_request)
    return await _choose(page_request, record, slot)


async def _choose(
    page_request: PageRequest,
    record: NodeRecord,
    slot: Slot,
    refusal: FormRefusal = NOT_REFUSED,
    *,
    wanted: CertificateId | None = None,
) -> web.Response:
    """Offer certificates; `wanted` is one chosen during a concurrent change, or one that needs confirmation."""
    inventory = await page_request.use_cases.inventory()
    number, search = page_request.page(), page_request.query("search")
    total, found = await page_request.use_cases.certificates.list(
        CertificateQuery(
            search=search,
            fitting=record.name if slot == "server" else None,
            order=CertificateOrder.EXPIRY,
            descending=True,
            offset=(number - 1) * CHOICES,
            limit=CHOICES,
        )
    )
    return page_request.render_form(
        "node_slot.html",
        refusal,
        wanted=inventory.entries.get(wanted or NO_CERTIFICATE),
        fitting={each.entry.id for each in found if fits(each.entry, record, now_s=int(page_request.now_s))}
        if slot == "server"
        else set(),
        record=record,
        slot=slot,
        current=assigned_to(inventory, record.name, slot),
        found=found,
        total=total,
        search=search,
        number=number,
        size=CHOICES,
    )


async def assign(page_request: PageRequest) -> web.StreamResponse:
    """Assign a certificate to a slot."""
    record, slot = await _place(page_request)
    chosen = [*map(CertificateId, page_request.form.ids("certificate"))]
    if not chosen:
        return await _choose(page_request, record, slot, refusal_for(["no certificate was chosen"]))
    try:
        await page_request.use_cases.assignments.assign(
            chosen[-1],
            nodes=[record.name],
            slot=slot,
            seen={record.name: _seen(page_request)},
            confirm=page_request.form.text("confirm"),
            actor=page_request.actor,
        )
    except ConfirmationNeededError as error:
        return await _choose(page_request, record, slot, refusal_of(error), wanted=chosen[-1])
    except ChangedMeanwhileError:
        return await _choose(page_request, record, slot, changed_meanwhile(()), wanted=chosen[-1])
    return page_request.redirect(
        f"/nodes/{record.name}", f"Certificate {chosen[-1]} is assigned; it is pushed in a moment."
    )


async def empty_page(page_request: PageRequest) -> web.StreamResponse:
    """Show the consequences of emptying a slot."""
    record, slot = await _place(page_request)
    return await _empty_page(page_request, record, slot)


async def _empty_page(
    page_request: PageRequest, record: NodeRecord, slot: Slot, *, status: int = 200
) -> web.Response:
    inventory = await page_request.use_cases.inventory()
    current = assigned_to(inventory, record.name, slot)
    if current is None:
        raise NotFoundError(f"the {slot} slot of node '{record.name}' has no certificate")
    impact = await page_request.use_cases.previews.unassignment(record.name, slot)
    return page_request.render(
        "node_empty.html", status=status, record=record, slot=slot, current=current, impact=impact
    )


async def empty(page_request: PageRequest) -> web.StreamResponse:
    """Remove a slot's assignment."""
    record, slot = await _place(page_request)
    try:
        await page_request.use_cases.assignments.unassign(
            record.name,
            slot,
            seen={record.name: _seen(page_request)},
            confirm=page_request.form.text("confirm"),
            actor=page_request.actor,
        )
    except ConfirmationNeededError as error:
        return await _empty_page(page_request, record, slot, status=status_of(error))
    return page_request.redirect(f"/nodes/{record.name}", f"The {slot} slot has no certificate now.")


def _seen(page_request: PageRequest) -> CertificateId | None:
    """Return the slot's certificate when the form was made."""
    found = [*map(CertificateId, page_request.form.ids("seen"))]
    return found[-1] if found else None


async def _place(page_request: PageRequest) -> tuple[NodeRecord, Slot]:
    record = await page_request.use_cases.nodes.get(page_request.node())
    return record, slot_name(page_request.name("slot"))


PAGES = (
    Page(method="GET", path="/nodes/{name}", role=Role.READ_ONLY, handler=show),
    Page(method="GET", path="/nodes/{name}/slots/{slot}", role=Role.ADMINISTRATOR, handler=choose),
    Page(
        method="POST",
        path="/nodes/{name}/slots/{slot}",
        role=Role.ADMINISTRATOR,
        handler=assign,
        fields=FormFields(once=("certificate", "seen", "confirm")),
    ),
    Page(method="GET", path="/nodes/{name}/slots/{slot}/empty", role=Role.ADMINISTRATOR, handler=empty_page),
    Page(
        method="POST",
        path="/nodes/{name}/slots/{slot}/empty",
        role=Role.ADMINISTRATOR,
        handler=empty,
        fields=FormFields(once=("seen", "confirm")),
    ),
)
